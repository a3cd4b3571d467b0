import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, smooth_l1
from tests import reference
from tests.objectives import objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

DIFFERENCE = np.float64(GOLDEN_STUDENT) - np.float64(GOLDEN_TEACHER)
# By hand from |d| = 2 1 1 1.3, .2 1 1 .6, .8 1.1 1.4 .4.
GOLDEN = [(1.5 + 0.5 + 0.5 + 0.8) / 4, (0.02 + 0.5 + 0.5 + 0.18) / 4]
GOLDEN += [(0.32 + 0.6 + 0.9 + 0.08) / 4]


def value_and_gradient(method, selection=None):
    loss = jax.value_and_grad(
        lambda s, t: objective(method, s, t, GOLDEN_LABELS, selection), argnums=(0, 1)
    )
    return loss(jnp.asarray(GOLDEN_STUDENT), jnp.asarray(GOLDEN_TEACHER))


def test_golden_and_gradient():
    value, (gradient, to_teacher) = value_and_gradient(METHODS["smooth_l1"].build())
    np.testing.assert_allclose(value, np.mean(GOLDEN), rtol=1e-5)
    slope = np.clip(DIFFERENCE, -1, 1) / (3 * 4)
    np.testing.assert_allclose(gradient, slope, rtol=1e-5)
    assert (np.asarray(to_teacher) == 0).all()


def test_alpha_mixes_with_the_labels_and_selection_weighs_the_teacher():
    selection = np.float32([1.0, 0.0, 0.5])
    value, _ = value_and_gradient(smooth_l1.build(alpha=0.25), selection)
    one_hot = reference.one_hot(GOLDEN_LABELS, 4)
    hard = reference.cross_entropy(GOLDEN_STUDENT, one_hot)
    expected = 0.75 * hard + 0.25 * selection * GOLDEN
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)


@pytest.mark.parametrize(
    "alpha, names",
    [
        (0, ["hard_label"]),
        (0.5, ["hard_label", "smooth_l1"]),
        (1, ["smooth_l1"]),
    ],
)
def test_parts_without_weight_are_left_out(alpha, names):
    method = smooth_l1.build(alpha=alpha)
    assert [term.name for term in method.terms] == names
    assert (method.supervisor is None) == (alpha == 0)


@pytest.mark.errors
def test_what_is_out_of_range_is_named():
    with pytest.raises(ValueError, match="smooth_l1: alpha is 2"):
        smooth_l1.build(alpha=2)
