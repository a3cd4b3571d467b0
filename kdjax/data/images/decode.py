"""Decodes the bytes of one image to RGB, and cuts its evaluation crop.

simplejpeg, which gives the GIL back and is 1.1 times as fast as OpenCV, decodes colour
and greyscale JPEGs; OpenCV those in CMYK and everything that is not a JPEG. Whatever
loads an image calls this, so that all ways to load it give the same pixels.
"""

import re

import cv2
import numpy as np
import simplejpeg

from kdjax.data.images.crops import Box
from kdjax.data.images.opencv import decode_other, grey
from kdjax.data.images.partial_jpeg import decode_rows, scaling

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"
_PIXELS = re.compile(rb"P6\n(\d+) (\d+)\n255\n")  # PPM: what `pixels` writes
# Harmless as an encoder's padding, as which Pillow takes it. But damage may show in
# nothing else, so `prepare` reports it.
_HARMLESS = "extraneous bytes before marker 0xd9"
_TRUNCATED = "premature end"
_NOT_RGB = ("CMYK", "YCCK")
_SMALLEST = 2  # pixels a side: 1 x 1 is a placeholder for a missing image


class Unreadable(ValueError):
    """The bytes are not a whole image."""


def decode(content: bytes) -> np.ndarray:
    """Decodes exactly (no fast transforms) and without rotating.

    Returns uint8 RGB [height, width, 3]: greyscale three times, what is transparent on
    white, of 16 bits the high byte. Raises Unreadable: damaged, cut short, of no known
    format or of 1 pixel a side.
    """
    return decode_with_warning(content)[0]


def decode_channels(content: bytes, channels: int | None) -> np.ndarray:
    """`decode` for a set of 1 channel, uint8 [height, width, 1], or of 3 or None."""
    image = decode(content)
    return grey(image) if channels == 1 else image


def decode_with_warning(content: bytes) -> tuple[np.ndarray, str]:
    """`decode`, and the decoder's warning about an image that is taken all the same."""
    warning = ""
    if head := _PIXELS.match(content):
        width, height = map(int, head.groups())
        if len(content) != head.end() + 3 * height * width:
            raise Unreadable("not as many pixels as its first line says")
        image = np.frombuffer(content, np.uint8, offset=head.end())
        image = image.reshape(height, width, 3)
    elif size_of_jpeg(content) is not None:
        image, warning = _colour(content)
    else:
        if content[:2] == _JPEG:  # OpenCV 4 fills truncated ones up; simplejpeg raises
            _call(simplejpeg.decode_jpeg, content, "CMYK")
        image = _other(content)
    _check_size(*image.shape[:2])
    return image, warning


def decode_leniently(content: bytes) -> tuple[np.ndarray, str]:
    """`decode_with_warning` that takes any JPEG that does not end too early, as Pillow.

    What `decode` refuses must be encoded anew, or it could not be read later.
    """
    try:
        return decode_with_warning(content)
    except Unreadable as error:
        if content[:2] != _JPEG or _TRUNCATED in str(error).lower():
            raise
        warning = str(error)
    image = _call(simplejpeg.decode_jpeg, content, "RGB", strict=False)
    _check_size(*image.shape[:2])
    return image, warning


def pixels(image: np.ndarray) -> bytes:
    """Stores uint8 RGB [height, width, 3] as PPM, of which `decode` copies nothing."""
    head = f"P6\n{image.shape[1]} {image.shape[0]}\n255\n"
    return head.encode() + np.ascontiguousarray(image).tobytes()


def is_plain_jpeg(content: bytes) -> bool:
    """Whether it is a JPEG in colour or grey, not in CMYK."""
    try:
        return size_of_jpeg(content) is not None
    except Unreadable:
        return False


def is_harmless(warning: str) -> bool:
    """Whether `decode` takes an image with that warning, or without one."""
    return not warning or _HARMLESS in warning


def size_of_jpeg(content: bytes) -> tuple[int, int] | None:
    """(height, width) of a JPEG that `decode_reduced` takes; None: `decode` does."""
    if content[:2] != _JPEG:
        return None
    height, width, colours, _ = _call(simplejpeg.decode_jpeg_header, content)
    _check_size(height, width)
    return None if colours in _NOT_RGB else (height, width)


def decode_reduced(
    content: bytes, size: tuple[int, int], bottom: int, factor: int
) -> np.ndarray:
    """Decodes a JPEG down to the row `bottom`, with sides divided by `factor`.

    `factor` is 1, 2, 4 or 8; frequencies that fewer pixels cannot show are left out of
    the cosine transforms. `size` is from `size_of_jpeg`.
    """
    image = decode_rows(content, size, bottom, factor)
    if image is None:
        image, _ = _colour(content, **scaling(*size, factor))
    return image


def cut(image: np.ndarray, box: Box, size: int) -> np.ndarray:
    """A box of an image, resized to uint8 [size, size, 3]."""
    return resize(box.of(image), (size, size))


def resize(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """To (height, width): area means where that shrinks both sides, else bilinear.

    Bilinear alone would alias where it shrinks: it looks at four pixels and no more.
    """
    if image.shape[:2] == shape:
        return np.ascontiguousarray(image)
    shrinks = shape[0] <= image.shape[0] and shape[1] <= image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, shape[::-1], interpolation=method)


def _check_size(height: int, width: int) -> None:
    """Raises Unreadable for a placeholder of a missing image."""
    if min(height, width) < _SMALLEST:
        raise Unreadable(f"it has {height} x {width} pixels")


def _colour(content: bytes, **options: int) -> tuple[np.ndarray, str]:
    try:
        return _call(simplejpeg.decode_jpeg, content, "RGB", **options), ""
    except Unreadable as error:
        warning = str(error)
        if not is_harmless(warning):
            raise
    image = _call(simplejpeg.decode_jpeg, content, "RGB", strict=False, **options)
    return image, warning


def _call(function, *args, **kwargs):
    """Calls simplejpeg; its errors become Unreadable."""
    try:
        return function(*args, **kwargs)
    except ValueError as error:
        raise Unreadable(str(error)) from error


def _other(content: bytes) -> np.ndarray:
    if content[:4] == _PNG and b"IEND" not in content[-64:]:
        raise Unreadable("PNG file without its end")  # OpenCV may fill it up
    try:
        image = decode_other(content)
    except cv2.error as error:
        raise Unreadable(f"OpenCV: {error}") from error
    if image is None:
        raise Unreadable("no decoder knows it, or it is cut short")
    return image
