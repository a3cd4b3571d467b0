"""The report page: one HTML file that needs nothing else, drawn with Vega-Lite.

Each chart is there twice: as a still SVG, which is there at once, without JavaScript
and in print, and as a specification, from which the page draws it with hover values.
Both take their colours from the page's CSS, so night and print need nothing more.
"""

import base64
import datetime
import functools
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

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
    environment.filters["kind"] = lambda block: type(block).__name__
    text = environment.get_template("report.html").render(values)
    replace(path, text.lstrip())


def _plain(value: Any) -> Any:
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(value) if is_text else value


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
    layers = spec.get("layer", [])
    if layers := [one for one in layers if not _is_hover(one)]:
        spec = spec | {"layer": layers}
    text = json_text(_finished(spec, STILL_WIDTH))
    svg = vl_convert.vegalite_to_svg(text, allowed_base_urls=[])
    return Markup(_ID.sub(rf"\g<1>chart-{number}-", svg))


def _is_hover(layer: dict) -> bool:
    """Whether a layer shows nothing but what is under a pointer."""
    return any(one.get("name") == HOVER for one in layer.get("params", []))


@functools.cache
def _libraries() -> Markup:
    """Vega, Vega-Lite and Vega-Embed, as they come with vl-convert."""
    text = vl_convert.javascript_bundle()
    return Markup(text.replace("</script", r"<\/script").replace("<!--", r"<\!--"))
