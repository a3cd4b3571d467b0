"""The upper rows of a JPEG: a decoder that is told of fewer rows stops after them.

No decoder that Python has can skip what lies below a box. But the rows of a baseline
JPEG come in order, so one whose header says that it is less high decodes to the same
pixels, as far as they go. What is left over it finds at the end, when all is decoded,
and complains of: the one complaint that is expected here.
"""

import re

import numpy as np
import simplejpeg

_BASELINE, _TABLES, _RESTARTS, _SCAN = (0xC0, 0xC1), (0xC4, 0xC8, 0xCC), 0xDD, 0xDA
_FRAMES = range(0xC0, 0xD0)
_LEFT_OVER = re.compile(r"\d+ extraneous bytes before marker 0xd9$")
# Below the box, since colours are smoothed between rows; two rows at an eighth.
_MARGIN = 16


def rows_needed(bottom: int, height: int, factor: int) -> int:
    """How many rows decide the pixels above `bottom`, of a picture to be reduced."""
    return min(height, bottom + _MARGIN * factor)


def decode_rows(
    content: bytes, rows: int, width: int, factor: int, scaling: dict[str, int]
) -> np.ndarray | None:
    """Decodes the uppermost rows, exactly as they are in the whole picture.

    Args:
      content: a JPEG.
      rows: how many, less than it has.
      width: of the picture.
      factor: by which it is reduced.
      scaling: simplejpeg's arguments for that.

    Returns:
      uint8 RGB, or None: it is of another kind, or damaged, which decoding all of it
      tells.
    """
    place = _height_at(content)
    if place is None:
        return None
    shorter = b"".join((content[:place], rows.to_bytes(2, "big"), content[place + 2 :]))
    image = np.empty((-(-rows // factor), -(-width // factor), 3), np.uint8)
    if factor > 1:  # or a narrow picture would be reduced further
        scaling = scaling | {"min_height": len(image)}
    try:
        found = simplejpeg.decode_jpeg(shorter, "RGB", buffer=image, **scaling)
        if found.shape != image.shape:  # another rounding than is thought of here
            return None
    except ValueError as error:  # at the first complaint, whatever it is of
        if not _LEFT_OVER.search(str(error)):
            return None
    return image


def _height_at(content: bytes) -> int | None:
    """Where a baseline JPEG of a single scan, without restarts, says its height."""
    place, at, parts = None, 2, 0
    while at + 10 < len(content) and content[at] == 0xFF:
        kind = content[at + 1]
        if kind in _FRAMES and kind not in _TABLES:
            if kind not in _BASELINE:
                return None
            place, parts = at + 5, content[at + 9]
        if kind == _RESTARTS:
            return None
        if kind == _SCAN:
            return place if content[at + 4] == parts else None
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return None
