"""Which rows of a grid share a program, and what that program trains."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from kdjax.experiment import defaults
from kdjax.experiment.schema import check_keys, plain, resolved
from kdjax.experiment.students import student_sections
from kdjax.sweep import packing
from kdjax.sweep.axes import read_axes
from kdjax.sweep.trials import make_rows

KD = {"name": "kd", "alpha": 1.0, "temperature": 4.0}


def config() -> ConfigDict:
    base = defaults.base()
    base.model = ConfigDict({"name": "wide_resnet", "depth": 10, "widths": (4, 8, 16)})
    base.method = ConfigDict(dict(KD))
    return base


def grid(axes):
    return make_rows(config(), read_axes(axes, []))


def names(rows):
    return [row.name for row in rows]


def grouped(rows, limit=8, alone=()):
    return [names(part) for part in packing.group(rows, limit, set(alone))]


METHODS = {"ce": {"name": "ce"}, "kd": KD, "mse": {"name": "mse"}}


def test_rows_share_a_program_where_only_method_and_selection_differ():
    rows = grid({"seed": (0, 1), "method": METHODS})
    assert grouped(rows) == [
        [f"seed-{seed}__method-{name}" for name in METHODS] for seed in (0, 1)
    ]
    selections = {"all": {}, "small_loss": {"name": "small_loss"}}
    rows = grid({"method": METHODS, "selection": selections})
    assert grouped(rows) == [names(rows)]
    for axis in ("seed", "batch_size", "model.depth"):
        rows = grid({axis: (16, 22)})
        assert grouped(rows) == [[row.name] for row in rows]


@pytest.mark.parametrize(
    ("key", "value"),
    (
        ("students", {"a": {"seed": 1}}),
        ("stages", {"a": {"seed": 1}}),
        ("select", {"name": "random", "keep_ratio": 0.5}),
        ("initial.workdir", "runs/t"),
        ("stop_at_train_top1", 90.0),
    ),
)
def test_what_runs_alone(key, value):
    rows = grid({key: [value], "method": METHODS})
    assert grouped(rows) == [[row.name] for row in rows]
    free = grid({"method": METHODS})
    first = free[0].name
    assert grouped(free, alone=[first]) == [[first], names(free[1:])]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 30), st.integers(1, 9))
def test_large_groups_are_divided_evenly(count, limit):
    rows = [(f"row{i}", resolved(config())) for i in range(count)]
    rows = [packing.Row(name, {}, ConfigDict(content)) for name, content in rows]
    parts = packing.group(rows, limit, set())
    sizes = [len(part) for part in parts]
    assert [row for part in parts for row in part] == rows
    assert max(sizes) <= limit and max(sizes) - min(sizes) <= 1
    assert len(parts) == math.ceil(count / limit)


def test_a_program_trains_each_row_as_it_would_train_alone():
    methods = [{"name": "ce"}, KD, {"name": "mse"}]
    rows = grid({"seed": [5], "method": methods, "selection": {"all": {}}})
    together = plain(packing.program(rows))
    check_keys(together)
    students = student_sections(together)
    for row in rows:
        (alone,) = student_sections(plain(row.config)).values()
        assert json.dumps(students[row.name]) == json.dumps(alone)
    rest = {k: v for k, v in together.items() if k not in ("students", *packing.OWN)}
    own = {k: v for k, v in plain(rows[2].config).items() if k in rest}
    assert rest == own
    assert packing.program_id(rows) != packing.program_id(rows[:2])
