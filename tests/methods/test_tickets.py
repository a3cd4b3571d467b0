import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, tickets
from tests import reference
from tests.objectives import objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT

SIZES = {"num_examples": 5, "num_classes": 4}
LOSSES = [
    {},
    {"loss": "gce", "parameters": {"q": 0.5}},
    {"loss": "sce", "parameters": {"alpha": 6.0, "beta": 0.1}},
    {"loss": "elr", "parameters": {"weight": 2.0}, **SIZES},
]
P = reference.softmax(GOLDEN_STUDENT)
AT_LABEL = P[np.arange(3), GOLDEN_LABELS]
# At the first step elr remembers (1 - beta) p: nothing of P is small enough to clip.
PER_SAMPLE = [
    -np.log(AT_LABEL),
    (1 - AT_LABEL**0.5) / 0.5,
    -6 * np.log(AT_LABEL) + 0.1 * 4 * (1 - AT_LABEL),
    -np.log(AT_LABEL) + 2 * np.log(1 - 0.3 * (P**2).sum(-1)),
]
CASES = list(zip(LOSSES, PER_SAMPLE, strict=True))


def value_and_gradient(method, selection, student=GOLDEN_STUDENT):
    loss = jax.value_and_grad(
        lambda s: objective(method, s, None, GOLDEN_LABELS, np.float32(selection))
    )
    return loss(jnp.asarray(student))


@pytest.mark.parametrize("selection", [[1, 1, 1], [1, 0, 1], [0, 1, 0]])
@pytest.mark.parametrize("arguments, per_sample", CASES)
def test_the_mean_runs_over_what_was_kept(arguments, per_sample, selection):
    method = METHODS["tickets"].build(**arguments)
    value, gradient = value_and_gradient(method, selection)
    expected = per_sample[np.array(selection) == 1].mean()
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    moved = (np.asarray(gradient) != 0).any(-1)
    assert moved.tolist() == [bool(kept) for kept in selection]


@pytest.mark.parametrize("arguments", LOSSES)
def test_a_batch_without_kept_samples_changes_nothing(arguments):
    method = tickets.build(**arguments)
    value, gradient = value_and_gradient(method, [0, 0, 0])
    assert value == 0 and (np.asarray(gradient) == 0).all()


@pytest.mark.parametrize("arguments", LOSSES)
def test_what_was_not_kept_plays_no_part(arguments):
    method = tickets.build(**arguments)
    other = GOLDEN_STUDENT.copy()
    other[1] = [7, -3, 0, 1]
    values = [
        value_and_gradient(method, [1, 0, 1], s)[0] for s in (other, GOLDEN_STUDENT)
    ]
    assert values[0] == values[1]


@pytest.mark.parametrize("arguments", LOSSES)
def test_no_teacher_is_needed_and_a_selection_may_be_cut_out_beforehand(arguments):
    method = tickets.build(**arguments)
    assert method.needs == ()
    assert method.supervisor is None
    assert (method.memory is not None) == (arguments.get("loss") == "elr")


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"loss": "mae"}, "tickets: loss is 'mae'; expected one of ce, gce, sce, elr"),
        ({"parameters": {"q": 1}}, "parameters has 'q'; the loss 'ce' takes none"),
        (
            {"loss": "elr", "parameters": {"wieght": 1}, **SIZES},
            "parameters has 'wieght'.*Did you mean weight?",
        ),
        ({"loss": "elr"}, "tickets: num_examples is not given; the loss 'elr'"),
        ({"loss": "elr", "num_examples": 5}, "tickets: num_classes is not given"),
        ({"loss": "gce", "parameters": {"q": 2}}, "gce: q is 2"),
    ],
)
def test_what_does_not_fit_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        tickets.build(**arguments)
