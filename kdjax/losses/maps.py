"""What the losses on feature maps share: pooling, sizes, l2 norms without NaN."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses.numerics import AnyArray, PerSample, as_float32

Maps = Float[AnyArray, "batch height width channels"]
OtherMaps = Float[AnyArray, "batch height2 width2 channels"]
MAPS, OTHER_MAPS = "batch height width channels", "batch height2 width2 channels"
# Products of float32 in float32: accelerators round the factors unless asked not to.
EXACT = jax.lax.Precision.HIGHEST
# A vector whose entries are all smaller counts as 0.
_TINY = 1e-12


def check_choice(where: str, name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        hint = contracts.nearest(value, choices) if isinstance(value, str) else ""
        given, expected = contracts.shown(value), " or ".join(choices)
        raise ValueError(f"{where}: {name} is {given}; expected {expected}.{hint}")


def sample_mean(x: Array) -> PerSample:
    """Mean over every axis but the first."""
    return jnp.mean(x, axis=tuple(range(1, x.ndim)))


def flatten_positions(maps: Array) -> Float[Array, "batch positions channels"]:
    """[batch, height, width, channels] with one axis for the positions."""
    batch, height, width, channels = maps.shape
    return maps.reshape(batch, height * width, channels)


def flatten_samples(x: Array) -> Float[Array, "batch entries"]:
    """[batch, ...] with one axis for all entries of a sample."""
    return x.reshape(x.shape[0], int(np.prod(x.shape[1:])))


def l2_normalise(x: Array, axis: int = -1) -> Array:
    """x / ||x||_2 along the axis; 0, with gradient 0, where all |x| <= 1e-12."""
    # The largest entry cancels. Without it, the third power of a small norm is 0.
    top = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=axis, keepdims=True))
    nonzero = ~(top <= _TINY)  # NaN is not zero, and spoils the loss as it should
    y = jnp.where(nonzero, x / jnp.where(nonzero, top, 1.0), 0.0)
    square = jnp.sum(y * y, axis=axis, keepdims=True)
    return y / jnp.sqrt(jnp.where(nonzero, square, 1.0))


def adaptive_average_pool(
    maps: Maps, height: int, width: int
) -> Float[Array, "batch height2 width2 channels"]:
    """Average pooling to a given size, as PyTorch's adaptive_avg_pool2d.

    Bin i of n over an axis of size N is floor(i N / n) .. ceil((i + 1) N / n) - 1: bins
    overlap where n does not divide N.

    Args:
      maps: [batch, height, width, channels].
      height: of the result, > 0; above the height of `maps` rows are repeated.
      width: of the result, > 0.

    Raises:
      ValueError: `maps` of another rank, a size that is not above 0.

    >>> import numpy as np
    >>> maps = np.arange(3, dtype=np.float32).reshape(1, 1, 3, 1)
    >>> print(adaptive_average_pool(maps, 1, 2).ravel())
    [0.5 1.5]
    """
    where = "adaptive_average_pool"
    contracts.shapes(where, maps=(maps, MAPS))
    contracts.whole(where, "height", height, 1)
    contracts.whole(where, "width", width, 1)
    return _pool_axis(_pool_axis(as_float32(maps), 1, height), 2, width)


def _pool_axis(x: Array, axis: int, size: int) -> Array:
    old = x.shape[axis]
    if old == size:
        return x
    if old % size == 0:
        bins = (*x.shape[:axis], size, old // size, *x.shape[axis + 1 :])
        return jnp.mean(x.reshape(bins), axis=axis + 1)
    weights = np.zeros((size, old), np.float32)
    for i in range(size):
        start, end = i * old // size, -(-(i + 1) * old // size)
        weights[i, start:end] = 1.0 / (end - start)
    pooled = jnp.tensordot(weights, x, axes=(1, axis), precision=EXACT)
    return jnp.moveaxis(pooled, 0, axis)


def same_size(
    student: Float[AnyArray, "batch height width channels"],
    teacher: Float[AnyArray, "batch height2 width2 channels2"],
) -> tuple[Array, Array]:
    """Both maps in float32, the larger pooled to the smaller, each axis by itself.

    Args:
      student: [batch, height, width, channels].
      teacher: [batch, height, width, channels], of any size and number of channels.

    Raises:
      ValueError: a map of another rank, batches that differ.

    >>> import numpy as np
    >>> student, teacher = np.ones((2, 8, 8, 3)), np.ones((2, 4, 4, 5))
    >>> [maps.shape for maps in same_size(student, teacher)]
    [(2, 4, 4, 3), (2, 4, 4, 5)]
    """
    axes = contracts.shapes(
        "same_size",
        student=(student, MAPS),
        teacher=(teacher, "batch height2 width2 channels2"),
    )
    height = min(axes["height"], axes["height2"])
    width = min(axes["width"], axes["width2"])
    student = adaptive_average_pool(student, height, width)
    return student, adaptive_average_pool(teacher, height, width)
