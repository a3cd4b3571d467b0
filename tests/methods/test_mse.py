import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, mse
from tests import reference
from tests.objectives import objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER


def value_and_gradient(method, selection=None):
    loss = jax.value_and_grad(
        lambda s, t: objective(method, s, t, GOLDEN_LABELS, selection), argnums=(0, 1)
    )
    return loss(jnp.asarray(GOLDEN_STUDENT), jnp.asarray(GOLDEN_TEACHER))


def test_default_is_the_mean_over_batch_and_classes():
    value, (gradient, to_teacher) = value_and_gradient(METHODS["mse"].build())
    np.testing.assert_allclose(value, 1.1716667, rtol=1e-6)
    slope = 2 * (GOLDEN_STUDENT - GOLDEN_TEACHER) / (3 * 4)
    np.testing.assert_allclose(gradient, slope, rtol=1e-5)
    assert (np.asarray(to_teacher) == 0).all()


def test_sum_is_the_papers_form():
    value, _ = value_and_gradient(mse.build(reduction="sum"))
    np.testing.assert_allclose(value, np.mean([7.69, 2.40, 3.97]), rtol=1e-5)


def test_alpha_mixes_with_the_labels_and_selection_weighs_the_teacher():
    selection = np.float32([1.0, 0.0, 0.5])
    value, _ = value_and_gradient(mse.build(alpha=0.25, reduction="sum"), selection)
    one_hot = reference.one_hot(GOLDEN_LABELS, 4)
    hard = reference.cross_entropy(GOLDEN_STUDENT, one_hot)
    expected = 0.75 * hard + 0.25 * selection * [7.69, 2.40, 3.97]
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)


@pytest.mark.parametrize(
    "alpha, names",
    [
        (0, ["hard_label"]),
        (0.5, ["hard_label", "mean_squared_error"]),
        (1, ["mean_squared_error"]),
    ],
)
def test_parts_without_weight_are_left_out(alpha, names):
    method = mse.build(alpha=alpha)
    assert [term.name for term in method.terms] == names
    assert (method.supervisor is None) == (alpha == 0)


@pytest.mark.errors
def test_what_is_out_of_range_is_named():
    with pytest.raises(ValueError, match="mse: alpha is 2"):
        mse.build(alpha=2)
    with pytest.raises(ValueError, match="mse: reduction is 'max'; expected 'mean' or"):
        mse.build(reduction="max")
