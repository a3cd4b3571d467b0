"""The study of rules under teachers that are wrong: its plan, its page, its rows."""

import json
import pathlib
import re
import statistics

import numpy as np
import pytest
from scipy import stats

from kdjax.cli import reproduce
from kdjax.reproduce import pages, tables, teachers, teachers_page
from kdjax.reproduce.plans import Settings
from kdjax.runner import run
from tests.reproduce.stored import record

ROOT = pathlib.Path("/runs")


def test_every_run_would_train_after_those_that_it_reads():
    earlier = set()
    for one in teachers.plan(Settings(seeds=(0, 7)), ROOT):
        run.check(one.config, ROOT)
        named = [one.config["teacher"]["workdir"]]
        for student in one.config["students"].values():
            named.append(student.get("selection", {}).get("reference", ""))
        assert set(filter(None, named)) <= earlier, one.name
        earlier.add(str(ROOT / one.name))


def test_every_method_has_each_teacher_and_only_that_teacher_has_noisy_labels():
    runs = teachers.plan(Settings(seeds=(3,)), ROOT)
    students = [(one.pair.teacher, s) for one in runs for s in one.config["students"]]
    names = [name for unit in teachers.UNITS.values() for name in unit]
    expected = {(teacher, name) for teacher in teachers.TEACHERS for name in names}
    assert set(students) == expected and len(students) == len(expected)
    noisy = {one.name for one in runs if "rate" in one.config["data"]["noise"]}
    assert noisy == {"noisy"}


def test_what_the_methods_share_is_what_the_page_says_of_them():
    methods = teachers.methods()
    temperatures = [m.get("temperature", m.get("base")) for m in methods.values()]
    assert set(temperatures) == {None, 1.0, teachers.TAU}
    errors = [m for m in methods.values() if m["name"] in ("lr_mse", "lr_ds")]
    assert {(m["lambda1"], m["denominator"]) for m in errors} == {(0.4, "batch")}


SCORES = {
    "kd": (70.0, 71.0, 72.0),
    "lr_mse": (71.0, 72.5, 72.0),
    "ka_ps": (72.0, 73.0, 74.1),
}


def stored():
    study, pair = teachers.NAME, {"teacher": "noisy", "student": "student"}
    rows = [record(study, "noisy", 0, {"ce": 66.0}, pair)]
    for seed in range(3):
        students = {name: values[seed] for name, values in SCORES.items()}
        wrong = {"wrong_labels": {"images": 10_000, "percent": 21.25}}
        more = {"teacher": wrong}
        rows.append(record(study, f"rules-{seed}", seed, students, pair, **more))
        shares = {"teacher/top1": 0.75, "target/changed": 0.24}
        rows[-1]["students"]["ka_ps"]["shares"] = shares
        none = {"teacher": "", "student": "student"}
        rows.append(record(study, f"labels-{seed}", seed, {"ce": 75.0}, none))
    return rows


def test_the_page_says_what_the_records_give_when_worked_out_by_hand():
    text = teachers_page.section(stored())
    gaps = np.array(SCORES["lr_mse"]) - np.array(SCORES["kd"])
    half = stats.sem(gaps) * stats.t.ppf(0.975, 2)
    mean = statistics.mean(SCORES["lr_mse"])
    gap = f"{gaps.mean():+.2f} ({gaps.mean() - half:+.2f} to {gaps.mean() + half:+.2f})"
    lines = text.splitlines()
    assert f"| lr_mse | {mean:.2f} ± 0.76 | 0, 1, 2 | {gap}, noise |" in lines
    assert "| kd | 71.00 ± 1.00 | 0, 1, 2 | - |" in lines
    assert "| noisy | 66.00 | 21.2 | 25.0 | 24.0 |" in lines
    assert any(
        line.startswith("| ce | 75.00 ± 0.00 | 0, 1, 2 | +4.00 ") for line in lines
    )
    assert "| ka_ps beats kd (+2.03 ± 0.06) | held |" in lines
    assert (
        "| lr_mse beats kd (+0.83 ± 0.76) | held in the mean, 2 of 3 seeds |" in lines
    )
    assert "underfitted teacher" not in text  # no record is of its students


def test_the_published_page_is_what_the_stored_rows_give():
    directory = pages.configs("fashion_mnist") / "results"
    records = tables.read(teachers.NAME, directory)
    page = (directory.parent / "RESULTS.md").read_text()
    begin, end = (f"<!-- {teachers_page.MARK}: {word} -->" for word in ("begin", "end"))
    printed = page.split(begin)[1].split(end)[0].strip()
    assert printed == teachers_page.section(records)
    # The claims once more, from the files alone.
    top1 = {}
    for path in directory.glob(f"{teachers.NAME}-rules-noisy-seed*.json"):
        row = json.loads(path.read_text())
        for name, student in row["students"].items():
            top1.setdefault(name, []).append(student["metrics"]["top1"])
    for name in ("lr_mse", "lr_kl", "ka_ps", "ka_lsr", "dtd_cwsm"):
        gaps = np.array(top1[name]) - np.array(top1["kd"])
        assert len(gaps) >= 3
        assert f"{name} beats kd ({gaps.mean():+.2f} ± {gaps.std(ddof=1):.2f})" in (
            printed.replace("\\", "")
        )


def test_the_page_of_evidence_has_the_differences_of_the_stored_rows():
    directory = pages.configs("fashion_mnist") / "results"
    text = (directory.parents[2] / "docs/evidence.md").read_text()
    top1 = teachers_page.scores(tables.read(teachers.NAME, directory))["noisy"]
    for name in ("lr_mse", "lr_kl", "ka_ps", "ka_lsr", "dtd_cwsm"):
        gaps = np.array([top1[name][seed] - top1["kd"][seed] for seed in top1["kd"]])
        half = stats.sem(gaps) * stats.t.ppf(0.975, len(gaps) - 1)
        low, high = gaps.mean() - half, gaps.mean() + half
        assert f"{gaps.mean():+.2f}" in text, name
        assert f"{low:+.2f} to {high:+.2f})" in text, name


def test_the_plan_says_hours_by_the_pace_of_the_stored_rows(capsys, tmp_path):
    assert reproduce.main([teachers.NAME, "--plan", f"--runs={tmp_path}"]) == 0
    *_, what, cpu, _ = capsys.readouterr().out.splitlines()
    assert what == "42 of 42 runs to do, 159 networks"
    directory = pages.configs("fashion_mnist") / "results"
    records = tables.read(teachers.NAME, directory)
    epochs = sum(len(one["students"]) * one["total_epochs"] for one in records)
    pace = sum(one["seconds"] for one in records) / epochs
    hours = float(re.search(r": ([0-9.]+) hours, ESTIMATE", cpu)[1])
    assert hours == pytest.approx((156 * 3 + 9) * pace / 3600, rel=0.2)


@pytest.mark.parametrize("records", [[], stored()[:1]])
def test_a_study_that_has_just_begun_has_a_page(records):
    assert "three teachers" in teachers_page.section(records)
