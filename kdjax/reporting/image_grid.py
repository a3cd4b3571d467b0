"""Images with captions, drawn as one."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure  # without pyplot no screen is needed

from kdjax.contracts import printable


def image_grid(images: np.ndarray, captions: Sequence[str]) -> bytes:
    """uint8 [n, h, w, c] and their captions as one PNG, four in a row."""
    rows = -(-len(images) // 4)
    figure = Figure(figsize=(10, 3.2 * rows), dpi=100)
    figure.set_layout_engine("constrained", h_pad=0.1, w_pad=0.1)  # inches
    axes = figure.subplots(rows, 4, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, image, caption in zip(axes, images, captions, strict=False):
        grey = image.shape[-1] == 1
        axis.imshow(image[..., 0] if grey else image, "gray", vmin=0, vmax=255)
        # A dollar sign would begin a formula.
        text = "\n".join(map(printable, caption.split("\n"))).replace("$", r"\$")
        axis.set_title(text, fontsize=9)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
