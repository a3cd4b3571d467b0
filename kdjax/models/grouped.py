"""3x3 convolutions of groups of channels, in the way that suits where they run.

XLA's CPU backend (jax 0.10) takes a hundred times longer for the gradients of such a
convolution (128 channels in 32 groups, 28x28) than for those of the whole convolution
that it is, with zeros between the groups. Accelerators have kernels for it.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.models import layers

SIDE = 3


def convolve(
    images: jax.Array, kernel: jax.Array, stride: int, groups: int
) -> jax.Array:
    """Each group of channels by itself, padded by 1 on every side.

    Images [b, h, w, c] and kernel [3, 3, c / groups, out] of one dtype.

    >>> images, kernel = jnp.ones((1, 4, 4, 4)), jnp.ones((3, 3, 2, 6))
    >>> convolve(images, kernel, 1, 2)[0, :2, :2, 0].tolist()
    [[8.0, 12.0], [12.0, 18.0]]
    """
    options = {"stride": stride, "pad": SIDE // 2}
    grouped = functools.partial(layers.convolve, **options, groups=groups)

    def whole(images, kernel):
        return layers.convolve(images, _with_zeros(kernel, groups), **options)

    return jax.lax.platform_dependent(images, kernel, cpu=whole, default=grouped)


def _with_zeros(kernel: jax.Array, groups: int) -> jax.Array:
    """[3, 3, c / groups, out] -> [3, 3, c, out], 0 where the groups differ."""
    inputs, outputs = kernel.shape[2], kernel.shape[3] // groups
    of_group = kernel.reshape(SIDE, SIDE, 1, inputs, groups, outputs)
    same = jnp.eye(groups, dtype=kernel.dtype).reshape(1, 1, groups, 1, groups, 1)
    return (of_group * same).reshape(SIDE, SIDE, groups * inputs, groups * outputs)


class GroupedConv(nn.Module):
    """As `layers.Conv`, 3x3 without bias, in groups of channels."""

    features: int
    groups: int
    stride: int
    dtype: jnp.dtype
    kernel_init: Callable = layers.fan_out_normal

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool, multiplier: jax.Array | None = None
    ) -> jax.Array:
        """Convolves; `multiplier`, [features], scales the output."""
        shape = (SIDE, SIDE, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        scaled = functools.partial(layers.scale, kernel, multiplier, self.dtype)
        weights = scaled() if train else layers.frozen(self, "kernel", scaled)
        return convolve(x.astype(self.dtype), weights, self.stride, self.groups)
