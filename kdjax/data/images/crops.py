"""Where crops lie: sizes and random bits in, boxes out; no pixels here.

The geometry is torchvision's: `RandomResizedCrop` for training, `Resize` of the short
side and `CenterCrop` for evaluation. A sample's crop depends on (seed, epoch, index)
alone: not on its batch, its thread or the number of hosts.
"""

import dataclasses
import itertools
import math
import threading
from typing import NamedTuple

import numpy as np

TRIES = 10
_STREAM = 0x626F7865  # separates the boxes from the order, which has the same seed
_RATIO = (3 / 4, 4 / 3)
_EMPTY = np.zeros(4, np.uint64)
_local = threading.local()  # a generator for each thread


class Box(NamedTuple):
    """A rectangle of whole pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: np.ndarray) -> np.ndarray:
        """Its part of an image; nothing is copied."""
        bottom, right = self.top + self.height, self.left + self.width
        return image[self.top : bottom, self.left : right]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Geometry:
    """Which part of an image a network sees, and in which size.

    >>> Geometry().central(500, 375)
    ((341, 256), Box(top=58, left=16, height=224, width=224))
    """

    size: int = 224  # side of the square that is cut out, in pixels, >= 1
    short_side: int = 256  # of the resized image that evaluation crops, >= `size`
    smallest_area: float = 0.08  # of a training crop, as a share of the image, (0, 1]
    # (from epoch, side) of training crops, the first from epoch 0; none: `size`.
    sizes: tuple[tuple[int, int], ...] = ()

    def __post_init__(self):
        if self.size < 1:
            raise ValueError(f"Geometry: size is {self.size}; expected 1 or more.")
        if self.short_side < self.size:
            raise ValueError(
                f"Geometry: short_side is {self.short_side} and size {self.size}; "
                "expected a short side of at least the size."
            )
        if not 0 < self.smallest_area <= 1:
            raise ValueError(
                f"Geometry: smallest_area is {self.smallest_area:g}; expected a number "
                "above 0, 1 at most."
            )
        check_sizes(self.sizes)

    def size_at(self, epoch: int) -> int:
        """Side of training crops in an epoch, counted from 0.

        >>> small_first = Geometry(sizes=((0, 128), (30, 160), (60, 224)))
        >>> [small_first.size_at(epoch) for epoch in (0, 29, 30, 89)]
        [128, 128, 160, 224]
        """
        sides = [side for start, side in self.sizes if start <= epoch]
        return sides[-1] if sides else self.size

    def identity(self) -> dict:
        """As JSON. What is not set is left out, so that older identities stay equal."""
        fields = dataclasses.asdict(self)
        if sizes := fields.pop("sizes"):
            fields["sizes"] = [list(pair) for pair in sizes]
        return fields

    def random(self, height: int, width: int, bits: np.ndarray) -> Box:
        """A crop of `smallest_area` to 1 of the area, with sides of 3:4 to 4:3.

        Area is uniform, the sides' ratio uniform in its logarithm. After TRIES that do
        not fit: the largest central crop of an allowed ratio. `bits` are `crop_bits`.
        """
        least, most = (math.log(limit) for limit in _RATIO)
        for area, ratio, row, column in bits.tolist():
            share = self.smallest_area + _unit(area) * (1 - self.smallest_area)
            aspect = math.exp(least + _unit(ratio) * (most - least))
            wide = round(math.sqrt(height * width * share * aspect))
            high = round(math.sqrt(height * width * share / aspect))
            if 0 < wide <= width and 0 < high <= height:
                # The remainder's bias is below 1e-14.
                top, left = row % (height - high + 1), column % (width - wide + 1)
                return Box(top, left, high, wide)
        high = min(height, round(width / _RATIO[0]))
        wide = min(width, round(height * _RATIO[1]))
        return Box((height - high) // 2, (width - wide) // 2, high, wide)

    def central(self, height: int, width: int) -> tuple[tuple[int, int], Box]:
        """The evaluation crop: (height, width) to resize to, and the box in that."""
        short = min(height, width)
        resized = tuple(
            self.short_side if side == short else int(self.short_side * side / short)
            for side in (height, width)
        )
        top, left = (round((side - self.size) / 2) for side in resized)
        return resized, Box(top, left, self.size, self.size)


def check_sizes(sizes: tuple) -> None:
    """Raises ValueError unless it is pairs of rising epochs, from 0, and of sides."""
    pairs = isinstance(sizes, tuple) and all(
        isinstance(pair, tuple) and [type(n) for n in pair] == [int, int]
        for pair in sizes
    )
    epochs = [epoch for epoch, _ in sizes] if pairs else []
    if not pairs:
        expected = "pairs of whole numbers, (from epoch, side)"
    elif epochs[:1] not in ([], [0]):
        expected = "the first pair to be from epoch 0"
    elif any(later <= epoch for epoch, later in itertools.pairwise(epochs)):
        expected = "each epoch to be above the one before"
    elif any(side < 1 for _, side in sizes):
        expected = "sides of 1 pixel or more"
    else:
        return
    raise ValueError(
        f"Geometry: sizes is {sizes!r}; expected {expected}, such as ((0, 128), "
        "(30, 160), (60, 224))."
    )


def crop_bits(seed: int, epoch: int, index: int) -> np.ndarray:
    """The random bits of a crop, for `Geometry.random`: uint64 [TRIES, 4].

    NumPy promises the same raw bits of Philox in every release.
    """
    if not hasattr(_local, "philox"):
        _local.philox = np.random.Philox(key=0)
    # A fifth of the time that a new generator for every image takes.
    _local.philox.state = {
        "bit_generator": "Philox",
        "state": {
            "key": np.array([seed, _STREAM], np.uint64),
            "counter": np.array([0, index, epoch, 0], np.uint64),
        },
        "buffer": _EMPTY,
        "buffer_pos": len(_EMPTY),
        "has_uint32": 0,
        "uinteger": 0,
    }
    return _local.philox.random_raw(4 * TRIES).reshape(TRIES, 4)


def _unit(bits: int) -> float:
    """64 bits to a multiple of 2**-53 in [0, 1)."""
    return (bits >> 11) * 2.0**-53
