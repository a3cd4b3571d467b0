"""Images to bytes: no need of TensorFlow or Pillow."""

import io

import cv2
import numpy as np
import simplejpeg

from kdjax.data.images.decode import (
    decode,
    decode_leniently,
    is_harmless,
    is_plain_jpeg,
)
from kdjax.data.split import DataError


def png(image: np.ndarray) -> io.BytesIO:
    """Encodes uint8 RGB [h, w, 1 or 3]. TFDS stores a file object as it is."""
    if image.shape[-1] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return io.BytesIO(_encode(image))


def as_colour(content: bytes, size: tuple[int, int], where: str) -> bytes:
    """The bytes of a PNG or JPEG, encoded anew as PNG if it is not plain RGB.

    `size` is the (height, width) that it must have; `where` names it in errors.
    """
    raw = np.frombuffer(content, np.uint8)
    image = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED) if raw.size else None
    if image is None:
        raise DataError(f"{where}: not a readable image; fetch the archive anew.")
    if image.shape[:2] != size:
        came = f"{image.shape[0]} by {image.shape[1]} pixels"
        raise DataError(f"{where}: is {came}; expected {size[0]} by {size[1]}.")
    if image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8:
        return content
    return png(decode(content)).getvalue()


def jpeg(image: np.ndarray, quality: int) -> bytes:
    """Encodes uint8 RGB [h, w, 3] as JPEG, colours at half resolution (4:2:0)."""
    image = np.ascontiguousarray(image)
    return simplejpeg.encode_jpeg(image, quality, "RGB", "420")


def as_plain_jpeg(content: bytes) -> tuple[bytes, str]:
    """A JPEG in colour or grey as it is, anything else as JPEG of quality 100.

    So is a whole JPEG that `decode` would refuse later. Returns the file, and the
    decoder's warning about the given one; raises Unreadable.
    """
    image, warning = decode_leniently(content)
    if is_plain_jpeg(content) and is_harmless(warning):
        return content, warning
    return jpeg(image, 100), warning


def _encode(image: np.ndarray) -> bytes:
    success, content = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not success:
        what = f"an image of shape {image.shape}"
        raise ValueError(f"OpenCV cannot encode {what} as PNG.")
    return content.tobytes()
