"""Which trials of a sweep share a program, and what that program trains."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from kdjax.experiment import schema
from kdjax.experiment.schema import check_keys, plain, resolved
from kdjax.experiment.students import student_sections
from kdjax.sweeps import packing
from kdjax.sweeps.axes import read_axes
from kdjax.sweeps.trials import make_trials

KD = {"name": "kd", "alpha": 1.0, "temperature": 4.0}


def config() -> ConfigDict:
    base = schema.base()
    base.model = ConfigDict({"name": "wide_resnet", "depth": 10, "widths": (4, 8, 16)})
    base.method = ConfigDict(dict(KD))
    return base


def grid(axes):
    return make_trials(config(), read_axes(axes, []))


def names(trials):
    return [trial.name for trial in trials]


def grouped(trials, limit=8, alone=()):
    return [names(part) for part in packing.group(trials, limit, set(alone))]


METHODS = {"ce": {"name": "ce"}, "kd": KD, "mse": {"name": "mse"}}


def test_trials_share_a_program_where_only_method_and_selection_differ():
    trials = grid({"seed": (0, 1), "method": METHODS})
    assert grouped(trials) == [
        [f"seed-{seed}__method-{name}" for name in METHODS] for seed in (0, 1)
    ]
    selections = {"all": {}, "small_loss": {"name": "small_loss"}}
    trials = grid({"method": METHODS, "selection": selections})
    assert grouped(trials) == [names(trials)]
    for axis in ("seed", "batch_size", "model.depth"):
        trials = grid({axis: (16, 22)})
        assert grouped(trials) == [[trial.name] for trial in trials]


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
    trials = grid({key: [value], "method": METHODS})
    assert grouped(trials) == [[trial.name] for trial in trials]
    free = grid({"method": METHODS})
    first = free[0].name
    assert grouped(free, alone=[first]) == [[first], names(free[1:])]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 30), st.integers(1, 9))
def test_large_groups_are_divided_evenly(count, limit):
    trials = [(f"trial{i}", resolved(config())) for i in range(count)]
    trials = [packing.Trial(name, {}, ConfigDict(content)) for name, content in trials]
    parts = packing.group(trials, limit, set())
    sizes = [len(part) for part in parts]
    assert [trial for part in parts for trial in part] == trials
    assert max(sizes) <= limit and max(sizes) - min(sizes) <= 1
    assert len(parts) == math.ceil(count / limit)


def test_a_program_trains_each_trial_as_it_would_train_alone():
    methods = [{"name": "ce"}, KD, {"name": "mse"}]
    trials = grid({"seed": [5], "method": methods, "selection": {"all": {}}})
    together = plain(packing.program(trials))
    check_keys(together)
    students = student_sections(together)
    for trial in trials:
        (alone,) = student_sections(plain(trial.config)).values()
        assert json.dumps(students[trial.name]) == json.dumps(alone)
    rest = {k: v for k, v in together.items() if k not in ("students", *packing.OWN)}
    own = {k: v for k, v in plain(trials[2].config).items() if k in rest}
    assert rest == own
    assert packing.program_id(trials) != packing.program_id(trials[:2])
