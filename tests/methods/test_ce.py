import jax
import numpy as np
import pytest

from kdjax.methods import METHODS, ce
from tests import reference
from tests.objectives import objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT


@pytest.mark.parametrize("smoothing", [0, 0.1, 1])
def test_objective_and_gradient_match_the_equation(smoothing):
    method = METHODS["ce"].build(label_smoothing=smoothing)
    loss = jax.value_and_grad(
        lambda s: objective(method, s, GOLDEN_STUDENT, GOLDEN_LABELS)
    )
    value, gradient = loss(GOLDEN_STUDENT)
    one_hot = reference.one_hot(GOLDEN_LABELS, 4)
    target = (1 - smoothing) * one_hot + smoothing / 4
    expected = reference.cross_entropy(GOLDEN_STUDENT, target).mean()
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    slope = (reference.softmax(GOLDEN_STUDENT) - target) / 3
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-7)


def test_the_mean_is_over_the_selected_and_the_rest_plays_no_part():
    def loss(student, selection):
        return objective(ce.build(), student, None, GOLDEN_LABELS, selection)

    selection = np.float32([0, 1, 3])
    value, gradient = jax.value_and_grad(loss)(GOLDEN_STUDENT, selection)
    one_hot = reference.one_hot(GOLDEN_LABELS, 4)
    exact = reference.cross_entropy(GOLDEN_STUDENT, one_hot)
    np.testing.assert_allclose(value, exact[1] / 4 + 3 * exact[2] / 4, rtol=1e-5)
    slope = reference.softmax(GOLDEN_STUDENT) - one_hot
    slope *= [[0], [1 / 4], [3 / 4]]
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-7)
    assert (np.asarray(gradient)[0] == 0).all()
    value, gradient = jax.value_and_grad(loss)(GOLDEN_STUDENT, 0 * selection)
    assert float(value) == 0 and (np.asarray(gradient) == 0).all()


def test_no_teacher_is_asked_for():
    method = ce.build()
    assert method.supervisor is None
    assert [term.name for term in method.terms] == ["hard_label"]


@pytest.mark.errors
@pytest.mark.parametrize("smoothing", [-0.1, 1.1, float("nan"), "0.1"])
def test_smoothing_outside_zero_to_one_is_refused(smoothing):
    with pytest.raises(ValueError, match="ce: label_smoothing is"):
        ce.build(label_smoothing=smoothing)
