"""Saving between evaluations: what is kept, and what a run that is killed loses."""

import json

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.reporting.reporter import read_rows
from kdjax.runner import run, trainer
from tests.experiment import configs

pytestmark = pytest.mark.usefixtures("as_they_are")


class Killed(BaseException):
    """As by a signal that leaves no time for anything."""


@pytest.fixture
def killed_after(monkeypatch):
    real = trainer.Steps

    def kill_after(step):
        class Steps(real):
            def run(self, states, number, *rest):
                if number == step:
                    raise Killed
                return super().run(states, number, *rest)

        monkeypatch.setattr(trainer, "Steps", Steps)

    return kill_after


def config_of(data_dir, every_steps=3):
    """Eight steps with an evaluation after the fifth; saved after each third too."""
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:linear"})  # compiles at once
    config.schedule.learning_rate = 0.001
    config.evaluation.every_steps, config.checkpoint.every_steps = 5, every_steps
    return config


@pytest.fixture(scope="module")
def whole(data_dir, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole")
    run.run(config_of(data_dir), workdir)
    return workdir


def weights(workdir, step):
    return checkpoints.read_variables(workdir / "checkpoints", step, "ce")


def steps_in(workdir):
    return {int(p.name) for p in (workdir / "checkpoints").glob("[0-9]*")}


def test_it_evaluates_and_saves_in_rhythms_of_their_own(whole):
    rows = read_rows(whole / "metrics.jsonl")
    assert [row["step"] for row in rows if "eval/ce/top1" in row] == [5, 8]
    meta, best = checkpoints.read_meta(whole / "checkpoints")
    # The latest two and the best one, which is of the two that were evaluated.
    assert meta["step"] == 8 and best["ce"] in (5, 8)
    assert steps_in(whole) == {6, 8, best["ce"]}


def test_a_killed_run_goes_on_bit_for_bit_from_between_two_evaluations(
    whole, data_dir, tmp_path, killed_after
):
    killed_after(7)
    with pytest.raises(Killed):
        run.run(config_of(data_dir), tmp_path / "w")
    kept = steps_in(tmp_path / "w")
    meta, best = checkpoints.read_meta(tmp_path / "w" / "checkpoints")
    assert kept == {5, 6} and best == {"ce": 5}
    assert meta["step"] == 6 and "metrics" not in meta
    killed_after(-1)
    run.run(config_of(data_dir), tmp_path / "w")
    pairs = weights(whole, 8), weights(tmp_path / "w", 8)
    jax.tree.map(np.testing.assert_array_equal, *pairs)
    rows, wanted = (read_rows(w / "metrics.jsonl") for w in (tmp_path / "w", whole))
    numbers = [k for k in wanted[-1] if k.startswith("eval/")]
    assert [rows[-1][k] for k in numbers] == [wanted[-1][k] for k in numbers]


def test_the_summary_says_what_the_time_went_to(
    whole, data_dir, tmp_path, killed_after, capsys
):
    row = json.loads((whole / "summary.json").read_text())["time"]
    lost = row["lost_seconds"]
    assert lost["compilation"] > 0 and lost["saving"] > 0 and lost["evaluation"] > 0
    assert lost["restarts"] == 0
    share = 1 - sum(lost.values()) / row["seconds"]
    assert 0 < row["goodput_percent"] == pytest.approx(100 * share)
    # Without saves in between the same kill loses steps 6 and 7, of which 6 is logged.
    killed_after(7)
    with pytest.raises(Killed):
        run.run(config_of(data_dir, every_steps=0), tmp_path / "w")
    rows = read_rows(tmp_path / "w" / "metrics.jsonl")
    saved, _ = checkpoints.read_meta(tmp_path / "w" / "checkpoints")
    killed_after(-1)
    run.run(config_of(data_dir, every_steps=0), tmp_path / "w")
    record = json.loads((tmp_path / "w" / "summary.json").read_text())["time"]
    again = rows[-1]["time"]["total"] - saved["progress"]["time"]["total"]
    assert [row["step"] for row in rows[-2:]] == [5, 6]
    assert record["lost_seconds"]["restarts"] == pytest.approx(again, abs=2e-3)
    said = capsys.readouterr().err
    assert (
        f"goodput {record['goodput_percent']:.1f} % of {record['seconds']:,.1f}" in said
    )
