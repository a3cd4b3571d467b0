"""W&B and MLflow, without a server: what was written is read back by their own code."""

import functools
import io
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.reporting import trackers
from kdjax.reporting.reporter import Reporter, read_rows
from tests.reporting import wandb_files
from tests.reporting.test_reporter import ROW, TIMING

pytestmark = pytest.mark.filterwarnings("default")  # of other people's packages
IMAGE = "eval/kd/disagreement"
SCORES = {"count": 8.0, "top1": 50.0}


def reporter_of(
    workdir, start=0, names=("wandb", "mlflow"), stream=None, config=None
) -> Reporter:
    config = config or {"seed": 3, "schedule": {"learning_rate": 0.5}}
    tags = {"data": "cifar100", "methods": "kd"}
    run = trackers.Run(workdir / "trackers", "mine", config, tags)
    return Reporter(
        workdir,
        start=start,
        total_steps=30,
        steps_per_epoch=10.0,
        tensorboard=False,
        trackers=functools.partial(trackers.open_trackers, names, run),
        rates=lambda step: {"learning_rate": 0.5 / (step + 1)},
        stream=stream or io.StringIO(),
    )


def report(reporter, steps) -> None:
    for step in steps:
        reporter.train(step, {"kd": ROW | {"loss": step / 10}}, TIMING)
        reporter.evaluation(step, {"kd": SCORES | {"top1": float(step)}})


def environment(root: pathlib.Path) -> dict[str, str]:
    return {
        "WANDB_MODE": "offline",
        "WANDB_ERROR_REPORTING": "false",
        "MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
    }


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """A run that was killed after step 20 and went on from step 10 to its end."""
    pytest.importorskip("wandb")
    pytest.importorskip("mlflow")
    root = tmp_path_factory.mktemp("trackers")
    workdir, own = root / "run", environment(root)
    workdir.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)  # where MLflow keeps files
        for key, value in own.items():
            patch.setenv(key, value)
        here = pathlib.Path(__file__).parents[2]
        command = [sys.executable, "-m", "tests.reporting.killed_run", str(workdir)]
        paths = {"PYTHONPATH": str(here)}
        killed = subprocess.run(command, env=os.environ | paths, timeout=120)
        assert killed.returncode == -9
        ids = [trackers.stored_id(workdir / "trackers", n) for n in trackers.TRACKERS]
        stream = io.StringIO()
        reporter = reporter_of(workdir, start=10, stream=stream)
        report(reporter, (20, 30))
        reporter.image(30, IMAGE, png())
        reporter.summary(30, {"summary/kd/top1": 30.0})
        reporter.close()
        assert "The run goes on" not in stream.getvalue(), stream.getvalue()
        now = [trackers.stored_id(workdir / "trackers", n) for n in trackers.TRACKERS]
        assert ids == now and all(ids)
        yield workdir


def png() -> bytes:
    from kdjax.datasets.encode import png as encoded

    return encoded(np.zeros((8, 8, 3), np.uint8)).getvalue()


def expected_rows(workdir) -> dict[int, dict]:
    """What metrics.jsonl has of each step."""
    rows: dict[int, dict] = {}
    for row in read_rows(workdir / "metrics.jsonl"):
        values = {key: x for key, x in row.items() if "/" in key}
        rows.setdefault(row["step"], {}).update(values)
    assert rows.keys() == {10, 20, 30}
    assert rows[20]["train/learning_rate"] == 0.5 / 20
    return rows


def test_wandb_has_every_row_once(resumed):
    written = wandb_files.rows(resumed / "trackers")
    assert [step for step, _ in written] == [10, 20, 30]
    for step, row in expected_rows(resumed).items():
        image = f"{IMAGE}/_type"
        kinds = [sent for key, sent in dict(written)[step].items() if key == image]
        assert kinds == ["image-file"] * (step == 30)
        sent = {k: x for k, x in dict(written)[step].items() if IMAGE not in k}
        assert sent == row


def test_wandb_has_config_tags_and_the_end(resumed):
    (run,) = wandb_files.of_kind(resumed / "trackers", "run")
    assert run.run_id == trackers.stored_id(resumed / "trackers", "wandb")
    config = wandb_files.items(run.config.update)
    assert config["seed"] == 3 and config["schedule"] == {"learning_rate": 0.5}
    assert list(run.tags) == ["cifar100", "kd"] and run.project == "kdjax"
    summaries = wandb_files.of_kind(resumed / "trackers", "summary")
    last = {}
    for one in summaries:
        last |= wandb_files.items(one.update)
    assert last["summary/kd/top1"] == 30.0
    (end,) = wandb_files.of_kind(resumed / "trackers", "exit")
    assert end.exit_code == 0
    images = list(resumed.rglob("media/images/**/*.png"))
    assert [image.read_bytes() for image in images] == [png()]


def test_mlflow_has_every_row_once(resumed):
    from mlflow import MlflowClient

    client, own = MlflowClient(), trackers.stored_id(resumed / "trackers", "mlflow")
    rows = expected_rows(resumed)
    for key in {key for row in rows.values() for key in row}:
        sent = [(m.step, m.value) for m in client.get_metric_history(own, key)]
        assert sent == [(step, row[key]) for step, row in rows.items() if key in row]


def test_mlflow_has_config_tags_and_the_end(resumed):
    from mlflow import MlflowClient

    client, own = MlflowClient(), trackers.stored_id(resumed / "trackers", "mlflow")
    run = client.get_run(own)
    assert run.info.status == "FINISHED" and run.info.run_name == "mine"
    assert run.data.params == {"seed": "3", "schedule.learning_rate": "0.5"}
    assert run.data.tags["data"] == "cifar100" and run.data.tags["methods"] == "kd"
    assert run.data.metrics["summary/kd/top1"] == 30.0
    (file,) = client.list_artifacts(own, IMAGE)
    assert file.path == f"{IMAGE}/step-30.png"
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.name == "kdjax"


def test_mlflow_writes_into_plain_files_too(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    for key, value in environment(tmp_path).items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/store")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    stream, students = io.StringIO(), {"tau=4": ROW}
    reporter = reporter_of(tmp_path, names=("mlflow",), stream=stream)
    reporter.train(10, students, TIMING)
    reporter.close()
    assert "The run goes on" not in stream.getvalue(), stream.getvalue()
    from mlflow import MlflowClient

    run = MlflowClient().get_run(trackers.stored_id(tmp_path / "trackers", "mlflow"))
    assert run.info.status == "KILLED"
    # In files "train/tau/loss" cannot be a number and a folder.
    assert run.data.metrics["train.tau_4.loss.hard_label"] == ROW["loss/hard_label"]
    assert run.data.metrics["train.tau_4.loss"] == ROW["loss"]


class Refusing:
    """A tracker that is down, or whose disk is full."""

    where = "nowhere"

    def __init__(self, run):
        if run.config.get("down"):
            raise ConnectionError("no route\nto host")

    def has(self, step, key):
        return False

    def add(self, step, values):
        raise OSError(28, "No space left on device")

    def close(self, finished):
        assert not finished


@pytest.mark.parametrize("down", [True, False])
def test_a_tracker_that_fails_says_so_once_and_stops_nothing(
    tmp_path, monkeypatch, down
):
    own = f"{__name__}:Refusing"
    monkeypatch.setitem(trackers.TRACKERS, "wandb", ("wandb", own))
    stream = io.StringIO()
    config = {"down": down}
    reporter = reporter_of(tmp_path, names=("wandb",), stream=stream, config=config)
    report(reporter, (10, 20))
    reporter.close()
    assert stream.getvalue().count("The run goes on without") == 1
    assert len(read_rows(tmp_path / "metrics.jsonl")) == 4


def test_a_package_that_is_not_there_is_refused(monkeypatch):
    for name in trackers.TRACKERS:
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(InputError, match=f"expected it: pip install {name}"):
            trackers.check((name,))


def test_no_secret_leaves():
    config = {
        "data": {"name": "https://me:word@host/set", "data_dir": "/data/a@b"},
        "model": {"name": "m:f", "api_key": "k", "nested": {"auth_token": "t"}},
        "schedule": {"milestones": [1, 2]},
        "order": ["s3://key:secret@bucket/x"],
    }
    assert trackers.public(config) == {
        "data": {"name": "https://***@host/set", "data_dir": "/data/a@b"},
        "model": {"name": "m:f", "api_key": "***", "nested": {"auth_token": "***"}},
        "schedule": {"milestones": [1, 2]},
        "order": ["s3://***@bucket/x"],
    }


def test_no_two_packages_are_imported_at_once(tmp_path, monkeypatch):
    importing, most = [], []

    def resolve(name):
        importing.append(name)
        time.sleep(0.05)
        most.append(len(importing))
        importing.remove(name)
        raise ImportError(name)

    monkeypatch.setattr(trackers.pkgutil, "resolve_name", resolve)
    run = trackers.Run(tmp_path, "run", {}, {})
    for one in trackers.open_trackers(("wandb", "mlflow"), run, [], lambda text: None):
        one.close()
    assert most == [1, 1]
