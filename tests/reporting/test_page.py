"""The page's HTML: whole, escaped, and with nothing from elsewhere."""

import html.parser
import json
import os
import re

import pytest

from kdjax.cli import report
from kdjax.contracts import InputError
from kdjax.reporting import blocks
from kdjax.reporting.page import write_page
from kdjax.reporting.runs import read_runs
from kdjax.reporting.sections import run_sections
from tests.reporting.workdirs import section, write

CHART = {
    "data": {"values": [{"x": "</script><b>", "y": 1}, {"x": "\u2028\x1b", "y": 2}]},
    "mark": "bar",
    "encoding": {
        "x": {"field": "x", "type": "nominal"},
        "y": {"field": "y", "type": "quantitative"},
    },
}
PNG = b"\x89PNG\r\n\x1a\n"


class Parsed(html.parser.HTMLParser):
    """Tags, attributes and texts; a script's text is no markup."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with a block of every kind."""
    path = tmp_path_factory.mktemp("page") / "index.html"
    every = [
        blocks.Chart(CHART, 'a "chart"', "caption <of> it"),
        blocks.Chart(CHART, "another", ""),
        blocks.Table(("name", "count"), [("<i>", "1")], "rows"),
        blocks.Gallery([blocks.Image(PNG, "a cat", "cat -> dog")], "images"),
        blocks.Code("a < b", "command"),
        blocks.Code("folded", "more", is_folded=True),
        "A paragraph & more.",
    ]
    write_page(path, "<title>", [blocks.Section("S & T", every)])
    return path.read_text()


def test_every_kind_of_block_is_drawn(page):
    parsed = Parsed(page)
    text = " ".join(parsed.texts)
    for shown in ("S & T", "caption <of> it", "<i>", "a < b", "A paragraph & more."):
        assert shown in text
    assert ("div", "aria-label", 'a "chart"') in parsed.attributes
    assert ("img", "alt", "a cat") in parsed.attributes
    assert "data:image/png;base64,iVBORw0KGgo=" in page
    assert parsed.tags.count("details") == 1 and parsed.tags.count("svg") == 2
    assert {"b", "i", "title>"} & set(parsed.tags) == set()


def test_a_line_of_a_command_ends_at_no_hyphen(tmp_path):
    command = "python -m kdjax train --workdir=<a>\npython b-c"
    section = blocks.Section("S", [blocks.Code(command)])
    write_page(tmp_path / "index.html", "title", [section])
    text = (tmp_path / "index.html").read_text()
    (inside,) = re.findall("<pre>(.*?)</pre>", text, re.DOTALL)
    words = re.findall("<span>(.*?)</span>", inside)
    assert words == ["-m", "--workdir=&lt;a&gt;", "b-c"]
    assert html.unescape(re.sub("</?span>", "", inside)) == command
    assert "pre span { display: inline-block;" in text


def test_a_chart_is_kept_as_it_is_in_its_script(page):
    specs = re.findall(r'<script type="application/json">(.*?)</script>', page, re.S)
    assert len(specs) == 2
    rows = json.loads(specs[0])["data"]["values"]
    assert rows == [{"x": "</script><b>", "y": 1}, {"x": r"\u2028\x1b", "y": 2}]


def test_nothing_comes_from_elsewhere(page):
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    assert f"content=\"{policy}script-src 'unsafe-inline'\"" in page
    for tag, name, value in Parsed(page).attributes:
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("data:", "#")), (tag, name, value)
    assert len(page.encode()) < 1_500_000


def test_ids_are_of_one_element(page):
    ids = re.findall(r'<[^<>]*\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_charts_of_their_own_width_stand_in_one_row(tmp_path):
    own = blocks.Chart(CHART | {"width": 200, "height": 200}, "a chart")
    wide = blocks.Section("wide", [blocks.Chart(CHART, "a chart")] * 2)
    write_page(tmp_path / "a.html", "t", [blocks.Section("s", [own, own]), wide])
    text = (tmp_path / "a.html").read_text()
    assert text.count('class="blocks narrow"') == text.count('class="blocks"') == 1
    specs = re.findall(r'<script type="application/json">(.*?)</script>', text, re.S)
    widths = [json.loads(spec)["width"] for spec in specs]
    assert widths == [200, 200, "container", "container"]


def test_a_page_without_charts_has_no_library(tmp_path):
    write_page(tmp_path / "a.html", "t", [blocks.Section("s", ["text"])])
    text = (tmp_path / "a.html").read_text()
    assert len(text) < 20_000 and 'http-equiv="refresh"' not in text


def test_the_command_writes_beside_the_first_run(tmp_path, capsys, monkeypatch):
    students = {"ce": (section("ce"), 50.0), "kd": (section("kd"), 51.0)}
    write(tmp_path / "runs" / "w", students)
    monkeypatch.chdir(tmp_path / "runs" / "w")
    assert report.main([".", "--title=A & B"]) == 0
    page = tmp_path / "runs" / "report" / "index.html"
    assert f"wrote {page}" in "".join(capsys.readouterr().out.split("\n"))
    assert "<title>A &amp; B</title>" in page.read_text()


def test_watching_ends_with_the_runs(tmp_path, capsys, monkeypatch):
    one, out = {"ce": (section("ce"), 50.0)}, tmp_path / "out"
    workdir = write(tmp_path / "w", one, finished=False, epochs=2)
    pages, pauses = [], []

    def sleep(seconds):
        pauses.append(seconds)
        pages.append((out / "index.html").read_text())
        if len(pauses) == 2:
            finished = write(tmp_path / "other", one)
            (finished / "summary.json").rename(workdir / "summary.json")

    monkeypatch.setattr(report.time, "sleep", sleep)
    assert report.main([str(workdir), f"--output={out}", "--watch=3"]) == 0
    assert pauses == [3.0, 3.0]
    refresh = '<meta http-equiv="refresh" content="3.0">'
    assert all(refresh in page for page in pages)
    assert refresh not in (out / "index.html").read_text()
    capsys.readouterr()


def test_watching_waits_for_a_run_and_ends_when_it_has_died(
    tmp_path, capsys, monkeypatch
):
    one, out = {"ce": (section("ce"), 50.0)}, tmp_path / "out"
    workdir, pages = tmp_path / "w", []

    def sleep(_):
        pages.append((out / "index.html").exists())
        if len(pages) == 2:
            write(workdir, one, finished=False, epochs=2)
        elif len(pages) == 3:
            for file in workdir.iterdir():
                os.utime(file, (1e9, 1e9))

    monkeypatch.setattr(report.time, "sleep", sleep)
    assert report.main([str(workdir), f"--output={out}", "--watch"]) == 0
    assert pages == [False, False, True]
    assert 'http-equiv="refresh"' not in (out / "index.html").read_text()
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("waits for") == 1 and "no training in it yet" in said
    assert f"{workdir} stopped before the end: no process holds it" in said


@pytest.mark.errors
def test_refused(tmp_path):
    write(tmp_path / "w", {"ce": (section("ce"), 50.0)})
    for options, message in {
        "--watch=0": "--watch is 0; expected seconds",
        "--watch=inf": "--watch is inf; expected seconds",
        "--baseline=x": "--baseline is 'x'; expected one of w",
    }.items():
        with pytest.raises(InputError, match=message):
            report.main([str(tmp_path / "w"), options])
    assert not (tmp_path / "report").exists()


def test_colours_and_scores_of_many_networks(tmp_path):
    students = {f"kd{i}": (section("kd", beta=i), 50.0 + i) for i in range(16)}
    write(tmp_path / "w", students)
    sections = run_sections(read_runs([tmp_path / "w"]))
    charts = [b for s in sections for b in s.blocks if isinstance(b, blocks.Chart)]
    text = json.dumps([chart.spec for chart in charts])
    assert all(f"var(--c{i})" in text for i in range(1, 8)) and "strokeDash" in text
