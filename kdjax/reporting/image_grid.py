"""Images with captions, drawn as one."""

import base64
from collections.abc import Sequence

import numpy as np

from kdjax.contracts import json_text, printable

_COLUMNS, _SIDE = 4, 240  # of a row; pixels of an image
_LINE, _SIZE, _GAP = 16, 12, 16  # pixels of a line of a caption, its letters, between
_LETTERS = 38  # of a line, of which more would not fit


def image_grid(images: np.ndarray, captions: Sequence[str]) -> bytes:
    """uint8 [n, h, w, c] and their captions as one PNG, four in a row."""
    import vl_convert

    texts = [[_line(one) for one in text.split("\n")] for text in captions]
    height = _SIDE + _LINE * max(map(len, texts)) + _GAP
    width, rows = _SIDE + _GAP, -(-len(images) // _COLUMNS)
    marks = []
    for place, (image, lines) in enumerate(zip(images, texts, strict=True)):
        x = place % _COLUMNS * width + _GAP
        y = place // _COLUMNS * height + _GAP + height - _SIDE - _GAP
        marks.append(_image(image, x, y))
        for number, line in enumerate(reversed(lines)):
            where = {"x": x + _SIDE / 2, "y": y - 6 - number * _LINE}
            marks.append(
                _mark("text", text=line, fontSize=_SIZE, align="center", **where)
            )
    size = {"width": _COLUMNS * width + _GAP, "height": rows * height + _GAP}
    spec = {"background": "white", "padding": 0, "marks": marks} | size
    return vl_convert.vega_to_png(json_text(spec), allowed_base_urls=[])


def _image(image: np.ndarray, x: int, y: int) -> dict:
    from kdjax.datasets.encode import png

    # Whole pixels, which no renderer blurs.
    times = max(1, _SIDE // max(image.shape[:2]))
    large = image.repeat(times, axis=0).repeat(times, axis=1)
    data = base64.b64encode(png(np.ascontiguousarray(large)).getvalue()).decode()
    url = f"data:image/png;base64,{data}"
    place = {"x": x, "y": y, "width": _SIDE, "height": _SIDE}
    return _mark("image", url=url, aspect=True, **place)


def _mark(kind: str, **values) -> dict:
    encoded = {key: {"value": value} for key, value in values.items()}
    return {"type": kind, "encode": {"enter": encoded}}


def _line(text: str) -> str:
    text = printable(text)
    return (
        text
        if len(text) <= _LETTERS
        else f"{text[: _LETTERS - 1]}\N{HORIZONTAL ELLIPSIS}"
    )
