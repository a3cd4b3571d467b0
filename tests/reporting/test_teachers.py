"""A chart has a line for the teacher where all its students have that one."""

import pytest

from kdjax.reporting.blocks import Chart, Table
from kdjax.reporting.runs import read_runs
from kdjax.reporting.sections import run_sections
from tests.reporting.workdirs import section, write


def results_of(root):
    """(the chart's caption, line -> its cells) of the section of the results."""
    sections = run_sections(read_runs([root]))
    (found,) = (one for one in sections if one.title == "Results")
    (chart,) = (block for block in found.blocks if isinstance(block, Chart))
    (table,) = (block for block in found.blocks if isinstance(block, Table))
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return chart.caption, {row[""]: row for row in rows}


def teacher(path, score, seed=0, width=24):
    return write(path, {"ce": (section("ce", seed, width), score)}, seed=seed)


def student(path, seed=0, **keys):
    return write(path, {"kd": (section("kd", seed), 80.0)}, seed=seed, **keys)


def test_two_teachers_have_no_line_but_a_column(tmp_path):
    write(tmp_path / "labels", {"ce": (section("ce"), 70.0)})
    for name, score, width in (("big", 91.67, 24), ("small", 81.67, 16)):
        path = teacher(tmp_path / name, score, width=width)
        student(tmp_path / f"of_{name}", teacher=path)
    caption, rows = results_of(tmp_path)
    assert "Dashed" not in caption
    expected = {"of_big": "big", "of_small": "small", "labels": "-"}
    assert {name: rows[name]["teacher"] for name in expected} == expected


def test_seeds_of_one_teacher_are_a_mean_that_is_said(tmp_path):
    for seed, score in enumerate((90.0, 92.0, 99.0)):
        path = teacher(tmp_path / f"teacher-seed{seed}", score, seed)
        if seed < 2:  # the last teacher taught no one
            student(tmp_path / f"kd-seed{seed}", seed, teacher=path)
    caption, rows = results_of(tmp_path)
    assert caption.endswith("Dashed: the teacher, 91.00 % (mean of 2 seeds).")
    assert "teacher" not in rows["kd"]


@pytest.mark.parametrize("is_ensemble", [True, False])
def test_an_ensemble_is_none_of_its_networks(tmp_path, is_ensemble):
    a, b = (teacher(tmp_path / name, 90.0, width=w) for name, w in (("a", 9), ("b", 8)))
    student(tmp_path / "kd", teacher=f"{a},{b}" if is_ensemble else a)
    caption, rows = results_of(tmp_path)
    assert ("Dashed: the teacher, 90.00 %." in caption) is not is_ensemble
    assert rows["kd"].get("teacher") == ("a + b" if is_ensemble else None)
