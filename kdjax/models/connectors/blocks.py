"""Layers of connectors, as PyTorch initialises them."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.models import layers


class Conv(nn.Module):
    """A convolution from U(-b, b), b = sqrt(gain / fan-in), the bias from gain 1.

    Gain 1 is PyTorch's default; gain 3 is its `kaiming_uniform_` with a = 1.
    """

    features: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    pad: int = 0
    bias: bool = True
    gain: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        fan_in = math.prod(self.kernel) * x.shape[-1]
        shape = (*self.kernel, x.shape[-1], self.features)
        initialise = layers.uniform(math.sqrt(self.gain / fan_in))
        kernel = self.param("kernel", initialise, shape, jnp.float32)
        y = layers.convolve(x, kernel, self.stride, self.pad)
        return _add_bias(self, y, fan_in) if self.bias else y


class ConvTranspose(nn.Module):
    """PyTorch's transposed convolution: sides become (n - 1) stride - 2 pad + kernel.

    The kernel [k, k, in, out] lies as there: an input at i adds its product with
    kernel[j] to the output at i stride - pad + j. PyTorch takes its fan-in, for the
    initialisation, as k k out.
    """

    features: int
    kernel: int
    stride: int
    pad: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        fan_in = self.kernel**2 * self.features
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        initialise = layers.uniform(fan_in**-0.5)
        kernel = self.param("kernel", initialise, shape, jnp.float32)
        edge = self.kernel - 1 - self.pad
        y = jax.lax.conv_general_dilated(
            x,
            kernel[::-1, ::-1],
            (1, 1),
            ((edge, edge), (edge, edge)),
            lhs_dilation=(self.stride, self.stride),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return _add_bias(self, y, fan_in)


def _add_bias(module: nn.Module, y: jax.Array, fan_in: int) -> jax.Array:
    initialise = layers.uniform(fan_in**-0.5)
    bias = module.param("bias", initialise, (y.shape[-1],), jnp.float32)
    return y + layers.along_channels(bias)


def norm(features: int, name: str) -> layers.BatchNorm:
    """Batch norm in float32."""
    return layers.BatchNorm(features, jnp.dtype("float32"), name=name)


def dense(features: int, fan_in: int, name: str, kernel_init=None) -> nn.Dense:
    """A linear layer as PyTorch initialises it, in float32."""
    initialise = layers.uniform(fan_in**-0.5)
    return nn.Dense(
        features,
        kernel_init=kernel_init or initialise,
        bias_init=initialise,
        dtype=jnp.float32,
        name=name,
    )
