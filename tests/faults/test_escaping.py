"""Names and titles from anyone, shown as they are: terminals, pages, Markdown."""

import html.parser
import io

import pytest

from kdjax.__main__ import main
from kdjax.contracts import printable
from kdjax.distributed import collectives, process_log
from kdjax.reporting.console import say
from kdjax.reporting.grids import Line, print_lines
from kdjax.reporting.page import write_page
from kdjax.reporting.reporter import Reporter
from kdjax.reporting.results import Result, print_table
from kdjax.reporting.runs import Run
from kdjax.reporting.sections import run_sections
from kdjax.reporting.speeds import print_speeds
from kdjax.reproduce import pages, tables
from tests.reporting.test_speeds import ROW

pytestmark = pytest.mark.filterwarnings("error", "ignore:Glyph:UserWarning")

NAMES = {
    "markup": "[red]run[/red]",
    "closing": "[/x]",
    "emoji": ":boom:",
    "backslash": "run\\",
    "clears": "\x1b[2J\x1b[31mrun",
    "title": "\x1b]0;owned\x07",
    "C1": "\x9b31m",
    "overwrites": "run\rsafe",
    "turned": "\u202egnp.exe",
    "line": "a\u2028b",
    "no UTF-8": "caf\udce9",
    "html": "<script>alert(1)</script>",
    "attribute": '"><img src=x onerror=alert(1)>',
    "entity": "&lt;b&gt;",
    "formula": "$x$ and $\\frac{$",
    "dollar": "a$b",
    "hidden": "_run",
    "cells": "a|b`c`",
    "two lines": "a\nb",
    "link": "[x](javascript:alert(1)) *b* <b>",
    "Größe": "Größe",
}
OBEYED = "\x1b\x07\x9b\r\u202e\u2028\udce9"
ids = {"argvalues": NAMES.values(), "ids": NAMES}


def results(name):
    row = {"step": 1, "epoch": 1.0, "seconds": 1.0, f"eval/{name}/top1": 50.0}
    row |= {f"train/{name}/loss": 1.0}
    source = {"top1": 51.0, "source": name}
    metrics = {"top1": 50.0, "agreement": 60.0}
    other = Result("b", name, name, name, metrics, 2.0, 2, [row], source)
    return [Result(name, "a", "net", "kd", metrics, 2.0, 2, [row]), other]


def on_terminal(name):
    """What is printed with that name, of every kind."""
    stream = io.StringIO()
    say(name, stream)
    print_table(results(name), stream)
    lines = [Line(name, {name: name, "seed": "0"}, name, "done", {"top1": 1.0}, 1.0)]
    print_lines(lines, stream)
    print_speeds([ROW | {"device": name, "pair": name}], stream)
    return stream.getvalue()


@pytest.mark.parametrize("name", **ids)
def test_a_terminal_shows_the_name_and_obeys_nothing(name, tmp_path):
    text = on_terminal(name)
    assert not set(OBEYED) & set(text)
    joined = " ".join(text.split())
    assert joined.count(" ".join(printable(name).split())) >= 3
    stream = io.StringIO()
    reporter = Reporter(
        tmp_path, start=0, total_steps=1, steps_per_epoch=1.0, stream=stream,
        tensorboard=False,
    )  # fmt: skip
    timing = {"seconds": 1.0, "images_per_second": 1.0, "input_percent": 0.0}
    reporter.train(1, {name: {"loss": 1.0, "skipped": 0.0}}, timing)
    reporter.say(f"{name}: one sentence")
    reporter.close()
    assert stream.getvalue().count(printable(name)) == 2
    assert not set(OBEYED) & set(stream.getvalue())


@pytest.mark.parametrize("name", **ids)
def test_errors_and_logs_show_it(name, tmp_path, capsys):
    argument = name.replace("\n", "")
    assert main(["report", str(tmp_path / argument), f"--output={tmp_path}"]) == 2
    output = io.BytesIO()
    with process_log.to_file(output):
        output.close = lambda: None
        collectives.log(name)
    error = capsys.readouterr().err
    assert printable(name) in error and not set(OBEYED) & set(error)
    assert printable(name) in output.getvalue().decode()


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = [], set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text.append(data)


def run_of(name, workdir):
    """A run in which everything has that name."""
    section = {"method": {"name": name, "temperature": 2.0}, "model": {"name": name}}
    identity = {"teacher": {"workdir": name, "model": {"name": name}}}
    identity |= {"data": {"train": {"name": name}, "test": {"split": "test"}}}
    identity |= {"versions": {name: name}}
    summary = {"identity": identity, "provenance": {"command": name, "device": name}}
    own = [one._replace(run=name, section=section) for one in results(name)]
    config = {"data": {"name": "set"}, name: name, "optimizer": {"name": name}}
    return Run(name, workdir, config, summary, own[0].rows, own)


def page(names, output):
    """A page with a run of each name; the last one is in the title too."""
    runs = [run_of(name, output) for name in names]
    write_page(output / "index.html", f"title {names[-1]}", run_sections(runs))
    parsed = Page()
    parsed.feed((output / "index.html").read_text())
    return parsed


def test_a_page_shows_them(tmp_path):
    names = [*NAMES.values(), "<h1>in the title</h1>"]
    plain = page([f"plain{i}" for i in range(len(names))], tmp_path / "plain")
    parsed = page(names, tmp_path)
    assert set(parsed.tags) == set(plain.tags) and parsed.attributes == plain.attributes
    for tag in ("script", "style", "h1", "a"):
        assert parsed.tags.count(tag) == plain.tags.count(tag)
    text = "".join(parsed.text)
    for name in names:
        assert text.count(printable(name)) >= 6  # cells, figures and their values
    assert not set(OBEYED) & set(text)


@pytest.mark.parametrize("name", **ids)
def test_a_markdown_table_keeps_its_shape(name):
    table = pages.table(("a", "b"), [(name, "x"), ("y", name)])
    lines = table.split("\n")
    assert len(lines) == 4 and not set(OBEYED) & set(table)
    for line in lines:
        assert line.replace(r"\\", "").replace(r"\|", "").count("|") == 3
    assert "<" not in table and "](" not in table.replace(r"\]", "")
    code = pages.code(name)
    fence = code[: len(code) - len(code.lstrip("`"))]
    assert fence not in code.removeprefix(fence).removesuffix(fence)
    assert "\n" not in code


def test_names_of_ours_are_no_markup_in_markdown():
    for name in ("lr_mse", "wrn_16_2", "kd, tau 4", "75.53 ± 0.20", "+0.12 (3 of 3)"):
        assert pages.plain(name) == name
    assert tables.RECALLED == pages.plain(tables.RECALLED)
