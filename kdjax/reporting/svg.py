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
_ID = re.compile(r'(\bid="|url\(#)([A-Za-z_]+?)\d+\b')
_DECIMALS = re.compile(r"(\d\.\d)\d+")  # no one sees less than a tenth of a pixel
_ROLE = re.compile(r"<svg ")


def write_svg(chart: Chart, path: pathlib.Path) -> None:
    """Writes the file, whole or not at all; the directory is made."""
    spec = {key: value for key, value in chart.spec.items() if key != "$schema"}
    spec = {"width": STILL_WIDTH, "padding": 10} | spec | {"config": THEME}
    svg = vl_convert.vegalite_to_svg(json_text(spec), allowed_base_urls=[])
    head, rest = _DECIMALS.sub(r"\1", _numbered(svg)).split(">", 1)
    head = _ROLE.sub(f'<svg role="img" aria-label="{escape(chart.alt)}" ', head, 1)
    ground = '<rect width="100%" height="100%" fill="var(--bg)"/>'
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, f"{head}><style>{_colours()}</style>{ground}{rest}\n")


def _numbered(svg: str) -> str:
    """The same with ids from 0: Vega counts on from one chart to the next."""
    numbers: dict[str, int] = {}

    def renamed(match: re.Match) -> str:
        name = match.group()[len(match.group(1)) :]
        return (
            f"{match.group(1)}{match.group(2)}{numbers.setdefault(name, len(numbers))}"
        )

    return _ID.sub(renamed, svg)


@functools.cache
def _colours() -> str:
    """The page's colours by day and, at night, its others."""
    day, night = (" ".join(one.split()) for one in _ROOT.findall(_STYLE.read_text()))
    night = f"@media (prefers-color-scheme: dark) {{ {night} }}"
    return f"{day} {night} svg {{ color: var(--fg); }}"
