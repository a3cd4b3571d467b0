"""Images that simplejpeg does not decode, by OpenCV: of 8 bits, RGB and opaque.

The one place that says what 16 bits and transparency become, for every way to load an
image: of 16 bits the high byte stays, and what is transparent shows white below it, as
on a page. So does a transparent colour of a palette.
"""

import cv2
import numpy as np

# Loaders have threads of their own; OpenCV's would only compete with them.
cv2.setNumThreads(0)
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
            return cv2.cvtColor(_on_white(_eight_bits(image)), cv2.COLOR_BGR2RGB)
    # Rotated by its EXIF tag, an image would differ from what simplejpeg gives. OpenCV
    # takes the high byte of 16 bits.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(raw, flags)
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def grey(image: np.ndarray) -> np.ndarray:
    """RGB [height, width, 3] as [height, width, 1]; of three equal ones exactly one."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]


def _eight_bits(image: np.ndarray) -> np.ndarray:
    return image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8)


def _on_white(image: np.ndarray) -> np.ndarray:
    """Colours and opacity, uint8 [..., 4], as the three that a white page shows."""
    colours, opacity = image[..., :3].astype(np.uint16), image[..., 3:]
    white = 255 * (255 - opacity.astype(np.uint16))
    return ((colours * opacity + white + 127) // 255).astype(np.uint8)
