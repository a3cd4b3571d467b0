"""An initial stage and the training that begins with it, stopped in either one."""

import os
import signal

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import recipes
from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.experiment.stages import split_stages
from kdjax.reporting.reporter import read_rows
from kdjax.reporting.results import read_results
from kdjax.runner import run, trainer
from kdjax.runner import workdir as workdirs
from kdjax.training.loop import Preempted
from tests.experiment import configs

FSP = {"name": "fsp"}


def staged(data_dir, width: int = 2) -> ConfigDict:
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:staged", "width": width})
    config.evaluation.every_epochs, config.total_epochs = 0.5, 1.0  # of 4 steps
    config.log_every_steps = 1
    return config


@pytest.fixture(scope="module")
def teacher(data_dir, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("teacher")
    config = staged(data_dir)
    config.seed = 7
    run.run(config, workdir)
    return workdir


def student(data_dir, teacher, width: int = 2) -> ConfigDict:
    config = staged(data_dir, width)
    config.teacher.workdir = str(teacher)
    return recipes.two_stages(config, FSP, initial_epochs=2.0)


@pytest.fixture(scope="module")
def whole(data_dir, teacher, tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    run.run(student(data_dir, teacher), root)
    return root


def weights(workdir, name):
    meta, _ = checkpoints.read_meta(workdir / "checkpoints")
    return checkpoints.read_variables(workdir / "checkpoints", meta["step"], name), meta


def test_the_second_stage_begins_with_the_firsts_weights(whole):
    assert [result.run for result in run.results(whole)] == ["initial", "student"]
    first, meta = weights(whole / "initial", "fsp")
    assert meta["step"] == 8
    flows = [
        row["train/fsp/loss/flow_of_solution"]
        for row in read_rows(whole / "initial" / "metrics.jsonl")
        if "train/fsp/loss" in row
    ]
    assert len(flows) == 8 and np.mean(flows[-2:]) < np.mean(flows[:2])
    _, meta = weights(whole / "student", "ce")
    assert meta["step"] == 4
    assert meta["initial"]["digest"] == checkpoints.digest(first)
    assert read_results(whole / "student")[0].metrics["count"] == 100


@pytest.mark.long
def test_stopped_in_the_first_and_killed_in_the_second_it_ends_the_same(
    whole, data_dir, teacher, tmp_path, monkeypatch
):
    original, step, stop = trainer.Steps.run, {"number": 3}, {}

    def interrupted(self, states, number, *rest):
        if number == step["number"]:
            stop["how"]()
        return original(self, states, number, *rest)

    monkeypatch.setattr(trainer.Steps, "run", interrupted)
    config = student(data_dir, teacher)
    stop["how"] = lambda: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Preempted, match="step 4 of 8"):
        run.run(config, tmp_path)
    assert not (tmp_path / "student").exists()

    def killed():
        if workdirs.is_done(tmp_path / "initial"):
            raise KeyboardInterrupt

    step["number"], stop["how"] = 2, killed
    with pytest.raises(KeyboardInterrupt):
        run.run(config, tmp_path)
    assert workdirs.is_done(tmp_path / "initial")
    assert not workdirs.is_done(tmp_path / "student")
    monkeypatch.undo()
    run.run(config, tmp_path)
    for stage, name in (("initial", "fsp"), ("student", "ce")):
        both = [weights(root / stage, name)[0] for root in (whole, tmp_path)]
        jax.tree.map(np.testing.assert_array_equal, *both)


def test_the_first_stage_has_its_method_length_and_rate(data_dir, tmp_path):
    config = staged(data_dir)
    config.total_steps, config.stop_at_train_top1 = 9, 50.0
    config.students = ConfigDict({"kd": {"method": {"name": "kd"}}})
    config.selection = ConfigDict({"name": "influence"})
    config = recipes.two_stages(config, FSP | {"weight": 2.0}, 3.0, parts="weights")
    config.schedule.learning_rate = 0.3  # afterwards, as on the command line
    stages = split_stages(config, tmp_path)
    assert list(stages) == ["initial", "student"]
    first, second = stages.values()
    assert first["method"] == FSP | {"weight": 2.0} and first["students"] == {}
    assert first["selection"] == {"name": "all"}
    assert first["schedule"] == {"name": "constant", "learning_rate": 0.3}
    assert (first["total_epochs"], first["total_steps"]) == (3.0, 0)
    assert first["stop_at_train_top1"] == 0.0 and not first["initial"]["workdir"]
    assert second["initial"]["workdir"] == str(tmp_path / "initial")
    assert second["initial"]["parts"] == "weights"
    assert (second["total_steps"], second["stop_at_train_top1"]) == (9, 50.0)
    assert list(second["students"]) == ["kd"]
    assert second["selection"]["name"] == "influence"
    own = recipes.two_stages(staged(data_dir), FSP, learning_rate=0.01)
    assert split_stages(own, tmp_path)["initial"]["schedule"]["learning_rate"] == 0.01


@pytest.mark.errors
def test_what_cannot_run_says_so(data_dir, teacher, tmp_path):
    with pytest.raises(ValueError, match="two_stages: 0 epochs; expected above 0"):
        recipes.two_stages(staged(data_dir), FSP, initial_epochs=0)
    message = (
        "config.method: fsp: the student's stem has 3 channels, the teacher's stem has "
        "2; expected as many"
    )
    with pytest.raises(InputError, match=message):
        run.run(student(data_dir, teacher, width=3), tmp_path)
