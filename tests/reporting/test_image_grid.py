"""Images with captions, as pixels."""

import cv2
import numpy as np

from kdjax.reporting.image_grid import image_grid


def pixels_of(png: bytes) -> np.ndarray:
    """RGB [h, w, 3]."""
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_a_grid_shows_grey_and_coloured_images():
    for colour in ((7,), (200, 100, 7)):
        images = np.full((5, 6, 4, len(colour)), 255, np.uint8)
        images[[0, 4]] = colour
        pixels = pixels_of(image_grid(images, [f"label ${i}$" for i in range(5)]))
        assert pixels.shape[1] == 1040
        shown = (pixels == colour).all(-1)
        rows, columns = np.nonzero(shown)
        # 6 by 4 pixels are 240 by 160: one in each row, in the first column.
        assert abs(shown.sum() - 2 * 240 * 160) < 2 * 2 * 400  # edges
        assert columns.max() < 260 and np.ptp(rows) > 480


def test_captions_are_text_and_not_markup():
    image = np.zeros((1, 4, 4, 1), np.uint8)
    inks = []
    for caption in ("a", "a <b>$x$</b>", "a\nb", "x" * 400):
        pixels = pixels_of(image_grid(image, [caption]))
        # Black letters above the black square, and nowhere else.
        dark = (pixels < 128).all(-1)
        top = np.argmax(dark.sum(1) >= 235)
        inks.append(dark[:top].sum())
        assert not dark[:, 270:].any()
    assert 0 < inks[0] < inks[2] < inks[1] < inks[3]
