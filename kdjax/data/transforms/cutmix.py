"""CutMix on the device: a box of each image is its neighbour's.

S. Yun, D. Han, S. J. Oh, S. Chun, J. Choe, Y. Yoo, "CutMix: Regularization Strategy to
Train Strong Classifiers with Localizable Features", ICCV 2019 (arXiv:1905.04899).

The box depends on (seed, epoch, index of the sample); the neighbour is that of
`kdjax.data.transforms.mixup`: the row before it in the global batch.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from kdjax import contracts
from kdjax.data.transforms.augment import sample_bits
from kdjax.data.transforms.mixup import shares_of

_STREAM = 0x6375746D  # separates the boxes from other random numbers of the seed


def draw_boxes(
    seed: int | Int[Array, ""],
    epoch: Int[Array, " batch"],
    index: Int[Array, " batch"],
    *,
    alpha: float,
    height: int,
    width: int,
) -> Int[Array, "batch 4"]:
    """Draws boxes (top, bottom, left, right), the ends not included, one a sample.

    l ~ Beta(alpha, alpha) is the part that stays, alpha in (0, 100], 1 in the paper.
    The sides are those of the image times sqrt(1 - l), the centre is any pixel, and the
    border cuts off what is outside (Yun et al., section 3.1). As in their public code a
    side is an even number of pixels. The paper draws one box a batch, this one a
    sample, and cuts each batch of CIFAR with probability 1/2, this one always.

    >>> first = jnp.zeros(3, jnp.int32)
    >>> index = jnp.arange(3, dtype=jnp.int32)
    >>> draw_boxes(0, first, index, alpha=1.0, height=8, width=8).shape
    (3, 4)
    """
    contracts.shapes("draw_boxes", epoch=(epoch, "batch"), index=(index, "batch"))
    bits = sample_bits(seed, _STREAM, epoch, index, (4,))
    larger = shares_of(bits[:, 0], alpha)
    cut = jnp.where(bits[:, 1] >> 31 == 1, larger, 1.0 - larger)
    ends = []
    for size, place in ((height, bits[:, 2]), (width, bits[:, 3])):
        centre = (place % jnp.uint32(size)).astype(jnp.int32)
        half = jnp.floor(size * jnp.sqrt(cut)).astype(jnp.int32) // 2
        ends += [jnp.maximum(centre - half, 0), jnp.minimum(centre + half, size)]
    return jnp.stack(ends, axis=-1)


def outside(
    box: Int[Array, "batch 4"], height: int, width: int
) -> Float[Array, "batch height width"]:
    """1 where an image keeps its own pixels, 0 in its box.

    The mean is the exact share of its own label; `mix` takes it as it is.

    >>> box = jnp.array([[0, 2, 1, 3]])
    >>> print(outside(box, 2, 3)[0])
    [[1. 0. 0.]
     [1. 0. 0.]]
    """
    contracts.shapes("outside", box=(box, "batch ends"))
    top, bottom, left, right = (box[:, i, None] for i in range(4))
    row, column = (jnp.arange(n, dtype=jnp.int32)[None] for n in (height, width))
    rows, columns = (row >= top) & (row < bottom), (column >= left) & (column < right)
    return 1.0 - (rows[:, :, None] & columns[:, None, :]).astype(jnp.float32)
