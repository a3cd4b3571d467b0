import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.supervision import by_entropy, signals
from kdjax.supervision.pipeline import Supervisor, fixed, supervise
from tests import reference

RNG = np.random.default_rng(4)
STUDENT = np.float32(3 * RNG.normal(size=(5, 7)))
TEACHER = np.float32(4 * RNG.normal(size=(5, 7)))
LABELS = np.int32([0, 1, 2, 3, 4])
GIVEN = signals(STUDENT, TEACHER, LABELS)


def entropy(logits, temperature):
    p = reference.softmax(logits, temperature)
    return -(p * np.log(p)).sum(-1)


@pytest.mark.parametrize("scale, bound", [("log_classes", np.log(7)), ("classes", 7)])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_weight_matches_the_equation(temperature, scale, bound):
    h_t, h_s = (entropy(z, temperature) for z in (TEACHER, STUDENT))
    expected = 0.5 * h_t * (1 + h_s / bound)
    values = jax.jit(by_entropy(temperature, scale))(GIVEN)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_weight_multiplies_the_selection_and_reads_nothing_of_a_sample():
    rules = Supervisor(temperature=fixed(4.0), weight=(by_entropy(),))
    half = GIVEN._replace(selection=np.float32([1, 1, 0.5, 0, 1]))
    supervision, _ = supervise(rules, (), half)
    expected = np.asarray(by_entropy()(GIVEN)) * half.selection
    np.testing.assert_allclose(supervision.weight, expected, rtol=1e-6)
    assert rules.reads == frozenset()


def test_weight_lies_between_a_sure_and_an_unsure_teacher():
    teacher = jnp.float32([[1e5, 0, 0, 0], [0, 0, 0, 0], [0, 0, -jnp.inf, -jnp.inf]])
    given = signals(jnp.zeros((3, 4)), teacher, np.zeros(3, np.int32))
    values = by_entropy(1.0)(given)
    np.testing.assert_allclose(values, [0, np.log(4), np.log(2)], rtol=1e-6)


@pytest.mark.errors
def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="by_entropy: temperature is 0"):
        by_entropy(0)
    with pytest.raises(ValueError, match="scale is 'log'; expected one of"):
        by_entropy(3.0, "log")
    one = signals(STUDENT[:, :1], TEACHER[:, :1], LABELS * 0)
    with pytest.raises(ValueError, match="2 or more"):
        by_entropy()(one)
