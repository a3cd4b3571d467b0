"""An image of a folder as a set stores it: upright, opaque, and decoded once.

A file stays as it is, byte for byte, unless EXIF turns it or a TIFF is transparent.
"""

from typing import NamedTuple

import cv2
import numpy as np

from kdjax.data.images.decode import Unreadable, decode, decode_with_warning
from kdjax.data.images.exif import orientation, tiff_tags, turned
from kdjax.datasets.encode import jpeg, png

SUFFIXES = (".jpeg", ".jpg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif")
SUFFIXES += (".tiff", ".gif", ".ppm", ".pgm", ".heic", ".heif", ".avif")
EXIF = ("apply", "refuse")
_QUALITY = 100  # of a JPEG that was turned
_TIFF = (b"II*\0", b"MM\0*")
_BITS, _PHOTOMETRIC, _EXTRA, _FORMAT = 258, 262, 338, 339  # TIFF's tags
_TRANSPARENT = (1, 2)  # values of _EXTRA; with others a fourth channel is anything
_RGB, _LAB, _FLOAT = 2, 8, 3
_JPEG_XL = "JPEG XL, for which there is no decoder here; convert it to JPEG"
# Beginnings of files that are often among images -> what they are.
_FOREIGN = {
    b"<html": "a web page; fetch the image anew",
    b"<!doc": "a web page; fetch the image anew",
    b"<?xml": "an SVG or another text; draw it as PNG",
    b"<svg ": "an SVG; draw it as PNG",
    b"%pdf-": "a PDF; export its images",
    b"8bps": "a Photoshop document; export it as PNG",
    b"\xff\x0a": _JPEG_XL,
    b"\0\0\0\x0cjxl ": _JPEG_XL,
    b"version https://git-lfs": "a pointer of Git LFS; type `git lfs pull`",
}
_AVIFS = (b"avif", b"avis")
_HEICS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_HEIC = "HEIC, for which there is no decoder here; convert it to JPEG"
_AVIF = "AVIF, which this build of OpenCV does not decode; convert it to JPEG"


class StoredImage(NamedTuple):
    """What a set holds of an image, its pixels, and the decoder's warning."""

    content: bytes
    image: np.ndarray  # uint8 RGB [height, width, 3]
    warning: str


def stored_image(content: bytes, *, exif: str = "apply") -> StoredImage:
    """An image as it is stored; `exif` is "apply", or "refuse" for what it turns.

    What has to be turned is encoded anew: a JPEG in quality 100, others as PNG without
    loss. Raises Unreadable.
    """
    turn = orientation(content)
    if turn != 1 and exif == "refuse":
        raise Unreadable(
            f"turned by its EXIF orientation {turn}; --exif=apply turns it"
        )
    try:
        if content[:4] in _TIFF:  # OpenCV turns it itself
            return _tiff(content)
        image, warning = decode_with_warning(content)
    except Unreadable as error:
        if name := _foreign(content):
            raise Unreadable(f"it is {name}") from error
        raise
    if turn == 1:
        return StoredImage(content, image, warning)
    image = turned(image, turn)
    if content[:2] == b"\xff\xd8":
        content = jpeg(image, _QUALITY)
        return StoredImage(content, decode(content), warning)
    return StoredImage(png(image).getvalue(), image, warning)


def is_image(name: str, head: bytes) -> bool:
    """Whether a file is one by its name or its first 16 bytes: then it is decoded."""
    return (
        name.lower().endswith(SUFFIXES)
        or head[:3] in (b"\xff\xd8\xff", b"GIF")
        or head[:4] in (b"\x89PNG", *_TIFF)
        or (head[:4], head[8:12]) == (b"RIFF", b"WEBP")
        or (head[:2], head[6:10]) == (b"BM", bytes(4))
        or (head[4:8] == b"ftyp" and head[8:12] in _AVIFS + _HEICS)
    )


def _tiff(content: bytes) -> StoredImage:
    """White below what is transparent, which `decode` would drop."""
    tags = tiff_tags(content)
    kind, bits = tags.get(_PHOTOMETRIC), tags.get(_BITS, 1)
    if tags.get(_FORMAT) == _FLOAT or bits > 16 or kind == _LAB:
        raise Unreadable(
            "a TIFF of floats, of more than 16 bits or in Lab; save it with 8 bits"
        )
    if tags.get(_EXTRA) not in _TRANSPARENT:
        image, warning = decode_with_warning(content)
        return StoredImage(content, image, warning)
    if (kind, bits) != (_RGB, 8):
        raise Unreadable(
            "a TIFF with transparency that is not RGB of 8 bits; save it as PNG"
        )
    decode(content)  # what it refuses
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    # libtiff gives colours that are multiplied by their opacity already.
    white = image[..., :3] + (255 - image[..., 3:])
    image = cv2.cvtColor(np.ascontiguousarray(white), cv2.COLOR_BGR2RGB)
    return StoredImage(png(image).getvalue(), image, "")


def _foreign(content: bytes) -> str:
    """What a file is that no decoder knows; "" where that is not known."""
    head = content[:32].lstrip().lower()
    if content[4:8] == b"ftyp" and content[8:12] in _AVIFS + _HEICS:
        return _AVIF if content[8:12] in _AVIFS else _HEIC
    return next(
        (name for begin, name in _FOREIGN.items() if head[: len(begin)] == begin), ""
    )
