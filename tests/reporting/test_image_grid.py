"""Images with captions, as pixels."""

import io

import numpy as np
from matplotlib.image import imread

from kdjax.reporting.image_grid import image_grid


def test_a_grid_shows_grey_and_coloured_images():
    for channels in (1, 3):
        images = np.zeros((5, 6, 4, channels), np.uint8)
        images[1] = 255
        png = image_grid(images, [f"label ${i}$" for i in range(5)])
        pixels = imread(io.BytesIO(png))
        assert pixels.shape[1] == 1000
        dark = (pixels[..., :3].sum(-1) == 0).mean()
        assert dark > 0.1  # four black squares, one of them in a second row
