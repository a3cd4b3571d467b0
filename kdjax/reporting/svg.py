"""A chart as an SVG file, for Markdown: by day and by night, with a ground of its own.

The colours are those of the report page, from its CSS. Pages show such a file as an
image, whose night follows the reader's system: so the ground is in the file.
"""

import functools
import pathlib
import re
from html import escape

import vl_convert

from kdjax.contracts import json_text
from kdjax.reporting.blocks import Chart
from kdjax.reporting.files import replace
from kdjax.reporting.page import STILL_WIDTH, THEME

_STYLE = pathlib.Path(__file__).parent / "templates" / "report.css"
_ROOT = re.compile(r":root \{.*?\}", re.DOTALL)
_DECIMALS = re.compile(r"(\d\.\d)\d+")  # no one sees less than a tenth of a pixel


def write_svg(chart: Chart, path: pathlib.Path) -> None:
    """Writes the file, whole or not at all; the directory is made."""
    spec = {key: value for key, value in chart.spec.items() if key != "$schema"}
    spec = {"width": STILL_WIDTH, "padding": 10} | spec | {"config": THEME}
    svg = vl_convert.vegalite_to_svg(json_text(spec), allowed_base_urls=[])
    head, rest = _DECIMALS.sub(r"\1", svg).split(">", 1)
    label = f'<svg role="img" aria-label="{escape(chart.alt)}" '
    head = head.replace("<svg ", label, 1)
    ground = '<rect width="100%" height="100%" fill="var(--bg)"/>'
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, f"{head}><style>{_colours()}</style>{ground}{rest}\n")


@functools.cache
def _colours() -> str:
    """The page's colours by day and, at night, its others."""
    day, night = (" ".join(one.split()) for one in _ROOT.findall(_STYLE.read_text()))
    night = f"@media (prefers-color-scheme: dark) {{ {night} }}"
    return f"{day} {night} svg {{ color: var(--fg); }}"
