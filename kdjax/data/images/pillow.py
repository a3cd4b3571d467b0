"""Images of Pillow as arrays, with the pixels that a file of them would have.

Pillow itself is not imported: kdjax does not need it, and who gives its images has it.
"""

from typing import Any

import numpy as np

_WITH_OPACITY = ("LA", "La", "PA", "RGBA", "RGBa")
_ARRAYS = ("L", "RGB", "I", "F")  # the last two have no range: their numbers decide
_HIGH_BYTE = "I;16"


def is_pillow(image: Any) -> bool:
    """Whether it is an image of Pillow, and not an array."""
    return all(hasattr(image, name) for name in ("mode", "convert", "getbands"))


def as_array(image: Any) -> np.ndarray:
    """uint8 [height, width] of grey, [height, width, 3] of all other modes.

    Transparency shows white, a palette its colours, of 16 bits the high byte stays.
    Images of mode I and F are arrays as they are; whoever takes them checks the range.
    """
    if image.mode in _WITH_OPACITY or "transparency" in image.info:
        from kdjax.data.images.opencv import on_white

        return on_white(np.asarray(image.convert("RGBA")))
    if image.mode.startswith(_HIGH_BYTE):
        return (np.asarray(image) >> 8).astype(np.uint8)
    if image.mode in _ARRAYS:
        return np.asarray(image)
    return np.asarray(image.convert("RGB"))
