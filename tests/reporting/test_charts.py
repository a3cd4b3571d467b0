"""Each kind of figure is what Vega-Lite's schema allows, and is drawn silently."""

import altair
import pytest
import vl_convert

from kdjax.reporting import charts
from kdjax.reporting.page import THEME

NAME = {"network": "a.b[0]'\"", "run": "seed\\0"}
POINTS = [NAME | {"epoch": x, "value": x, "low": x / 2, "high": 2 * x} for x in (1, 2)]
DOTS = [NAME | {"value": 1.0, "text": "note", "low": 0.5, "high": 2.0}]
CELLS = [
    {"x": x, "y": y, "value": y, "text": "t"}
    for x in (1.0, float("inf"))
    for y in (0.1, 0.9)
]
TAUS = [
    NAME | {"temperature": tau, "value": 1.0, "text": "t", "low": 0.5, "high": 1.5}
    for tau in (1.0, float("inf"))
]
TIMES = [{"run": "a", "kind": kind, "seconds": 2.0, "text": "2"} for kind in "ab"]
PLACES = {NAME["network"]: 9}  # beyond the last colour
KINDS = {
    "curves": lambda: charts.curves(POINTS, PLACES, "title", band=True),
    "log": lambda: charts.curves(POINTS, PLACES, "title", log=True),
    "dots": lambda: charts.dots(DOTS, "title", singles=DOTS, reference=1.0),
    "heatmap": lambda: charts.heatmap(CELLS, "x", "y", "title"),
    "temperature": lambda: charts.against_temperature(TAUS, PLACES, "title"),
    "levels": lambda: charts.against_temperature(
        TAUS, PLACES | {"flat": 1}, "title", {"flat": 0.7}
    ),
    "shares": lambda: charts.shares(TIMES, ["a", "b"], "title"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure(kind, capfd):
    spec = KINDS[kind]()
    altair.Chart.from_dict(spec)  # checked against the schema
    svg = vl_convert.vegalite_to_svg(
        spec | {"config": THEME, "width": 300}, show_warnings=True
    )
    assert capfd.readouterr().err == "" and "NaN" not in svg
    marks = {"heatmap": "mark-rect", "shares": "mark-rect"}
    assert f'class="{marks.get(kind, "mark-symbol")} role-mark' in svg
