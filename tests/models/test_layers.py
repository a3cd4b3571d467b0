"""Convolution and batch norm: one convolution when evaluating; the global batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from kdjax.models import create, layers


class Pair(nn.Module):
    stride: int = 1
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, x, train):
        conv = layers.Conv(6, 3, self.stride, self.dtype, name="conv")
        norm = layers.BatchNorm(6, self.dtype, name="norm")
        return layers.conv_norm(conv, norm, x, train)


def variables(images):
    """Statistics and scales as a trained network has them: none of them 0 or 1."""
    drawn = Pair().init(jax.random.key(0), images, True)
    random = np.random.default_rng(0)
    return jax.tree.map(
        lambda x: jnp.asarray(random.uniform(0.5, 2.0, x.shape), x.dtype), drawn
    )


@pytest.mark.parametrize("stride", (1, 2))
def test_evaluating_is_convolving_and_normalising_in_float64(stride):
    x = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)
    held = variables(x)
    y = Pair(stride).apply(held, x, False)
    exact = jax.tree.map(lambda x: np.asarray(x, np.float64), held)
    kernel, norm = (exact["params"][k] for k in ("conv", "norm"))
    stats = exact["batch_stats"]["norm"]
    padded = np.pad(np.float64(x), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    windows = windows[:, ::stride, ::stride]
    expected = np.einsum("bhwcij,ijco->bhwo", windows, kernel["kernel"])
    expected = (expected - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
    expected = expected * norm["scale"] + norm["bias"]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_evaluating_multiplies_no_activation():
    """The multiplier is in the kernel; what is left of batch norm is its offset."""
    x = jnp.ones((2, 8, 8, 3))
    jaxpr = jax.make_jaxpr(lambda v, x: Pair().apply(v, x, False))(variables(x), x)
    activations = [
        equation.primitive.name
        for equation in jaxpr.eqns
        if equation.outvars[0].aval.shape == (2, 8, 8, 6)
    ]
    assert activations == ["conv_general_dilated", "add"]


def test_bfloat16_stays_bfloat16():
    x = jnp.ones((2, 8, 8, 3))
    module = Pair(dtype=jnp.dtype("bfloat16"))
    assert module.apply(variables(x), x, False).dtype == jnp.bfloat16


def test_batch_norm_sees_the_global_batch_on_eight_devices():
    network = create("wide_resnet", num_classes=3, depth=10, widths=(4, 4, 4), stem=4)
    # Every image has its own mean, so statistics of one device's share would differ.
    noise = jax.random.normal(jax.random.key(1), (16, 8, 8, 3))
    images = noise + jnp.arange(16.0)[:, None, None, None]
    variables = jax.jit(network.init)(jax.random.key(0), images)
    expected = jax.jit(network.train)(*variables, images)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    train = jax.jit(network.train, in_shardings=(whole, whole, rows))
    sharded = train(*variables, jax.device_put(images, rows))
    assert len(sharded[0].logits.sharding.device_set) == 8
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
        sharded,
        expected,
    )
