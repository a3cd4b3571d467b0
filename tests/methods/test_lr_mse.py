import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.test_util import check_grads

from kdjax.experiment.methods import build_method
from kdjax.methods import METHODS, lr_ds, lr_mse
from tests import reference
from tests.objectives import inputs, objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

GOLDEN_PARTS = [0.523241, 0.6, 0.0138179]
GOLDEN_TOTAL = 2.937059
EVERYTHING = np.ones(3, np.float32)
quick = settings(max_examples=40, deadline=None, derandomize=True)
ROWS = hnp.arrays(np.float32, (4, 5), elements=st.floats(-20, 20, width=32))


def value_and_gradient(method, teacher=GOLDEN_TEACHER, labels=GOLDEN_LABELS):
    loss = jax.value_and_grad(
        lambda s, t: objective(method, s, t, labels), argnums=(0, 1)
    )
    return loss(jnp.asarray(GOLDEN_STUDENT), jnp.asarray(teacher))


def parts(method, *given):
    student_outputs = inputs(method, *given)
    return [float(jnp.mean(term.values(student_outputs))) for term in method.terms]


def test_golden_parts_and_total():
    method = METHODS["lr_mse"].build(num_classes=100)
    given = (GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS)
    np.testing.assert_allclose(parts(method, *given), GOLDEN_PARTS, rtol=1e-5)
    value, _ = value_and_gradient(method)
    np.testing.assert_allclose(value, GOLDEN_TOTAL, rtol=1e-6)
    expected = reference.label_revision_parts(*given, EVERYTHING)
    np.testing.assert_allclose(expected, GOLDEN_PARTS, atol=reference.PRINTED)


def test_gradient_matches_the_equation_and_none_reaches_the_teacher():
    _, (gradient, to_teacher) = value_and_gradient(lr_mse.build(lambda1=3, lambda2=2))
    p, q = reference.softmax(GOLDEN_STUDENT), reference.softmax(GOLDEN_TEACHER)
    revised = reference.label_revision(q, q, GOLDEN_LABELS, 0.8)
    slope = np.zeros((3, 4))
    slope[1] = p[1] - [0, 1, 0, 0] + 3 * (2 / 4) * (GOLDEN_STUDENT - GOLDEN_TEACHER)[1]
    for i in (0, 2):  # of the two that the teacher gets wrong
        outer = (2 / 4) * (p[i] - revised[i])
        slope[i] = 2 * p[i] * (outer - (outer * p[i]).sum()) / 2
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-7)
    assert (np.asarray(to_teacher) == 0).all()


def test_over_the_batch_every_sample_counts_once():
    method = lr_mse.build(denominator="batch", num_classes=100)
    given = (GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS)
    # The teacher is right about one of the three.
    expected = np.multiply(GOLDEN_PARTS, [1 / 3, 1 / 3, 2 / 3])
    np.testing.assert_allclose(parts(method, *given), expected, rtol=1e-5)


@pytest.mark.parametrize("denominator", ["sets", "batch"])
def test_gradients_are_those_of_finite_differences(denominator):
    method = lr_mse.build(lambda1=0.4, denominator=denominator)
    check_grads(
        lambda s: objective(method, s, GOLDEN_TEACHER, GOLDEN_LABELS),
        (jnp.asarray(GOLDEN_STUDENT),),
        order=1,
        modes=["rev"],
        atol=1e-2,
        rtol=1e-2,
    )


def test_the_pull_on_a_logit_is_the_same_for_four_hundredths_of_the_classes():
    pulls = []
    for classes in (10, 100):
        gap = np.zeros((1, classes), np.float32)
        gap[0, 1] = 0.5
        method = lr_mse.build(lambda1=4 * classes / 100)
        term = method.terms[1]
        teacher = np.eye(1, classes, dtype=np.float32)
        slope = jax.grad(
            lambda s, term=term, method=method, teacher=teacher: jnp.mean(
                term.coefficient
                * term.values(inputs(method, s, teacher, np.int32([0])))
            )
        )(jnp.asarray(teacher + gap))
        pulls.append(slope[0, 1])
    np.testing.assert_allclose(pulls, 2 * 4 * 0.5 / 100, rtol=1e-6)


@pytest.mark.parametrize("eta", [0.1, 0.99])
def test_eta_reaches_the_revised_probabilities_alone(eta):
    given = (GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS)
    expected = reference.label_revision_parts(*given, EVERYTHING, eta)
    np.testing.assert_allclose(
        parts(lr_mse.build(eta=eta, num_classes=100), *given), expected, 1e-5
    )


@quick
@given(ROWS, ROWS, hnp.arrays(np.int32, 4, elements=st.integers(0, 4)))
def test_parts_match_the_equations_on_any_batch(student, teacher, labels):
    expected = reference.label_revision_parts(student, teacher, labels, np.ones(4))
    result = parts_of_four(student, teacher, labels)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6)


@jax.jit
def parts_of_four(student, teacher, labels):
    method = lr_mse.build(num_classes=100)
    student_outputs = inputs(method, student, teacher, labels)
    return [jnp.mean(term.values(student_outputs)) for term in method.terms]


@pytest.mark.parametrize(
    "named, silent", [("right", [2]), ("wrong", [0, 1]), ("one", [])]
)
def test_a_set_without_samples_adds_zero_and_no_nan(named, silent):
    labels = {
        "right": GOLDEN_TEACHER.argmax(-1),
        "wrong": GOLDEN_TEACHER.argmin(-1),
        "one": GOLDEN_LABELS,
    }[named].astype(np.int32)
    method = lr_mse.build(num_classes=100)
    result = parts(method, GOLDEN_STUDENT, GOLDEN_TEACHER, labels)
    assert [i for i, part in enumerate(result) if part == 0] == silent
    value, (gradient, _) = value_and_gradient(method, labels=labels)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    assert abs(gradient).max() > 0


def test_huge_logits_give_finite_values_and_gradients():
    value, (gradient, _) = value_and_gradient(
        lr_mse.build(num_classes=100), 1e5 * GOLDEN_TEACHER
    )
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("module", [lr_mse, lr_ds])
def test_by_default_lambda1_is_that_of_the_number_of_classes(module):
    """4 of 100 classes, and as hard a pull on each logit of others."""
    for classes, lambda1 in ((100, 4.0), (10, 0.4), (1000, 40.0)):
        method = module.build(num_classes=classes)
        assert method.terms[1].coefficient == lambda1
    assert module.build(lambda1=3.0, num_classes=10).terms[1].coefficient == 3.0
    section = {"name": module.__name__.rpartition(".")[2]}
    method = build_method("config.method", section, num_classes=10, num_examples=5)
    assert method.terms[1].coefficient == 0.4


@pytest.mark.parametrize(
    "numbers, names",
    [
        ({}, ["hard_label", "right_logits", "revised_probabilities"]),
        ({"lambda1": 0}, ["hard_label", "revised_probabilities"]),
        ({"lambda1": 0, "lambda2": 0.0}, ["hard_label"]),
    ],
)
def test_parts_without_weight_are_left_out(numbers, names):
    method = lr_mse.build(**numbers, num_classes=100)
    assert [term.name for term in method.terms] == names
    assert method.needs == ()


@pytest.mark.errors
@pytest.mark.parametrize(
    "numbers, message",
    [
        ({"lambda1": -1}, "lr_mse: lambda1 is -1"),
        ({"lambda2": float("nan")}, "lr_mse: lambda2 is nan"),
        ({"num_classes": None}, "lr_mse: lambda1 and num_classes are None"),
        ({"num_classes": 0}, "lr_mse: num_classes is 0"),
        ({"eta": 1}, "label_revision: eta is 1; expected a number above 0 and below 1"),
        ({"denominator": ""}, "lr_mse: denominator is ''; expected one of sets, batch"),
        ({"eta": 0}, "label_revision: eta is 0"),
    ],
)
def test_what_is_out_of_range_is_named(numbers, message):
    with pytest.raises(ValueError, match=message):
        lr_mse.build(**{"num_classes": 100} | numbers)
