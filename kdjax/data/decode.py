"""Bytes of one picture to RGB, and the crop of it that a network sees.

simplejpeg, which gives the GIL back and is 1.1 times as fast as OpenCV, decodes colour
and greyscale JPEGs; OpenCV those in CMYK and everything that is not a JPEG.
"""

import re

import cv2
import numpy as np
import simplejpeg

from kdjax.data.crops import Box

# The feed has threads of its own; OpenCV's would only fight with them.
cv2.setNumThreads(0)
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"
_PIXELS = re.compile(rb"P6\n(\d+) (\d+)\n255\n")  # PPM: what `pixels` writes
# All pixels are there, and some bytes before the end of the file are nobody's.
_MORE = "extraneous bytes before marker 0xd9"
_PRINTED = ("CMYK", "YCCK")
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
    if head := _PIXELS.match(content):
        image = _stored(content, head)
    else:
        image = _jpeg(content) if content[:2] == _JPEG else _other(content)
    if min(image.shape[:2]) < _SMALLEST:
        raise Unreadable(f"it has {image.shape[0]} x {image.shape[1]} pixels")
    return image


def pixels(image: np.ndarray) -> bytes:
    """Stores uint8 RGB [height, width, 3] as it is, with a line that tells its size.

    That is a PPM file. `decode` copies nothing of it.
    """
    head = f"P6\n{image.shape[1]} {image.shape[0]}\n255\n"
    return head.encode() + np.ascontiguousarray(image).tobytes()


def is_plain_jpeg(content: bytes) -> bool:
    """Whether it is a JPEG in colour or grey; not one for a printer, in CMYK."""
    if content[:2] != _JPEG:
        return False
    try:
        return simplejpeg.decode_jpeg_header(content)[2] not in _PRINTED
    except ValueError:
        return False


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


def _jpeg(content: bytes) -> np.ndarray:
    try:
        *_, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours not in _PRINTED:
            return _colour(content)
        # OpenCV 4 fills up what is cut short, in grey; this says that it is.
        simplejpeg.decode_jpeg(content, "CMYK")
    except ValueError as error:
        raise Unreadable(str(error)) from error
    return _other(content)


def _colour(content: bytes) -> np.ndarray:
    try:
        return simplejpeg.decode_jpeg(content, "RGB")
    except ValueError as error:
        if _MORE not in str(error):
            raise
        return simplejpeg.decode_jpeg(content, "RGB", strict=False)


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
