"""Forms in which pictures are decoded once, before training: smaller, or as pixels."""

import dataclasses
import re

import numpy as np

from kdjax.data.errors import DataError
from kdjax.data.images.crops import Geometry
from kdjax.data.images.decode import decode, is_plain_jpeg, pixels, resize
from kdjax.datasets.encode import jpeg

_LARGEST = 4096
_NAME = re.compile(r"pixels_(\d+)|short_side_(\d+)_quality_(\d+)")


@dataclasses.dataclass(frozen=True)
class ShortSide:
    """JPEGs whose shorter side is `side`; smaller ones stay as they are.

    Attributes:
      side: in pixels.
      quality: of the JPEG encoder, 1 to 100; colours at half resolution (4:2:0).
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
        """Bytes of a picture, roughly; for the number of files."""
        return self.side**2 // 2

    def make(self, content: bytes) -> bytes:
        """Another file of a picture.

        Raises:
          Unreadable: it cannot be decoded.
        """
        image = decode(content)
        if min(image.shape[:2]) <= self.side and is_plain_jpeg(content):
            return content
        return jpeg(shortened(image, self.side), self.quality)


@dataclasses.dataclass(frozen=True)
class Pixels:
    """Decoded pictures whose shorter side is `side` at most: nothing to decode later.

    Attributes:
      side: in pixels.
    """

    side: int

    def __post_init__(self):
        _check_side("--pixels", self.side)

    @property
    def name(self) -> str:
        return f"pixels_{self.side}"

    @property
    def about(self) -> str:
        return f"pixels of pictures (PPM), short side {self.side} at most"

    @property
    def size(self) -> int:
        """Bytes of a picture, roughly; for the number of files."""
        return 4 * self.side**2

    def make(self, content: bytes) -> bytes:
        """Another file of a picture.

        Raises:
          Unreadable: it cannot be decoded.
        """
        return pixels(shortened(decode(content), self.side))


def options_of(name: str) -> str | None:
    """The options of `prepare` that make a form of this name; None if none do.

    >>> options_of("short_side_256_quality_95")
    '--short_side=256 --quality=95'
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    pixels, side, quality = match.groups()
    return (
        f"--pixels={pixels}" if pixels else f"--short_side={side} --quality={quality}"
    )


def shortened(image: np.ndarray, side: int) -> np.ndarray:
    """A picture whose shorter side is `side` at most, by area means (antialiased).

    As the evaluation resizes it before its central crop, so that one whose short side
    is `side` sees what it would have seen of the original.
    """
    if min(image.shape[:2]) <= side:
        return image
    shape, _ = Geometry(size=1, short_side=side).central(*image.shape[:2])
    return resize(image, shape)


def _check_side(option: str, side: int) -> None:
    if not 2 <= side <= _LARGEST:
        raise DataError(f"{option} is {side}; expected 2 to {_LARGEST} pixels.")
