"""Lines are compared where they differ in their method, and else it is said."""

import json

import pytest

from kdjax.reporting.blocks import Chart, Table
from kdjax.reporting.comparable import choose_baseline
from kdjax.reporting.grouping import make_groups
from kdjax.reporting.runs import read_runs
from kdjax.reporting.sections.comparison import comparison
from tests.reporting.workdirs import section, write

CE, KD = ({method: (section(method), 50.0)} for method in ("ce", "kd"))
ADAMW = {"optimizer": {"name": "adamw"}}
RATE = {"schedule": {"name": "cosine", "learning_rate": 0.01}}


def compared(root):
    groups = make_groups(read_runs([root]))
    return comparison(groups, choose_baseline(groups)).blocks


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"initial": {"workdir": "p"}}, "initial.workdir p instead of none"),
        ({"ema_decay": 0.999}, "ema_decay 0.999 instead of 0"),
        ({"batch_norm": "device"}, "batch_norm device instead of global"),
        ({"accumulation_steps": 2}, "accumulation_steps 2 instead of 1"),
        ({"stop_at_train_top1": 99.0}, "stop_at_train_top1 99 instead of 0"),
    ],
)
def test_what_else_changes_the_accuracy_is_not_compared(tmp_path, settings, words):
    write(tmp_path / "ce", CE)
    write(tmp_path / "kd", KD, **settings)
    assert compared(tmp_path) == [f"Not compared with ce: kd ({words})."]


def test_one_source_of_weights_for_each_seed_is_one_source(tmp_path):
    for seed in (0, 1):
        for method in ("ce", "kd"):
            initial = {"workdir": f"pretrained/seed-{seed}", "parts": "all"}
            students = {method: (section(method, seed), 50.0)}
            where = tmp_path / f"{method}-seed{seed}"
            write(where, students, seed=seed, initial=initial)
    _, table = compared(tmp_path)
    assert [row[1] for row in table.rows] == ["kd"]


def test_a_first_stage_and_its_connectors_are_a_part_of_the_method(tmp_path):
    write(tmp_path / "ce", CE)
    stages = {"order": ["initial", "student"]}
    for name, initial in {
        "hints": {"workdir": "runs/before-it-moved/initial"},
        "paraphraser": {"workdir": "elsewhere", "parts": "connectors"},
        "other": {"workdir": "runs/pretrained"},
    }.items():
        one = {name: (section(name), 50.0)}
        write(tmp_path / name / "student", one, initial=initial)
        (tmp_path / name / "config.json").write_text(json.dumps(stages))
    _, table, note = compared(tmp_path)
    assert {row[1] for row in table.rows} == {"hints/student", "paraphraser/student"}
    words = "other/student (initial.workdir runs/pretrained instead of none)"
    assert note == f"Not compared with ce: {words}."


def test_another_optimizer_is_compared_and_named(tmp_path):
    for seed in range(3):
        for name, settings in {"ce": {}, "kd": ADAMW | RATE, "mse": {}}.items():
            score = 50.0 + seed + (name != "ce") * (5.0 + 0.1 * seed)
            students = {name: (section(name, seed), score)}
            write(tmp_path / f"{name}-seed{seed}", students, seed=seed, **settings)
    chart, table = compared(tmp_path)
    assert isinstance(chart, Chart) and isinstance(table, Table)
    statements = {row[1]: row[2] for row in table.rows}
    assert statements == {"kd": "above*", "mse": "above"}
    words = "optimizer.name adamw instead of sgd"
    words += ", schedule.learning_rate 0.01 instead of 0.1"
    assert table.caption.endswith(
        f" * The optimizer or its schedule is another one "
        f"than that of ce, and the difference may be due to that: kd ({words})."
    )
    assert "kd +5.10 (above*)" in chart.alt


def test_of_two_baselines_the_one_with_the_optimizer_of_most(tmp_path):
    write(tmp_path / "a", CE, **RATE)
    write(tmp_path / "b", CE)
    write(tmp_path / "kd", KD)
    assert choose_baseline(make_groups(read_runs([tmp_path]))).name == "b"
