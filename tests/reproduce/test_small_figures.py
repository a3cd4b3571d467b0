"""The figures of the small study: what they draw, by day and by night."""

import re
import statistics
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from kdjax.reproduce import small_figures

TOP1 = {
    "kd_tau1": {0: 50.0, 1: 52.0},
    "kd": {0: 53.0, 1: 54.0},
    "kd_inf": {0: 55.0},
    "ce": {0: 49.0, 1: 50.0},
    "ds": {0: 10.0},
}
NOISY = {"kd_tau05": {0: 40.0, 1: 42.0}, "proxy": {0: 30.0, 1: 31.0}}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """(Markdown, name -> parsed SVG)."""
    root = tmp_path_factory.mktemp("figures")
    text = small_figures.write(TOP1, {}, NOISY, root)
    files = root.joinpath(small_figures.DIRECTORY).iterdir()
    return text, {p.stem: ElementTree.parse(p).getroot() for p in files}


def test_figures_are_drawn_of_what_there_is_and_linked_with_their_numbers(drawn):
    text, files = drawn
    assert set(files) == {"small-accuracy-by-temperature", "small-noise"}
    links = dict(
        re.findall(r"!\[(.*?)\]\(figures/(.*?)\.svg\)", text)[i][::-1] for i in (0, 1)
    )
    assert links.keys() == files.keys()
    alt = links["small-accuracy-by-temperature"]
    mean, deviation = statistics.mean([50, 52]), statistics.stdev([50, 52])
    assert f"1: {mean:.2f} ± {deviation:.2f}; 4: 53.50 ± 0.71; ∞: 55.00" in alt
    assert "labels alone: 49.50" in alt and "10.00" not in alt
    assert files["small-accuracy-by-temperature"].get("aria-label") in alt
    assert "kd_tau05: 41.00 ± 1.41; proxy: 30.50 ± 0.71" in links["small-noise"]


def test_points_stand_where_their_values_are(drawn):
    """Three points to the right and upwards, and a level below all of them."""
    svg = drawn[1]["small-accuracy-by-temperature"]
    places = [
        tuple(map(float, re.findall(r"-?[\d.]+", path.get("transform"))))
        for group in svg.iter(f"{SVG}g")
        if "role-mark" in group.get("class", "") and "symbol" in group.get("class", "")
        for path in group.iter(f"{SVG}path")
    ]
    (x1, y1), (x2, y2), (x3, y3) = sorted(places)
    assert x1 < x2 < x3 and y1 > y2 > y3  # pixels count from above
    assert (y1 - y2) / (y2 - y3) == pytest.approx((53.5 - 51) / (55 - 53.5), abs=0.05)


def test_a_file_has_its_ground_and_colours_for_day_and_night(drawn):
    for svg in drawn[1].values():
        style = svg.find(f"{SVG}style").text
        day, night = style.split("@media (prefers-color-scheme: dark)")
        names = set(re.findall(r"var\((--\w+)\)", ElementTree.tostring(svg).decode()))
        for half in (day, night):
            assert names <= set(re.findall(r"(--\w+):", half)) and "--bg" in half
        assert svg.find(f"{SVG}rect").get("fill") == "var(--bg)"


def test_without_what_draws_there_are_no_figures_and_that_is_said(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    monkeypatch.delitem(sys.modules, "kdjax.reporting.svg", raising=False)
    monkeypatch.delitem(sys.modules, "kdjax.reporting.page", raising=False)
    assert small_figures.write(TOP1, {}, NOISY, tmp_path) == ""
    assert "no figures: vl_convert is missing. Expected" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
