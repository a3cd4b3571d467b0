"""Formats in which images are decoded once, before training: smaller, or as pixels."""

import dataclasses

import numpy as np

from kdjax.data.images.crops import Geometry
from kdjax.data.images.decode import decode, is_plain_jpeg, pixels, resize
from kdjax.data.split import DataError
from kdjax.datasets.encode import jpeg

_LARGEST = 4096


@dataclasses.dataclass(frozen=True)
class ShortSide:
    """JPEGs whose shorter side is `side` pixels; smaller ones stay as they are.

    `quality` is the JPEG encoder's, 1 to 100; colours have half the resolution (4:2:0).
    """

    side: int
    quality: int = 95

    def __post_init__(self):
        _check_side("--short_side", self.side)
        if not 1 <= self.quality <= 100:
            raise DataError(f"--quality is {self.quality}; expected 1 to 100.")

    @property
    def name(self) -> str:
        return f"short_side_{self.side}_quality_{self.quality}"

    @property
    def about(self) -> str:
        return f"JPEGs of quality {self.quality}, short side {self.side} at most"

    @property
    def size(self) -> int:
        """Bytes of an image, roughly; for the number of files."""
        return self.side**2 // 2

    def convert(self, content: bytes) -> bytes:
        """Another file of an image; raises Unreadable."""
        image = decode(content)
        if min(image.shape[:2]) <= self.side and is_plain_jpeg(content):
            return content
        return jpeg(shrink(image, self.side), self.quality)


@dataclasses.dataclass(frozen=True)
class Pixels:
    """Pixels of images, shorter side `side` at most: nothing to decode later."""

    side: int

    def __post_init__(self):
        _check_side("--pixels", self.side)

    @property
    def name(self) -> str:
        return f"pixels_{self.side}"

    @property
    def about(self) -> str:
        return f"pixels of images (PPM), short side {self.side} at most"

    @property
    def size(self) -> int:
        return 4 * self.side**2

    def convert(self, content: bytes) -> bytes:
        return pixels(shrink(decode(content), self.side))


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    """An image whose shorter side is `side` at most, resized as the evaluation does."""
    shape = shrunk(image.shape[:2], side)
    return image if shape == image.shape[:2] else resize(image, shape)


def shrunk(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """(height, width) of what `shrink` makes of an image."""
    if min(shape) <= side:
        return shape
    return Geometry(size=1, short_side=side).central(*shape)[0]


def _check_side(option: str, side: int) -> None:
    if not 2 <= side <= _LARGEST:
        raise DataError(f"{option} is {side}; expected 2 to {_LARGEST} pixels.")
