"""A chart as a file: texts of anyone, and the same bytes each time."""

import xml.etree.ElementTree as ElementTree

from kdjax.reporting import charts
from kdjax.reporting.blocks import Chart
from kdjax.reporting.svg import write_svg

NAME = '<b>"a" & b</b>'


def test_a_chart_is_one_well_formed_file_with_its_texts_and_its_alt(tmp_path):
    rows = [{"network": NAME, "value": value, "text": ""} for value in (1.0, 2.0)]
    chart = Chart(charts.dots(rows, "title"), f"alt of {NAME}")
    paths = tmp_path / "new" / "a.svg", tmp_path / "b.svg"
    for path in paths:
        write_svg(chart, path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    svg = ElementTree.fromstring(first)
    assert svg.get("aria-label") == f"alt of {NAME}" and svg.get("role") == "img"
    assert NAME in "".join(svg.itertext()) and "title" in "".join(svg.itertext())
