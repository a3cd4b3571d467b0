"""Decodes the upper rows of a JPEG: with fewer rows in its header, a decoder stops.

No decoder that Python has can skip what lies below a box. But the rows of a baseline
JPEG come in order, so one whose header says that it is less high decodes to the same
pixels, as far as they go. When all is decoded, the decoder complains about the bytes
that are left over: the one error that is expected here.
"""

import re

import numpy as np
import simplejpeg

_BASELINE, _TABLES, _RESTARTS, _SCAN = (0xC0, 0xC1), (0xC4, 0xC8, 0xCC), 0xDD, 0xDA
_FRAMES = range(0xC0, 0xD0)
_LEFT_OVER = re.compile(r"\d+ extraneous bytes before marker 0xd9$")
# Below the box, since colours are smoothed between rows; two rows at an eighth.
_MARGIN = 16


def scaling(height: int, width: int, factor: int) -> dict[str, int]:
    """simplejpeg's options that divide both sides by 1, 2, 4 or 8, rounded up."""
    if factor == 1:
        return {}
    shape = {"min_height": -(-height // factor), "min_width": -(-width // factor)}
    return shape | {"min_factor": factor}


def decode_rows(
    content: bytes, size: tuple[int, int], bottom: int, factor: int
) -> np.ndarray | None:
    """Decodes the rows above `bottom`, exactly as they are in the whole image.

    `size` is (height, width), `factor` that of `scaling`. Returns uint8 RGB, or None:
    all rows are needed, or it is a JPEG of another kind, or damaged; decode all of it.
    """
    (height, width), offset = size, _height_offset(content)
    rows = bottom + _MARGIN * factor
    if rows >= height or offset is None:
        return None
    parts = content[:offset], rows.to_bytes(2, "big"), content[offset + 2 :]
    image = np.empty((-(-rows // factor), -(-width // factor), 3), np.uint8)
    options = scaling(rows, width, factor) | {"buffer": image}
    try:
        decoded = simplejpeg.decode_jpeg(b"".join(parts), "RGB", **options)
        if decoded.shape != image.shape:  # rounded in another way
            return None
    except ValueError as error:  # the first one, whatever it is
        if not _LEFT_OVER.search(str(error)):
            return None
    return image


def _height_offset(content: bytes) -> int | None:
    """Offset of the height in a baseline JPEG of a single scan, without restarts."""
    offset, at, components = None, 2, 0
    while at + 10 < len(content) and content[at] == 0xFF:
        kind = content[at + 1]
        if kind in _FRAMES and kind not in _TABLES:
            if kind not in _BASELINE:
                return None
            offset, components = at + 5, content[at + 9]
        if kind == _RESTARTS:
            return None
        if kind == _SCAN:
            return offset if content[at + 4] == components else None
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return None
