"""Bytes of one picture to RGB, and the crop of it that a network sees.

simplejpeg, which gives the GIL back and is 1.1 times as fast as OpenCV, decodes colour
and greyscale JPEGs; OpenCV those in CMYK and everything that is not a JPEG.
"""

import re

import cv2
import numpy as np
import simplejpeg

from kdjax.data.images.crops import Box
from kdjax.data.images.partial_jpeg import decode_rows, rows_needed

# The feed has threads of its own; OpenCV's would only fight with them.
cv2.setNumThreads(0)
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"
_PIXELS = re.compile(rb"P6\n(\d+) (\d+)\n255\n")  # PPM: what `pixels` writes
# Bytes before the end of the file that are nobody's: harmless as an encoder's filling,
# as which Pillow takes them. But damage may show in nothing else, so `prepare` tells.
_MORE = "extraneous bytes before marker 0xd9"
_CUT = "premature end"
_NOT_RGB = ("CMYK", "YCCK")
_SMALLEST = 2  # pixels a side: one of 1 x 1 stands for a picture that is not there


class Unreadable(ValueError):
    """The bytes are not a whole picture."""


def decode(content: bytes) -> np.ndarray:
    """Decodes a picture, exactly (no fast transforms) and without turning it.

    Args:
      content: a JPEG, PNG or whatever else OpenCV reads.

    Returns:
      uint8 RGB [height, width, 3]; greyscale three times, transparency dropped.

    Raises:
      Unreadable: damaged, cut short, of no known format or of 1 pixel a side.
    """
    return decode_told(content)[0]


def decode_told(content: bytes) -> tuple[np.ndarray, str]:
    """`decode`, and what the decoder complains of in what is taken nevertheless."""
    complaint = ""
    if head := _PIXELS.match(content):
        image = _stored(content, head)
    elif content[:2] == _JPEG:
        image, complaint = _jpeg(content)
    else:
        image = _other(content)
    check_size(*image.shape[:2])
    return image, complaint


def decode_whatever(content: bytes) -> tuple[np.ndarray, str]:
    """`decode_told` that takes whatever JPEG does not end too early.

    Its pixels are those that Pillow would show. Others than `decode` takes must be
    encoded anew, or they could not be read later.

    Raises:
      Unreadable: cut short, or nothing that gives a picture.
    """
    try:
        return decode_told(content)
    except Unreadable as error:
        if content[:2] != _JPEG or _CUT in str(error).lower():
            raise
        complaint = str(error)
    image = _told(simplejpeg.decode_jpeg, content, "RGB", strict=False)
    check_size(*image.shape[:2])
    return image, complaint


def pixels(image: np.ndarray) -> bytes:
    """Stores uint8 RGB [height, width, 3] as it is, with a line that tells its size.

    That is a PPM file. `decode` copies nothing of it.
    """
    head = f"P6\n{image.shape[1]} {image.shape[0]}\n255\n"
    return head.encode() + np.ascontiguousarray(image).tobytes()


def is_plain_jpeg(content: bytes) -> bool:
    """Whether it is a JPEG in colour or grey; not one for a printer, in CMYK."""
    try:
        return size_of_jpeg(content) is not None
    except Unreadable:
        return False


def is_taken(complaint: str) -> bool:
    """Whether `decode` takes a picture of which that is all that is to be said."""
    return not complaint or _MORE in complaint


def check_size(height: int, width: int) -> None:
    """Raises Unreadable for what stands for a picture that is not there."""
    if min(height, width) < _SMALLEST:
        raise Unreadable(f"it has {height} x {width} pixels")


def size_of_jpeg(content: bytes) -> tuple[int, int] | None:
    """(height, width) of a JPEG that `decode_reduced` takes; None: `decode` does.

    Raises:
      Unreadable: its header is damaged, or it has 1 pixel a side.
    """
    if content[:2] != _JPEG:
        return None
    height, width, colours, _ = _told(simplejpeg.decode_jpeg_header, content)
    check_size(height, width)
    return None if colours in _NOT_RGB else (height, width)


def decode_reduced(
    content: bytes, size: tuple[int, int], bottom: int, factor: int
) -> np.ndarray:
    """Decodes a JPEG down to a row, and with fewer pixels: frequencies that those
    cannot show are left out of its cosine transforms.

    Args:
      content: of the file.
      size: from `size_of_jpeg`.
      bottom: of the rows that are looked at; there may be some more.
      factor: 1, 2, 4 or 8; sides are divided by it and rounded up.

    Raises:
      Unreadable: cut short, or damaged in what was decoded.
    """
    height, width = size
    rows, scaling = rows_needed(bottom, height, factor), {}
    if factor > 1:
        scaling = {"min_width": -(-width // factor), "min_factor": factor}
    if rows < height:
        image = decode_rows(content, rows, width, factor, scaling)
        if image is not None:
            return image
    if factor > 1:
        scaling["min_height"] = -(-height // factor)
    return _colour(content, **scaling)[0]


def cut(image: np.ndarray, box: Box, size: int) -> np.ndarray:
    """A box of a picture, resized to uint8 [size, size, 3]."""
    part = image[box.top : box.top + box.height, box.left : box.left + box.width]
    return resize(part, (size, size))


def resize(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """To (height, width): area means where that shrinks both sides, else bilinear.

    Bilinear alone would alias where it shrinks: it looks at four pixels and no more.
    """
    if image.shape[:2] == shape:
        return np.ascontiguousarray(image)
    shrinks = shape[0] <= image.shape[0] and shape[1] <= image.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, shape[::-1], interpolation=how)


def _stored(content: bytes, head: re.Match) -> np.ndarray:
    width, height = map(int, head.groups())
    if len(content) != head.end() + 3 * height * width:
        raise Unreadable("pixels of another number than its first line says")
    image = np.frombuffer(content, np.uint8, offset=head.end())
    return image.reshape(height, width, 3)


def _jpeg(content: bytes) -> tuple[np.ndarray, str]:
    """Pixels and complaint."""
    *_, colours, _ = _told(simplejpeg.decode_jpeg_header, content)
    if colours not in _NOT_RGB:
        return _colour(content)
    # OpenCV 4 fills up what is cut short, in grey; this says that it is.
    _told(simplejpeg.decode_jpeg, content, "CMYK")
    return _other(content), ""


def _colour(content: bytes, **scaling: int) -> tuple[np.ndarray, str]:
    """Pixels and complaint."""
    try:
        return _told(simplejpeg.decode_jpeg, content, "RGB", **scaling), ""
    except Unreadable as error:
        complaint = str(error)
        if not is_taken(complaint):
            raise
    image = _told(simplejpeg.decode_jpeg, content, "RGB", strict=False, **scaling)
    return image, complaint


def _told(function, *args, **kwargs):
    """Calls simplejpeg, whose errors are of damaged files."""
    try:
        return function(*args, **kwargs)
    except ValueError as error:
        raise Unreadable(str(error)) from error


def _other(content: bytes) -> np.ndarray:
    if content[:4] == _PNG and b"IEND" not in content[-64:]:
        raise Unreadable("PNG file without its end")  # OpenCV may fill it up
    raw = np.frombuffer(content, np.uint8)
    # Turned by its EXIF tag, a picture would differ from what simplejpeg gives.
    how = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(raw, how) if raw.size else None
    except cv2.error as error:
        raise Unreadable(f"OpenCV: {error}") from error
    if image is None:
        raise Unreadable("no decoder knows it, or it is cut short")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
