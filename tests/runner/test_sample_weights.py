"""Numbers of each sample are read where this version, or the one before, wrote them."""

import types

import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.runner.sample_weights import SampleInfo
from kdjax.training import sharding

COUNT = 16


class Schedule:
    """Due before steps 1 and 3; every weight is then the step's number."""

    start = {"selection": np.zeros(COUNT, np.float32)}
    wants_teacher, reference = False, None

    def due(self, step, steps_per_epoch):
        return step in (1, 3)

    def first_step(self, steps_per_epoch):
        return 1

    def compute(self, outputs, values):
        return {"selection": np.full(COUNT, outputs["step"], np.float32)}


class Info(SampleInfo):
    def _outputs(self, schedule, student, state):
        return {"step": int(state.step)}


def begin(workdir, start):
    label = np.arange(COUNT, dtype=np.int32) % 2
    train = types.SimpleNamespace(label=label, class_names=("even", "odd"))
    students = {"s": types.SimpleNamespace(selection_schedule=Schedule())}
    experiment = types.SimpleNamespace(
        students=students, train=train, steps_per_epoch=2.0
    )
    return Info(experiment, None, sharding.make_mesh(), workdir, start)


def step(info, number):
    info.before(number, {"s": types.SimpleNamespace(step=number)})
    return info.values["s"]["selection"][0]


def files(workdir):
    return sorted(str(p.relative_to(workdir)) for p in workdir.rglob("*.npz"))


@pytest.mark.parametrize("directory", ("sample_info", "notes"))
def test_a_run_goes_on_with_its_own_directory(tmp_path, directory):
    info = begin(tmp_path, 0)
    assert [step(info, n) for n in (0, 1, 2)] == [0, 1, 1]
    assert files(tmp_path) == ["sample_info/s/1.npz"]
    (tmp_path / "sample_info").rename(tmp_path / directory)
    info = begin(tmp_path, 2)
    assert [step(info, n) for n in (2, 3, 4)] == [1, 3, 3]
    assert files(tmp_path) == [f"{directory}/s/1.npz", f"{directory}/s/3.npz"]
    assert begin(tmp_path, 3).values["s"]["selection"][0] == 1
    begin(tmp_path, 0)
    assert not files(tmp_path)


def test_scores_are_written_and_no_step_reads_them(tmp_path, monkeypatch):
    score = -np.arange(COUNT, dtype=np.float64)  # steps read numbers from 0 on alone
    compute = Schedule.compute

    def with_score(self, outputs, values):
        return compute(self, outputs, values) | {"score": score}

    monkeypatch.setattr(Schedule, "compute", with_score)
    info = begin(tmp_path, 0)
    placed = info.before(1, {"s": types.SimpleNamespace(step=1)})
    assert list(placed["s"]) == ["selection"]
    with np.load(tmp_path / "sample_info" / "s" / "1.npz") as saved:
        np.testing.assert_array_equal(saved["score"], score)
    assert step(begin(tmp_path, 2), 3) == 3


@pytest.mark.errors
def test_a_directory_that_is_missing_is_named(tmp_path):
    begin(tmp_path, 1)  # nothing is due before
    with pytest.raises(
        InputError, match="sample_info/s has nothing from before step 2"
    ):
        begin(tmp_path, 2)
