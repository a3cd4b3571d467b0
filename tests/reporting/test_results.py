"""Names and cells of a comparison."""

import io
import json
import re

import pytest

from kdjax.contracts import InputError
from kdjax.reporting.results import (
    Result,
    caption,
    columns,
    labels,
    print_table,
    read_results,
    rows,
    series,
)


def result(run, student, students=1, **metrics):
    values = {"top1": 50.0} | metrics
    history = [
        {"epoch": 1.0, f"eval/{student}/top1": 40.0},
        {"epoch": 1.5, "train/other/loss": 1.0},
        {"epoch": 2.0, f"eval/{student}/top1": None},
        {"epoch": 3.0, f"eval/{student}/top1": 50.0},
    ]
    return Result(run, student, "wrn", student, values, 10.0, students, history)


def test_no_two_are_called_the_same():
    assert labels([result("teacher", "ce"), result("s", "ce", 2)]) == ["teacher", "ce"]
    seeds = [result("seed0", "kd", 2), result("seed1", "kd", 2)]
    assert labels(seeds) == ["seed0/kd", "seed1/kd"]
    assert labels([result("run", "kd"), result("run", "kd")]) == [
        "run/kd (1)",
        "run/kd (2)",
    ]


def test_a_name_is_whole_where_the_terminal_has_room(monkeypatch):
    runs = [result("photos/labels-long", "ce"), result("photos/small-long", "kd")]
    runs = [run._replace(model="provided:PocketNet-f3037175") for run in runs]
    for width, is_whole in ((80, True), (40, False)):
        monkeypatch.setenv("COLUMNS", str(width))
        print_table(runs, file := io.StringIO())
        assert ("photos/labels-long" in file.getvalue()) is is_whole
        letters = "".join(re.findall(r"^│ (\S*)", file.getvalue(), re.MULTILINE))
        assert letters == "photos/labels-longphotos/small-long"


def test_seconds_are_shared_and_agreement_needs_a_teacher():
    cells = rows([result("t", "ce"), result("s", "kd", 5, agreement=90.126)])
    assert cells[0] == ("t", "wrn", "ce", "50.00", "-", "10.0")
    assert cells[1] == ("kd", "wrn", "kd", "50.00", "90.13", "2.0")


def test_series_leave_out_what_was_not_measured():
    assert series(result("s", "kd"), "eval/top1") == ([1.0, 3.0], [40.0, 50.0])


@pytest.mark.errors
def test_an_unfinished_run(tmp_path):
    with pytest.raises(InputError, match=r"no summary\.json here"):
        read_results(tmp_path)


def test_published_numbers_have_a_column_where_there_are_some():
    published = {"top1": 70.66, "source": "a README"}
    runs = [result("s", "kd")._replace(published=published), result("t", "ce")]
    assert columns(runs)[-1] == "published %"
    assert [row[-1] for row in rows(runs)] == ["70.66", "-"]
    assert caption(runs) == "Published: a README."
    assert columns(runs[1:])[-1] == "seconds" and caption(runs[1:]) == ""
    assert len(rows(runs[1:])[0]) == len(columns(runs[1:]))


def test_attached_rules_and_selections_are_in_the_name_of_a_method(tmp_path):
    rules = {"name": "reviewkd", "supervisor": {"name": "ka_ps", "temperature": 4.0}}
    sections = {
        "plain": {"method": {"name": "reviewkd"}, "selection": {"name": "all"}},
        "rules": {"method": rules, "selection": {"name": "all"}},
        "picked": {"method": rules, "selection": {"name": "random"}},
    }
    row = {"model": "resnet20", "method": "reviewkd", "metrics": {}}
    record = {"seconds": 1.0, "students": dict.fromkeys(sections, row)}
    record |= {"identity": {"students": sections}}
    (tmp_path / "summary.json").write_text(json.dumps(record))
    (tmp_path / "metrics.jsonl").touch()
    names = ["reviewkd", "reviewkd+ka_ps", "reviewkd+ka_ps+random"]
    assert [one.method for one in read_results(tmp_path)] == names
    del record["identity"]
    (tmp_path / "summary.json").write_text(json.dumps(record))
    assert {one.method for one in read_results(tmp_path)} == {"reviewkd"}
