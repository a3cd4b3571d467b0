"""Images of a data set as small PNGs, with what is said of each below it."""

from collections.abc import Callable, Iterable

import numpy as np

from kdjax.contracts import printable
from kdjax.reporting.blocks import Gallery, Image

_SIDE = 96  # pixels, at most; smaller images stay as they are

ImageAt = Callable[[int], np.ndarray]  # index -> uint8 [height, width, channels]


def gallery(image_at: ImageAt, captions: Iterable[tuple[int, str]]) -> Gallery:
    """The images of these indices, each with its own text."""
    images = []
    for index, text in captions:
        text = printable(text)
        images.append(Image(thumbnail(image_at(index)), text, text))
    return Gallery(images)


def thumbnail(image: np.ndarray) -> bytes:
    """A PNG of uint8 [height, width, 1 or 3], at most 96 pixels high and wide."""
    from kdjax.data.images.decode import resize
    from kdjax.datasets.encode import png

    height, width, channels = image.shape
    if max(height, width) > _SIDE:
        scale = _SIDE / max(height, width)
        shape = (max(1, round(height * scale)), max(1, round(width * scale)))
        image = resize(image, shape).reshape(*shape, channels)
    return png(np.ascontiguousarray(image)).getvalue()
