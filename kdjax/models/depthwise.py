"""3x3 convolutions of each channel by itself, in the way that suits where they run.

XLA's CPU backend (jax 0.10) takes ten to thirty times longer for a convolution with as
many groups as channels than for the nine shifted products that it is, forwards, and
five to ten times longer for its gradients. Accelerators have kernels for it. Which of
the two runs is settled when a program is compiled; `jax.export` keeps both.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.models import layers

SIDE = 3


def convolve(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Each channel with a kernel of its own, padded by 1 on every side.

    Images [b, h, w, c] and kernel [3, 3, 1, c] of one dtype; stride 1 or 2, both ways.

    >>> images, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 1, 2))
    >>> convolve(images, kernel, 1)[0, :2, :2, 0].tolist()
    [[4.0, 6.0], [6.0, 9.0]]
    """
    # The shifted images are as large as nine inputs: recomputed for the gradient.
    shifts = jax.checkpoint(functools.partial(_shifts, stride=stride))
    options = {"stride": stride, "pad": 1, "groups": images.shape[-1]}
    grouped = functools.partial(layers.convolve, **options)
    return jax.lax.platform_dependent(images, kernel, cpu=shifts, default=grouped)


def _shifts(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """The sum over the kernel of the shifted image times the weight."""
    height, width = ((size - 1) // stride + 1 for size in images.shape[1:3])
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0))).astype(jnp.float32)
    rows, columns = ((size - 1) * stride + 1 for size in (height, width))
    total = jnp.zeros((), jnp.float32)
    for row in range(SIDE):
        for column in range(SIDE):
            shifted = padded[:, row : row + rows : stride]
            shifted = shifted[:, :, column : column + columns : stride]
            weights = kernel[row, column, 0].astype(jnp.float32)
            total = total + shifted * layers.along_channels(weights)
    return total.astype(images.dtype)


def _initialise(key, shape, dtype=jnp.float32) -> jax.Array:
    """He's, over the fan-out of an input: nine weights in one channel."""
    height, width, one, channels = shape
    flipped = layers.fan_out_normal(key, (height, width, channels, one), dtype)
    return flipped.reshape(shape)


class DepthwiseConv(nn.Module):
    """As `layers.Conv`, 3x3 and of each channel by itself."""

    stride: int
    dtype: jnp.dtype
    kernel_init: Callable = _initialise

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool, multiplier: jax.Array | None = None
    ) -> jax.Array:
        """Convolves; `multiplier`, [channels], scales the kernel and so the output."""
        shape = (SIDE, SIDE, 1, x.shape[-1])
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        scaled = functools.partial(layers.scale, kernel, multiplier, self.dtype)
        weights = scaled() if train else layers.frozen(self, "kernel", scaled)
        return convolve(x.astype(self.dtype), weights, self.stride)
