"""Images that simplejpeg does not decode, by OpenCV: of 8 bits, RGB and opaque.

The one place that says what 16 bits and transparency become, for every way to load an
image: of 16 bits the high byte stays, and what is transparent shows white below it, as
on a page. So does a transparent colour, of a palette or of a grey PNG.
"""

import struct

import cv2
import numpy as np

# Loaders have threads of their own; OpenCV's would only compete with them.
cv2.setNumThreads(0)
# What a file has that cannot be read is an error of ours, which names the file.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
# Whose fourth channel is transparency. That of a BMP or TIFF is often 0 everywhere and
# has no meaning; OpenCV drops it.
_PNG, _GIF, _RIFF = b"\x89PNG", b"GIF8", b"RIFF"  # the last is WebP's


def decode_other(content: bytes) -> np.ndarray | None:
    """uint8 RGB [height, width, 3], not rotated; None: no decoder knows it.

    Raises cv2.error, as OpenCV does.
    """
    raw = np.frombuffer(content, np.uint8)
    if not raw.size:
        return None
    if content[:4] in (_PNG, _GIF, _RIFF):
        image = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED)
        if image is not None and image.ndim == 3 and image.shape[2] == 4:
            return cv2.cvtColor(on_white(_eight_bits(image)), cv2.COLOR_BGR2RGB)
        level = _transparent_grey(content)
        if image is not None and image.ndim == 2 and level is not None:
            white = np.where(image == level, np.uint8(255), _eight_bits(image))
            return cv2.cvtColor(white, cv2.COLOR_GRAY2RGB)
    # Rotated by its EXIF tag, an image would differ from what simplejpeg gives. OpenCV
    # takes the high byte of 16 bits.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(raw, flags)
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _transparent_grey(content: bytes) -> int | None:
    """The level of a grey PNG that is transparent, which OpenCV does not look at."""
    if content[:4] != _PNG or len(content) < 33 or content[25] != 0:
        return None
    bits, at = content[24], 33  # behind the header
    while at + 10 <= len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        if name == b"tRNS":
            level = int.from_bytes(content[at + 8 : at + 10]) % (1 << bits)
            return level if bits >= 8 else level * 255 // ((1 << bits) - 1)
        if name == b"IDAT":
            return None
        at += 12 + length
    return None


def grey(image: np.ndarray) -> np.ndarray:
    """RGB [height, width, 3] as [height, width, 1]; of three equal ones exactly one."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]


def _eight_bits(image: np.ndarray) -> np.ndarray:
    return image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8)


def on_white(image: np.ndarray) -> np.ndarray:
    """Colours and opacity, uint8 [..., 4], as the three that a white page shows."""
    colours, opacity = image[..., :3].astype(np.uint16), image[..., 3:]
    white = 255 * (255 - opacity.astype(np.uint16))
    return ((colours * opacity + white + 127) // 255).astype(np.uint8)
