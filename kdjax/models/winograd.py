"""3x3 convolutions with a quarter of the products, for evaluation on a CPU.

Lavin & Gray, arXiv 1509.09308, F(4x4, 3x3): tiles of 4x4 outputs come from tiles of 6x6
inputs by 36 products in place of 144; in between is one matrix product a position. In
float32 that costs about one digit.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from kdjax.models.platform import target_platform

TILE = 4  # outputs of a tile, each way
REACH = TILE + 2  # its inputs
# What a tile's inputs, the kernel and the products are multiplied by from both sides.
INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
OUTPUT = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)
# With fewer channels, or fewer tiles at a time, the transforms cost what the products
# save; numbers above TILED leave a core's cache of 1 MiB.
CHANNELS, TILES, IMAGES, TILED = 32, 16, 8, 2**20


def suits(images: jax.Array, kernel: jax.Array, stride: int) -> bool:
    """Whether `convolve` is the faster way, where the program is to run.

    That is on CPUs, in float32, and for images that need not be divided to fit a cache.
    """
    batch, height, width, channels = images.shape
    return (
        target_platform() == "cpu"
        and kernel.shape[:2] == (3, 3)
        and stride == 1
        and images.dtype == kernel.dtype == jnp.float32
        and kernel.shape[2] == channels  # no groups
        and min(channels, kernel.shape[-1]) >= CHANNELS
        and isinstance(batch, int)  # `jax.export` has others
        and batch > 0
        and height % TILE == width % TILE == 0
        and TILES <= _group(images.shape) * height * width // TILE**2
    )


def factors(kernel: jax.Array) -> jax.Array:
    """A kernel [3, 3, c, k] as `convolve` takes it, [36, c, k]."""
    rows = _transform(KERNEL, list(kernel))  # [6, 3, c, k]
    both = _transform(KERNEL, [rows[:, i] for i in range(3)])
    return both.reshape(REACH**2, *kernel.shape[2:])


def convolve(images: jax.Array, factors: jax.Array) -> jax.Array:
    """The 3x3 convolution of stride 1, padded by 1, with the `factors` of a kernel.

    Images are [b, h, w, c] in float32, h and w multiples of 4.
    Outputs of variance 1 are off by 2e-6 (root mean square), a direct sum by 4e-7. An
    outlier among the inputs costs all outputs of its tiles about 1e-6 of it.

    >>> images, kernel = jnp.ones((1, 8, 8, 2)), jnp.ones((3, 3, 2, 5))
    >>> y = convolve(images, factors(kernel))
    >>> y.shape, round(float(y[0, 4, 4, 0]), 3), round(float(y[0, 0, 0, 0]), 3)
    ((1, 8, 8, 5), 18.0, 8.0)
    """
    batch, *shape = images.shape
    # Devices share the batch, so every group has its part of each device's images.
    devices, group = _devices(batch), max(1, _group(images.shape))
    groups = images.reshape(devices, -1, group, *shape)
    convolve_group = functools.partial(_convolve_group, factors)
    outputs = jnp.moveaxis(lax.map(convolve_group, jnp.moveaxis(groups, 1, 0)), 0, 1)
    return outputs.reshape(batch, *shape[:-1], factors.shape[-1])


def _devices(batch: int) -> int:
    """How many share a batch; one program need not be on all of the process's."""
    return math.gcd(batch, jax.device_count())


def _group(shape: tuple[int, ...]) -> int:
    """Images of a device that are in work together; 0 if one is too large already."""
    batch, height, width, channels = shape
    rows = batch // _devices(batch)
    numbers = REACH**2 * (height * width // TILE**2) * channels
    sizes = range(1, min(IMAGES, TILED // numbers) + 1)
    return max((size for size in sizes if rows % size == 0), default=0)


def _convolve_group(factors: jax.Array, images: jax.Array) -> jax.Array:
    """[36, c, k], [devices, group, h, w, c] -> [devices, group, h, w, k]"""
    devices, group, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
    rows, columns = height // TILE, width // TILE
    transformed = _transform(INPUT, _every_fourth(padded, 2, rows))
    transformed = _transform(INPUT, _every_fourth(transformed, 4, columns))
    transformed = transformed.reshape(REACH**2, devices, -1, channels)
    # The products; each of 36 positions has a matrix of its own.
    products = jnp.einsum("adtc,ack->adtk", transformed, factors)
    products = products.reshape(REACH, REACH, devices, group, rows, columns, -1)
    outputs = _transform(OUTPUT, list(products), axis=5)
    outputs = _transform(OUTPUT, list(outputs), axis=3)
    return outputs.reshape(devices, group, height, width, -1)


def _every_fourth(images: jax.Array, axis: int, tiles: int) -> list[jax.Array]:
    """The i-th input of every tile along an axis, for each i."""
    ends = ((i, i + TILE * (tiles - 1) + 1) for i in range(REACH))
    return [lax.slice_in_dim(images, *pair, TILE, axis=axis) for pair in ends]


def _transform(matrix, parts: list[jax.Array], axis: int = 0) -> jax.Array:
    """matrix @ parts, with the rows along a new axis; products with 0 are left out."""
    sums = []
    for row in matrix:
        terms = [_scaled(x, c) for c, x in zip(row, parts, strict=True) if c]
        sums.append(functools.reduce(jnp.add, terms))
    return jnp.stack(sums, axis)


def _scaled(array: jax.Array, factor: float) -> jax.Array:
    return array if factor == 1 else -array if factor == -1 else factor * array
