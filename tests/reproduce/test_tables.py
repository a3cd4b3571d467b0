"""Tables: means by hand, nothing that is not measured, and the page as committed."""

import json
import pathlib
import re

import pytest

from kdjax.contracts import InputError
from kdjax.reproduce import pages, small, small_figures, small_page, tables
from kdjax.reproduce.plans import STUDIES
from kdjax.reproduce.tables import PUBLISHED
from tests.reproduce import stored

ROOT = pathlib.Path(__file__).parent.parent.parent
PAGE = ROOT / "configs" / "cifar100" / "RESULTS.md"
RECORDS = sorted((PAGE.parent / "results").glob("*.json"))
PAIR = {"teacher": "wrn_28_4", "student": "wrn_16_2"}


def record(run, seed, dtype="float32", **top1):
    more = {"device": ["1 x A", "1 x B"], "seconds": 90.0}
    return stored.record("cifar100", run, seed, top1, PAIR, dtype, **more)


def cells(text, network, method):
    """(test top-1, seeds, published) of a row."""
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    (row,) = [r for r in rows if r[0][2:] == network and r[1] == method]
    return tuple(cell.strip() for cell in row[2:5])


def test_means_and_deviations_are_over_the_runs_that_are_there():
    text = tables.section(
        "cifar100",
        [
            record("wrn_28_4", 0, ce=78.0),
            record("s1", 1, ce=70.0, kd_tau1=71.0),
            record("s0", 0, ce=73.0, kd_tau1=72.0),
            record("s2", 2, ce=73.0),
            record("h0", 0, "bfloat16", ce=60.5),
        ],
    )
    # Of 70, 73, 73: mean 72, sample deviation sqrt((4 + 1 + 1) / 2) = 1.7321.
    assert cells(text, "wrn_16_2", "ce") == ("72.00 ± 1.73", "0, 1, 2", "72.68")
    assert cells(text, "wrn_16_2", "kd_tau1") == ("71.50 ± 0.71", "0, 1", "72.90")
    assert cells(text, "wrn_16_2", "mse") == ("not measured", "", "75.54")
    assert cells(text, "wrn_28_4", "teacher") == ("78.00", "0", "77.93")
    assert cells(text, "wrn_16_2, bfloat16", "ce") == ("60.50", "0", "72.68")
    assert "wrn_28_4, bfloat16" not in text
    assert "Measured:" in text
    assert "2 minutes on 1 x A, then 1 x B; Python 3.12, jax 1; 2020-01-02." in text


@pytest.mark.parametrize("study", STUDIES)
def test_without_records_nothing_is_measured(study, tmp_path):
    text = tables.section(study, tables.read(study, tmp_path))
    pairs = STUDIES[study].pairs
    rows = {(p, m) for p in pairs for m in (*STUDIES[study].methods, "ce", "teacher")}
    assert text.count("not measured") == len(rows)
    assert "Nothing of this is measured yet." in text


@pytest.mark.parametrize("study", STUDIES)
def test_what_is_published_belongs_to_a_row(study):
    plan = STUDIES[study]
    assert {pair.student for pair in plan.pairs} == PUBLISHED[study].keys()
    for rows in PUBLISHED[study].values():
        assert rows.keys() <= {"teacher", "ce", *plan.methods}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"study":'])
def test_another_file_among_the_records_is_an_error(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(
        InputError, match="x.json: a record of `kdjax reproduce` is damaged"
    ):
        tables.read("cifar100", tmp_path)


@pytest.mark.parametrize("study", STUDIES)
def test_the_committed_tables_are_made_of_the_committed_records(study):
    text = tables.section(study, tables.read(study, PAGE.parent / "results"))
    begin, end = f"<!-- launch {study}: begin -->", f"<!-- launch {study}: end -->"
    assert PAGE.read_text().split(begin)[1].split(end)[0] == f"\n\n{text}\n\n"


def test_the_committed_small_study_is_made_of_the_committed_records(tmp_path):
    records = tables.read(small.NAME, PAGE.parent / "results")
    clean, noisy, distance, _ = small_page.scores(records)
    figures = small_figures.write(clean, distance, noisy, tmp_path)
    text = small_page.section(records, figures)
    begin, end = (f"<!-- {small_page.MARK}: {word} -->" for word in ("begin", "end"))
    assert PAGE.read_text().split(begin)[1].split(end)[0] == f"\n\n{text}\n\n"
    drawn = {path.name for path in tmp_path.rglob("*.svg")}
    committed = PAGE.parent / small_figures.DIRECTORY
    assert drawn == {path.name for path in committed.glob("small-*.svg")}


def test_committed_records_are_of_the_whole_protocol_and_of_no_machine():
    for path in RECORDS:
        saved = json.loads(path.read_text())
        if saved["study"] == small.NAME:
            is_teacher = "-seed" not in saved["run"]
            protocol = small.protocol(small.TEACHER if is_teacher else small.STUDENT)
        else:
            protocol = STUDIES[saved["study"]].protocol()
        assert saved["total_steps"] == 0, path.name
        for key in ("batch_size", "total_epochs"):
            assert saved[key] == protocol[key], path.name
        assert saved["data"]["train"]["num_examples"] == 50_000, path.name
        assert saved["data"]["test"]["num_examples"] == 10_000, path.name
        assert not re.search(r'"/|~/|=/', path.read_text()), path.name


def test_sections_of_a_page_leave_each_other_alone(tmp_path):
    page = tmp_path / "RESULTS.md"
    page.write_text("# Head\n\nwords\n")
    for name, text in (("a", "one"), ("b", "two"), ("a", "three")):
        pages.write_section(page, text, name)
    assert page.read_text() == (
        "# Head\n\nwords\n\n<!-- a: begin -->\n\nthree\n\n<!-- a: end -->\n\n"
        "<!-- b: begin -->\n\ntwo\n\n<!-- b: end -->\n"
    )
