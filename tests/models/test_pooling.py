"""The max pool of GPUs is Flax's, gradients and ties too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.models.platform import traced_for
from kdjax.models.pooling import max_pool


def both(x, gradient_of, *window):
    """(value, gradient) of the pool of GPUs, and of the others'."""

    def pull(x, platform):
        with traced_for(platform):
            value, back = jax.vjp(lambda x: max_pool(x, *window), x)
        return value, back(gradient_of(value))[0]

    return [jax.jit(pull, static_argnums=1)(x, name) for name in ("cuda", "cpu")]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("sides", "window"),
    [((8, 8), (3, 2, 1)), ((7, 10), (3, 2, 1)), ((9, 6), (2, 2)), ((6, 7), (3, 1, 1))],
)
def test_values_and_gradients_are_those_of_flax_to_the_bit(sides, window, dtype):
    """Few levels make ties; sums of whole numbers are exact in any order."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.integers(-3, 2, (2, *sides, 5)), dtype)

    def whole_numbers(value):
        return (jnp.arange(value.size) % 13 - 6).reshape(value.shape).astype(dtype)

    ours, flax = both(x, whole_numbers, *window)
    for own, wanted in zip(ours, flax, strict=True):
        assert own.dtype == wanted.dtype == dtype
        np.testing.assert_array_equal(np.float32(own), np.float32(wanted))


def test_a_nan_is_not_hidden():
    x = jnp.zeros((1, 4, 4, 1)).at[0, 1, 1, 0].set(jnp.nan).at[0, 0, 3, 0].set(-jnp.inf)
    (value, gradient), (wanted, _) = both(x, jnp.ones_like, 2, 2)
    np.testing.assert_array_equal(value, wanted)
    assert np.isnan(value[0, 0, 0, 0]) and gradient.sum() == 4


def test_only_a_gpu_has_its_own_gradient():
    """The programs of others stay as they are."""

    def operations(platform):
        gradient = jax.grad(lambda x: jnp.sum(max_pool(x, 3, 2, 1)))
        with traced_for(platform):
            return str(jax.make_jaxpr(gradient)(jnp.zeros((1, 8, 8, 1))))

    assert "select_and_scatter" in operations("tpu") == operations("cpu")
    assert "select_and_scatter" not in operations("gpu")
