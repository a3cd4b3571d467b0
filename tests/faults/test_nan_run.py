"""Nonsense is no success: NaN networks, NaN teachers, runs that are started again."""

import dataclasses
import json
import os
import signal
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.__main__ import main
from kdjax.contracts import json_text
from kdjax.data.loaders.sampler import sample_positions
from kdjax.models import Network
from kdjax.runner import summary, trainer
from kdjax.runner.trainer import Steps
from tests import networks

NAN = float("nan")
SCORES = {"ce": {"top1": 50.0, "loss": 1.0}}
BATCH = 16
HEAD = """
from ml_collections import ConfigDict
from kdjax.experiment import schema


def get_config(arg=""):
    config = schema.base()
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    config.method = ConfigDict({"name": "ce"})
    config.schedule = ConfigDict({"name": "constant", "learning_rate": 0.05})
    config.data.name = arg
    config.data.padding, config.data.flip = 0, False
    config.data.mean, config.data.std = (0.5,), (0.25,)
    config.batch_size, config.log_every_steps = 16, 2
    config.total_steps, config.evaluation.every_steps = 12, 4
    config.tensorboard = False
    return config
"""
KD = "--config.method={'name': 'kd', 'alpha': 1.0, 'temperature': 4.0}"


def sparks(num_classes: int) -> Network:
    """Answers NaN wherever an image has a white corner."""
    whole = networks.coarse(num_classes)

    def evaluate(params, batch_stats, images):
        outputs = whole.evaluate(params, batch_stats, images)
        is_white = images[:, 0, 0, :] > 1.9  # of pixels (p / 255 - 0.5) / 0.25
        return outputs._replace(logits=jnp.where(is_white, NAN, outputs.logits))

    return whole._replace(evaluate=evaluate)


def broken(num_classes: int) -> Network:
    """Has NaN for weights."""
    whole = networks.coarse(num_classes)

    def init(key, images):
        return jax.tree.map(lambda x: x * NAN, whole.init(key, images))

    return whole._replace(init=init)


def explosive(num_classes: int) -> Network:
    """Its logits are ninth powers: with a large rate they overflow in two steps."""
    whole = networks.coarse(num_classes)

    def train(*arguments):
        outputs, batch_stats = whole.train(*arguments)
        return outputs._replace(logits=outputs.logits**9), batch_stats

    def evaluate(*arguments):
        outputs = whole.evaluate(*arguments)
        return outputs._replace(logits=outputs.logits**9)

    return whole._replace(train=train, evaluate=evaluate)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """FILE:ARG of 64 images; the corner of each training image alone is white."""
    directory = tmp_path_factory.mktemp("nan")
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 64), ("test", 16)):
        image = rng.integers(0, 200, (count, 8, 8, 1), dtype=np.uint8)
        if split == "train":
            image[:, 0, 0] = 255
        arrays |= {f"{split}_image": image, f"{split}_label": np.arange(count) % 4}
    np.savez(directory / "set.npz", **arrays)
    (directory / "config.py").write_text(HEAD)
    return f"{directory}/config.py:{directory}/set.npz"


@pytest.fixture
def train(config, tmp_path, as_they_are, capsys):
    """Words of `train` -> its exit code and what it printed as an error."""

    def run(*words, workdir="run"):
        where = f"--workdir={tmp_path / workdir}"
        code = main(["train", f"--config={config}", where, *words])
        return code, capsys.readouterr().err

    return run


def no_constants(name):
    raise AssertionError(f"{name} is not JSON")


def read(path):
    lines = path.read_text().splitlines()
    return [json.loads(line, parse_constant=no_constants) for line in lines]


NETWORK = "--config.{}={{'name': 'tests.faults.test_nan_run:{}'}}"
EXPLODES = (
    NETWORK.format("model", "explosive"),
    "--config.schedule.learning_rate=1000000.0",
)


def teacher_of(name):
    return f"--config.teacher.network=tests.faults.test_nan_run:{name}"


def test_a_run_that_exploded_never_ends_with_0(train, tmp_path):
    words = (*EXPLODES, "--config.total_steps=24")
    first = train(*words)
    for code, said in (first, train(*words), train(*words)):
        assert code == 3
        assert said.splitlines()[-1] == first[1].splitlines()[-1]
    assert "in steps" in said and "skipped_steps.jsonl" in said
    assert not (tmp_path / "run" / "summary.json").exists()
    rows = read(tmp_path / "run" / "skipped_steps.jsonl")
    steps = [row["step"] for row in rows]
    assert steps == list(range(steps[0], steps[0] + len(steps)))  # no line twice
    for row in rows:
        assert row["skipped"].keys() == {"ce"}
        index, _ = sample_positions(0, row["step"] - 1, BATCH, 64)
        assert row["samples"] == index.tolist()
    read(tmp_path / "run" / "metrics.jsonl")


def test_a_run_whose_last_evaluation_is_not_finite_is_not_finished(train, tmp_path):
    for _ in range(2):  # the second start finds the state, and makes no step
        code, said = train(*EXPLODES, "--config.total_steps=2")
        assert code == 3 and "ce ends with a loss in the last evaluation" in said
        assert "finished; nothing to do" not in said
        assert not (tmp_path / "run" / "summary.json").exists()


def test_a_summary_of_nan_is_not_finished(train, tmp_path):
    """As earlier versions have written it."""
    assert train()[0] == 0
    path = tmp_path / "run" / "summary.json"
    summary = json.loads(path.read_text())
    del summary["checksum"]  # earlier versions had none
    summary["students"]["ce"]["metrics"]["loss"] = NAN
    path.write_text(json.dumps(summary))
    code, said = train()
    assert code == 3 and "ce ends with a loss in the last evaluation" in said


def test_weights_that_are_not_finite_are_the_end_of_no_run(train, monkeypatch):
    """The scores are fine: the average hides it, or a layer that evaluation skips."""

    class Spoilt(Steps):
        def run(self, *arguments):
            states, metrics = super().run(*arguments)
            params = jax.tree.map(lambda x: x * NAN, states["ce"].params)
            return {"ce": dataclasses.replace(states["ce"], params=params)}, metrics

    monkeypatch.setattr(trainer, "Steps", Spoilt)
    monkeypatch.setattr(trainer, "Evaluation", lambda *_: lambda states: SCORES)
    code, said = train("--config.total_steps=1")
    assert code == 3 and "ce ends with a weight that is not finite" in said


def test_a_teacher_of_nan_is_refused_before_training(train, tmp_path):
    code, said = train(KD, teacher_of("broken"))
    assert code == 2 and "answers 16 of 16 test images with NaN" in said
    assert not (tmp_path / "run" / "metrics.jsonl").read_text()


def test_a_teacher_that_fails_in_training_is_named(train, tmp_path):
    code, said = train(KD, teacher_of("sparks"), "--config.total_steps=24")
    assert code == 3
    assert "what kd reads of its teacher was not finite in steps 1 to 10" in said
    rows = read(tmp_path / "run" / "metrics.jsonl")
    logged = [row for row in rows if "train/kd/loss" in row]
    assert all(row["train/kd/skipped/teacher"] == 2 for row in logged)
    first = read(tmp_path / "run" / "skipped_steps.jsonl")[0]
    assert first["skipped"] == {"kd": "teacher"} and len(first["samples"]) == BATCH


def test_what_was_skipped_is_said_at_the_end(train, tmp_path, monkeypatch):
    """Two steps of twelve, on either side of a restart."""

    class Skipping(Steps):
        stop = True

        def run(self, states, number, *rest):
            states, metrics = super().run(states, number, *rest)
            if number in (3, 6):
                metrics["ce"]["skipped"] = 3.0
            if number == 4 and Skipping.stop:
                os.kill(os.getpid(), signal.SIGTERM)
            return states, metrics

    monkeypatch.setattr(trainer, "Steps", Skipping)
    assert train()[0] == 42
    Skipping.stop, path = False, tmp_path / "run" / "skipped_steps.jsonl"
    (first,) = read(path)
    with path.open("a") as file:  # as a run that was killed after step 9 leaves it
        file.write(json.dumps(first | {"step": 9}) + "\n")
    code, said = train()
    assert [row["step"] for row in read(path)] == [4, 7] and read(path)[0] == first
    assert code == 0 and "ce skipped 2 of 12 steps (17 %): update 2" in said
    written = json.loads((tmp_path / "run" / "summary.json").read_text())
    counted = written["students"]["ce"]["skipped_steps"]
    assert counted == {"steps": 2, "percent": 100 / 6, "reasons": {"update": 2}}


def test_rows_of_steps_that_are_made_again_go_at_the_start(tmp_path, capsys):
    """Where no step is skipped from then on too."""
    label = np.zeros(32)
    experiment = types.SimpleNamespace(
        batch_size=16, seed=0, train=types.SimpleNamespace(label=label)
    )
    path = tmp_path / "skipped_steps.jsonl"
    with summary.listing(experiment, tmp_path, 0):
        assert not path.exists()
    rows = [{"step": n, "skipped": {"s": "loss"}, "samples": [n]} for n in (2, 4, 5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with summary.listing(experiment, tmp_path, 4):
        assert read(path) == rows[:2]
    assert "damaged" not in capsys.readouterr().err


def test_json_has_no_nan():
    value = {"a": [NAN, 1.5, (float("inf"), None)], "b": {"c": -float("inf"), "d": "x"}}
    found = json.loads(json_text(value), parse_constant=no_constants)
    assert found == {"a": [None, 1.5, [None, None]], "b": {"c": None, "d": "x"}}
