"""The charts of a section as one PNG."""

import pathlib

from kdjax.contracts import json_text
from kdjax.paths.files import written
from kdjax.reporting.blocks import Chart, Section

# Okabe and Ito's palette, for colour-blind readers too.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_CONFIG = {"range": {"category": _COLOURS}, "background": "white"}
_COLUMNS, _WIDTH = 3, 560  # pixels of a chart without a width of its own


def write_png(section: Section, path: pathlib.Path) -> None:
    """Writes them side by side, three in a row; the directory is made."""
    import vl_convert

    charts = [block.spec for block in section.blocks if isinstance(block, Chart)]
    charts = [
        {"width": _WIDTH} | {k: v for k, v in spec.items() if k != "autosize"}
        for spec in charts
    ]
    spec = charts[0] if len(charts) == 1 else {"concat": charts, "columns": _COLUMNS}
    text = json_text({"title": section.title, "config": _CONFIG} | spec)
    png = vl_convert.vegalite_to_png(text, scale=2, allowed_base_urls=[])
    with written(path) as part:
        part.write_bytes(png)
