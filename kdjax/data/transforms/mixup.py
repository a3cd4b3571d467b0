"""Mixup on the device: each image of a batch with a share of its neighbour's.

H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz, "mixup: Beyond Empirical Risk
Minimization", ICLR 2018 (arXiv:1710.09412). Teacher and students see the same mixtures:
"function matching" of L. Beyer, X. Zhai, A. Royer, L. Markeeva, R. Anil, A. Kolesnikov,
"Knowledge distillation: A good teacher is patient and consistent", CVPR 2022
(arXiv:2106.05237).

The share depends on (seed, epoch, index of the sample), the neighbour, the row before
it in the global batch, on (seed, step, batch size). So a resumed run sees the same
pixels, and one on other devices sees them to the rounding of float32.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from kdjax import contracts
from kdjax.data.transforms.augment import LARGEST_ALPHA, sample_bits

_STREAM = 0x6D697875  # separates the shares from other random numbers of the seed
_NODES = 4097


def mix(
    image: Float[Array, "batch height width channels"],
    share: Float[Array, " batch"] | Float[Array, "batch height width"],
) -> Float[Array, "batch height width channels"]:
    """share x_i + (1 - share) x_(i-1), the first row with the last; share in [0, 1].

    `share` is of a sample or of each of its pixels, [batch, height, width].

    Of a batch that is divided over devices, each sends its last row to the next one: a
    collective permute of one image.

    >>> image = jnp.array([0.0, 8.0]).reshape(2, 1, 1, 1)
    >>> print(mix(image, jnp.array([0.75, 0.5])).ravel())
    [2. 4.]
    """
    contracts.shapes(
        "mix",
        image=(image, "batch height width channels"),
        share=(share, "batch", "batch height width"),
    )
    own = share[:, None, None, None] if share.ndim == 1 else share[..., None]
    return own * image + (1.0 - own) * jnp.roll(image, 1, axis=0)


def draw_shares(
    seed: int | Int[Array, ""],
    epoch: Int[Array, " batch"],
    index: Int[Array, " batch"],
    *,
    alpha: float,
) -> Float[Array, " batch"]:
    """max(b, 1 - b) of b ~ Beta(alpha, alpha), one a sample, in [1/2, 1].

    The larger part is the row's own image, whose label is the more likely one, as in
    the public code of Beyer et al. Without labels the mixtures are those of Zhang et
    al. alpha = 1 is uniform, below 1 favours single images.

    >>> first = jnp.zeros(3, jnp.int32)
    >>> share = draw_shares(0, first, jnp.arange(3, dtype=jnp.int32), alpha=1.0)
    >>> bool(((share >= 0.5) & (share <= 1)).all())
    True
    """
    contracts.shapes("draw_shares", epoch=(epoch, "batch"), index=(index, "batch"))
    return shares_of(sample_bits(seed, _STREAM, epoch, index), alpha)


def shares_of(bits: UInt32[Array, " batch"], alpha: float) -> Float[Array, " batch"]:
    """max(b, 1 - b) of b ~ Beta(alpha, alpha), where bits are uniform.

    >>> print(shares_of(jnp.array([0, 2**31], jnp.uint32), 1.0))
    [1.   0.75]
    """
    # To the middle of one of 2 ** 24 cells: float32 has no more digits below 1.
    cell = (bits >> 8).astype(jnp.float32)
    return _quantile((cell + 0.5) * jnp.float32(2.0**-24), alpha)


def _quantile(u: Float[Array, " batch"], alpha: float) -> Float[Array, " batch"]:
    """The share that a fraction `u` of all shares lies above."""
    if alpha == 1:
        return 1.0 - 0.5 * u
    node = _interpolate(u, *map(jnp.asarray, _table(float(alpha))))
    return 1.0 - node ** jnp.float32(1.0 / min(alpha, 1.0))


def _interpolate(x: Float[Array, " batch"], nodes: Array, values: Array) -> Array:
    """`jnp.interp` within the nodes, but that it compares with all of them at once.

    Its own search is a loop, which an accelerator runs one step after the other.
    """
    after = jnp.searchsorted(nodes, x, side="right", method="compare_all")
    after = jnp.clip(after, 1, len(nodes) - 1)
    start, rise = values[after - 1], values[after] - values[after - 1]
    width = nodes[after] - nodes[after - 1]
    empty = jnp.abs(width) <= np.spacing(np.finfo(np.float32).eps)
    part = (x - nodes[after - 1]) / jnp.where(empty, 1.0, width)
    return jnp.where(empty, start, start + part * rise)


@functools.cache
def _table(alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """(fraction of the smaller shares t below each node, t ** min(alpha, 1) at it).

    A table and no sampler by rejection, which other versions of JAX might draw from
    otherwise. Where alpha < 1 the density t ** (alpha - 1) has no bound at 0; in s = t
    ** alpha it is (1 - t) ** (alpha - 1), which has.
    """
    if not 0 < alpha <= LARGEST_ALPHA:
        raise ValueError(
            f"draw_shares: alpha is {alpha:g}; expected a number above 0, "
            f"{LARGEST_ALPHA:g} at most."
        )
    power = min(alpha, 1.0)
    node = np.linspace(0.0, 0.5**power, _NODES)
    t = node ** (1.0 / power)
    density = (1.0 - t) ** (alpha - 1.0) * t ** (alpha - 1.0 if alpha > 1 else 0.0)
    slices = 0.5 * (density[1:] + density[:-1])
    below = np.concatenate([[0.0], np.cumsum(slices)])
    return (below / below[-1]).astype(np.float32), node.astype(np.float32)
