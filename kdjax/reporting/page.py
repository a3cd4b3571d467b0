"""The report page: one HTML file that needs nothing else, drawn with Vega-Lite.

Each chart is there twice: as a still SVG, which is there at once, without JavaScript
and in print, and as a specification, from which the page draws it with hover values.
Both take their colours from the page's CSS, so night and print need nothing more.
"""

import base64
import datetime
import functools
import gzip
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup, escape

import kdjax
from kdjax.contracts import json_text, printable
from kdjax.reporting.blocks import Chart, Section
from kdjax.reporting.charts import COLOURS, HOVER, colour
from kdjax.reporting.files import replace

STILL_WIDTH = 560  # pixels of a chart that no script fits to its place
_TEXT = {"labelColor": "currentColor", "titleColor": "currentColor"}
_TEXT |= {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
_LINES = dict.fromkeys(("domainColor", "tickColor", "gridColor"), "currentColor")
_FAINT = {"gridOpacity": 0.13, "domainOpacity": 0.4, "tickOpacity": 0.4}
_LEGEND = {"labelLimit": 130, "symbolStrokeWidth": 2.5, "orient": "top"}
THEME = {
    "aria": False,  # the page says it of the whole chart
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None, "continuousWidth": STILL_WIDTH},
    "axis": _TEXT | _LINES | _FAINT | {"labelLimit": 150, "titlePadding": 8},
    "axisX": {"tickCount": {"expr": "ceil(width / 70)"}},
    "axisQuantitative": {"labelOverlap": "greedy", "labelSeparation": 8},
    "legend": _TEXT | _LEGEND | {"columns": 3},
    "header": _TEXT,
    "title": {"color": "currentColor", "fontWeight": "normal"},
    "mark": {"color": colour(0)},
    "rule": {"color": "currentColor"},
    "text": {"color": "currentColor"},
    "range": {
        "category": [colour(i) for i in range(COLOURS)],
        "ramp": {"scheme": "viridis"},
        "heatmap": {"scheme": "viridis"},
        "diverging": {"scheme": "blueorange"},
    },
}
_ID = re.compile(r'(\bid="|url\(#)')
_DECIMALS = re.compile(r"(\d\.\d)\d+")  # no one sees less than a tenth of a pixel
LARGEST_STILL = 40_000  # letters
_STYLE = pathlib.Path(__file__).parent / "templates" / "report.css"


def write_page(
    path: pathlib.Path,
    title: str,
    sections: Sequence[Section],
    refresh: float | None = None,
) -> None:
    """Writes the page, whole or not at all.

    With `refresh` a browser loads it anew every so many seconds.
    """
    charts = [b for s in sections for b in s.blocks if isinstance(b, Chart)]
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    values = {"title": title, "sections": sections, "refresh": refresh}
    values |= {"note": f"Written {now} by kdjax {kdjax.__version__}."}
    values |= {"has_charts": bool(charts), "libraries": ""}
    values |= {"libraries": _libraries()} if charts else {}
    numbers = {id(chart): number for number, chart in enumerate(charts)}
    values |= {"still": lambda chart: _still(chart.spec, numbers[id(chart)])}
    values |= {"spec": lambda chart: _json(_finished(chart.spec))}
    values |= {"base64": lambda data: base64.b64encode(data).decode()}
    # Names of runs, students and classes may come from anyone.
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kdjax.reporting"),
        autoescape=True,
        finalize=_plain,
        trim_blocks=True,
    )
    environment.tests["narrow"] = _is_narrow
    environment.filters["whole_words"] = _whole_words
    environment.filters["kind"] = lambda block: type(block).__name__
    text = environment.get_template("report.html").render(values)
    replace(path, text.lstrip())


def _plain(value: Any) -> Any:
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(value) if is_text else value


def _whole_words(text: str) -> Markup:
    """A text of which no line ends at a hyphen: "--workdir" is one word."""
    words = re.split(r"(\s)", printable(text))
    span = Markup("<span>{}</span>")
    return Markup("").join(span.format(w) if "-" in w else escape(w) for w in words)


def _is_narrow(section: Section) -> bool:
    """Whether its charts have widths of their own, so that more stand in a row."""
    charts = [block for block in section.blocks if isinstance(block, Chart)]
    return len(charts) > 1 and all("width" in chart.spec for chart in charts)


def _finished(spec: dict, width: str | int = "container") -> dict:
    """A chart's specification with what the page gives to all of them."""
    spec = {key: value for key, value in spec.items() if key != "$schema"}
    own = {"width": width, "autosize": {"type": "fit-x", "contains": "padding"}}
    return _printable(own | spec | {"config": THEME})


def _printable(value: Any) -> Any:
    if isinstance(value, dict):
        return {printable(key): _printable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(inner) for inner in value]
    return printable(value) if isinstance(value, str) else value


def _json(value: Any) -> Markup:
    """JSON inside a script element, which no text in it can end."""
    escaped = json_text(value)
    for letter in "<>&":
        escaped = escaped.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(escaped)


def _still(spec: dict, number: int) -> Markup:
    """A chart as SVG; its ids are no other chart's."""
    text = json_text(_finished(_without_hover(spec), STILL_WIDTH))
    svg = vl_convert.vegalite_to_svg(text, allowed_base_urls=[])
    svg = _DECIMALS.sub(r"\1", _ID.sub(rf"\g<1>chart-{number}-", svg))
    if len(svg) <= LARGEST_STILL:
        return Markup(svg)
    # Of thousands of points. By day only: a PNG has no colours of the page.
    for name, value in _day_colours().items():
        text = text.replace(f"var({name})", value)
    png = vl_convert.vegalite_to_png(text, allowed_base_urls=[])
    data = base64.b64encode(png).decode()
    return Markup(f'<img alt="" src="data:image/png;base64,{data}">')


@functools.cache
def _day_colours() -> dict[str, str]:
    """The page's colours by day, from its CSS."""
    first = _STYLE.read_text().partition("}")[0]
    return dict(re.findall(r"(--\w+): (#\w+);", first))


def _without_hover(spec: dict) -> dict:
    """A chart without the layers that show nothing but what is under a pointer."""
    params = [one for one in spec.get("params", []) if one["name"] != HOVER]
    hidden = [one["views"] for one in spec.get("params", []) if one["name"] == HOVER]
    if not hidden:
        return spec
    layers = [one for one in spec["layer"] if one.get("name") not in hidden[0]]
    return spec | {"layer": layers, "params": params}


@functools.cache
def _libraries() -> str:
    """Vega, Vega-Lite and Vega-Embed, as they come with vl-convert: 900 kB in 400."""
    packed = gzip.compress(vl_convert.javascript_bundle().encode(), mtime=0)
    return base64.b64encode(packed).decode()
