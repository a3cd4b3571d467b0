"""A run whose weights are averaged: evaluated, resumed, exported, read as a teacher."""

import json
import os
import re
import signal

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

import kdjax
from kdjax import checkpoints
from kdjax.cli import evaluate as evaluate_command
from kdjax.cli import export as export_command
from kdjax.contracts import InputError
from kdjax.experiment.build import build
from kdjax.experiment.pretrained import load_trained
from kdjax.reporting.reporter import read_rows
from kdjax.runner import trainer
from kdjax.runner import workdir as workdirs
from kdjax.runner.trainer import Steps
from kdjax.training.loop import Preempted
from kdjax.weights import safetensors
from tests.experiment import configs

pytestmark = pytest.mark.usefixtures("own_networks")


def config_of(data_dir):
    """One epoch of linear networks, in microbatches, by an optimizer of one's own."""
    config = configs.teacher(data_dir)
    config.model.name, config.total_epochs = "tests.networks:linear", 1.0
    del config.model.width
    config.ema_decay, config.accumulation_steps = 0.5, 2
    config.optimizer = ConfigDict({"name": "optax:sgd", "momentum": 0.9})
    rate = {"learning_rate": 0.01}
    config.schedule = ConfigDict({"name": "polynomial"} | rate)
    return config


def start(config, workdir):
    experiment = build(config)
    with workdirs.locked(workdir):
        workdirs.check_config(workdir, experiment.config)
        trainer.train(experiment, workdir)


@pytest.fixture(scope="module")
def run(data_dir, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("ema") / "run"
    start(config_of(data_dir), workdir)
    return workdir


def read(workdir, weights=""):
    directory = workdir / "checkpoints"
    step = checkpoints.read_meta(directory)[0]["step"]
    return checkpoints.read_variables(directory, step, "ce", weights)


def largest_gap(a, b) -> float:
    gaps = jax.tree.map(lambda x, y: float(np.abs(x - y).max(initial=0)), a, b)
    return max(jax.tree.leaves(gaps))


def test_a_stopped_run_ends_with_the_same_average(run, data_dir, tmp_path, monkeypatch):
    class Interrupted(Steps):
        def run(self, states, number, *rest):
            if number == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().run(states, number, *rest)

    monkeypatch.setattr(trainer, "Steps", Interrupted)
    with pytest.raises(Preempted, match="step 2 of 4"):
        start(config_of(data_dir), tmp_path / "run")
    monkeypatch.setattr(trainer, "Steps", Steps)
    start(config_of(data_dir), tmp_path / "run")
    for weights in checkpoints.WEIGHTS:
        whole, resumed = read(run, weights), read(tmp_path / "run", weights)
        jax.tree.map(np.testing.assert_array_equal, whole, resumed)


def test_the_average_is_what_is_evaluated(run, data_dir, as_they_are, capsys):
    assert largest_gap(read(run, "ema"), read(run, "raw")) > 1e-4
    (logged,) = [
        row for row in read_rows(run / "metrics.jsonl") if "eval/ce/loss" in row
    ]
    flags = [f"--workdir={run}", f"--data_dir={data_dir}"]
    for weights, key in (("", ""), ("ema", ""), ("raw", "raw_")):
        more = [f"--weights={weights}"] if weights else []
        assert evaluate_command.main([*flags, *more]) == 0
        row = json.loads(capsys.readouterr().out)["students"]["ce"]
        assert row["weights"] == (weights or "ema")
        for name in ("loss", "top1"):
            assert row[name] == pytest.approx(logged[f"eval/ce/{key}{name}"], rel=1e-5)
    assert logged["eval/ce/loss"] != logged["eval/ce/raw_loss"]


@pytest.mark.errors
def test_a_misspelt_choice_of_weights_is_no_average(run, data_dir, as_they_are):
    message = "weights is 'rwa'; expected ema or raw. Did you mean raw?"
    with pytest.raises(InputError, match=re.escape(message)):
        kdjax.evaluate(run, data_dir=data_dir, weights="rwa")


def test_the_average_is_what_is_exported_and_read_as_a_teacher(
    run, data_dir, tmp_path, as_they_are, capsys
):
    jax.tree.map(np.testing.assert_array_equal, read(run), read(run, "ema"))
    data = build(config_of(data_dir)).data.identity
    section = {"workdir": str(run), "student": "", "checkpoint": "latest"}
    teacher = load_trained("config.teacher", section, data, teaches=True)
    assert teacher.identity["weights"] == "ema"
    jax.tree.map(np.testing.assert_array_equal, teacher.variables, read(run, "ema"))
    for weights in checkpoints.WEIGHTS:
        file = tmp_path / f"{weights}.safetensors"
        more = [] if weights == "ema" else ["--weights=raw"]
        flags = ["--format=safetensors", f"--output={file}", *more]
        assert export_command.main([str(run), *flags]) == 0
        assert json.loads(capsys.readouterr().out)["network"]["weights"] == weights
        arrays = sorted(safetensors.read(file).values(), key=np.size)
        expected = sorted(jax.tree.leaves(read(run, weights)), key=np.size)
        for array, own in zip(arrays, expected, strict=True):
            np.testing.assert_array_equal(np.sort(array.ravel()), np.sort(own.ravel()))


def test_a_run_without_an_average_has_none_to_read(data_dir, tmp_path):
    config = config_of(data_dir)
    config.ema_decay, config.total_steps = 0.0, 1
    start(config, tmp_path / "run")
    assert not (tmp_path / "run/checkpoints/1/ema").exists()
    jax.tree.map(
        np.testing.assert_array_equal, *map(read, [tmp_path / "run"] * 2, ["", "raw"])
    )
    with pytest.raises(InputError, match="step 1 has no average of the weights"):
        read(tmp_path / "run", "ema")
