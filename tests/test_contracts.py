import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax import __main__, contracts
from kdjax.distributed import process_group

LOGITS = np.zeros((8, 10), np.float32)


def test_shapes_binds_axes_by_the_pattern_that_fits():
    bound = contracts.shapes(
        "f", logits=(LOGITS, "batch classes"), temperature=(4.0, "", "batch")
    )
    assert bound == {"batch": 8, "classes": 10}
    bound = contracts.shapes(
        "f", temperature=(np.ones(8), "", "batch"), logits=(LOGITS, "batch classes")
    )
    assert bound == {"batch": 8, "classes": 10}


def test_shapes_works_while_tracing():
    def f(x):
        axes = contracts.shapes("f", x=(x, "batch classes"))
        return x * axes["classes"]

    assert jax.jit(f)(jnp.ones((2, 3)))[0, 0] == 3


@pytest.mark.errors
def test_shapes_names_argument_axis_and_owner():
    with pytest.raises(ValueError) as error:
        contracts.shapes(
            "kl", student=(LOGITS, "batch classes"), teacher=(LOGITS.T, "batch classes")
        )
    assert str(error.value) == (
        "kl: teacher has batch=10 (shape (10, 8)), but student has batch=8."
    )
    with pytest.raises(
        ValueError, match=r"x has shape \(8, 10\); expected \[\] or \[b"
    ):
        contracts.shapes("f", x=(LOGITS, "", "batch"))


@pytest.mark.errors
def test_shapes_checks_an_axis_within_one_array():
    with pytest.raises(ValueError, match="square has n=10"):
        contracts.shapes("f", square=(LOGITS, "n n"))


@pytest.mark.parametrize("value", [1, 1e-30, np.float32(2), np.array([1.0, 3.0])])
def test_positive_accepts(value):
    contracts.all_positive("f", "temperature", value)
    if np.ndim(value):
        with pytest.raises(ValueError, match="f: temperature is .*expected one number"):
            contracts.positive("f", "temperature", value)
    else:
        contracts.positive("f", "temperature", value)
    contracts.positive("f", "temperature", np.inf, infinity=True)


@pytest.mark.errors
@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, np.array([1.0, -np.inf])])
def test_positive_refuses(value):
    with pytest.raises(
        ValueError, match="f: temperature is .*; expected .* and finite"
    ):
        contracts.positive("f", "temperature", value)


@pytest.mark.errors
@pytest.mark.parametrize("value", [0.0, np.nan, -np.inf])
def test_positive_refuses_even_where_infinity_is_allowed(value):
    with pytest.raises(ValueError, match="temperature is .*or infinity"):
        contracts.positive("f", "temperature", value, infinity=True)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.25)])
def test_fraction_accepts(value):
    contracts.fraction("f", "alpha", value)


@pytest.mark.errors
@pytest.mark.parametrize("value", [-0.1, 1.01, np.nan, np.inf, "1", None, True])
def test_fraction_refuses(value):
    with pytest.raises(
        ValueError, match="f: alpha is .*; expected a number from 0 to 1"
    ):
        contracts.fraction("f", "alpha", value)


@pytest.mark.errors
@pytest.mark.parametrize("bad", [-1, 10])
def test_labels_in_range_names_the_first_and_counts(bad):
    contracts.labels_in_range("f", np.array([0, 9]), 10)
    with pytest.raises(ValueError) as error:
        contracts.labels_in_range("f", np.array([3, bad, bad]), 10)
    assert str(error.value) == (
        f"f: labels[1] is {bad}; expected 0 to 9 (2 of 3 labels are out of range)."
    )


def test_traced_values_pass():
    def f(x):
        assert contracts.is_traced(x)
        contracts.positive("f", "x", x)
        contracts.fraction("f", "x", x)
        contracts.labels_in_range("f", x.astype(int), 3)
        return x

    assert not contracts.is_traced(jnp.float32(-1))
    assert jax.jit(f)(-1.0) == -1.0


@pytest.mark.parametrize(
    "error, code",
    [
        (contracts.InputError("x"), 2),
        (OSError("x"), 4),
        (ModuleNotFoundError("x", name="torch"), 2),
        (ModuleNotFoundError("x", name="kdjax.nothing"), None),
        (ValueError("x"), None),
    ],
)
def test_a_command_and_a_process_of_several_end_with_one_code(error, code, capsys):
    assert __main__.exit_code("kdjax train", error) == code
    assert process_group.exit_code_of(error) == (code or 1)
    assert bool(capsys.readouterr().err) == (code is not None)


def test_what_the_clients_of_buckets_raise_is_an_error_of_storage():
    http = type("HttpError", (Exception,), {"__module__": "gcsfs.retry"})
    assert contracts.exit_code_of(http("Forbidden")) == 4
    assert contracts.exit_code_of(ValueError("ours")) is None
