"""A training with random layers, connectors or memories that is killed goes on."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.reporting.reporter import read_rows
from kdjax.reporting.results import SUMMARY
from kdjax.runner import run
from kdjax.training.loop import Preempted
from tests.experiment import configs

ROOT = pathlib.Path(__file__).parent.parent.parent
CONFIG = ROOT / "configs" / "fashion_mnist" / "teacher.py"
STEPS = 80
FLAGS = [
    f"--config={CONFIG}",
    "--config.data.train=train[:256]",
    "--config.data.test=test[:64]",
    "--config.batch_size=32",
    "--config.total_epochs=0.0",
    f"--config.total_steps={STEPS}",
    "--config.evaluation.every_epochs=1.25",  # and a checkpoint: every ten steps
    "--config.schedule.learning_rate=0.01",
    "--config.log_every_steps=1",
    "--config.tensorboard=false",
    "--devices=2",
]

METHODS = {  # dropout; embeddings of both networks, their banks and drawn negatives
    "ce": ["--config.model={'name': 'tests.networks:dropping'}"],
    "crd": [
        "--config.model={'name': 'tests.networks:tiny', 'width': 4}",
        "--config.teacher.network=tests.networks:coarse",
        "--config.method={'name': 'crd', 'negatives': 64, 'width': 8}",
    ],
}


def start(workdir, data_dir, method):
    rest = dict(os.environ)
    flags = FLAGS + METHODS[method]
    own = {"JAX_PLATFORMS": "cpu", "TFDS_DATA_DIR": str(data_dir)}
    return subprocess.Popen(
        [sys.executable, "-m", "kdjax", "train", *flags, f"--workdir={workdir}"],
        env=rest | own | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def finish(*given):
    process = start(*given)
    _, text = process.communicate(timeout=300)
    assert process.returncode == 0, text


def saved_step(workdir):
    names = [path.name for path in workdir.glob("checkpoints/*")]
    return max((int(name) for name in names if name.isdigit()), default=0)


def results(workdir, method):
    """(the last weights and connectors, the metrics of every step and evaluation)."""
    saved = workdir / "checkpoints"
    meta, _ = checkpoints.read_meta(saved)
    clock = ("seconds", "time", "train/images_per_second", "train/input_percent")
    rows = read_rows(workdir / "metrics.jsonl")
    kept = [{k: v for k, v in row.items() if k not in clock} for row in rows]
    of = saved, meta["step"], method
    arrays = checkpoints.read_variables(*of), checkpoints.read_connectors(*of)
    return arrays, kept


@pytest.mark.long
@pytest.mark.parametrize("method", ["ce", "crd"])
def test_killed_and_started_again(data_dir, tmp_path, method):
    given = data_dir, method
    process = start(tmp_path / "killed", *given)
    while process.poll() is None and saved_step(tmp_path / "killed") < STEPS // 4:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / SUMMARY).exists()
    assert saved_step(tmp_path / "killed") < STEPS
    for name in ("killed", "whole"):
        finish(tmp_path / name, *given)
    killed, whole = (results(tmp_path / name, method) for name in ("killed", "whole"))
    jax.tree.map(np.testing.assert_array_equal, killed[0], whole[0])
    assert killed[1] == whole[1] and whole[1][-1]["step"] == STEPS


def test_preempted_where_devices_draw_for_their_own_rows(
    data_dir, tmp_path, as_they_are
):
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:dropping"})
    config.batch_norm, config.schedule.learning_rate = "device", 0.01
    run.run(config, tmp_path / "whole")
    with pytest.raises(Preempted):
        run.run(config, tmp_path / "pieces", deadline=0.0)
    run.run(config, tmp_path / "pieces")
    whole, pieces = (results(tmp_path / name, "ce")[0] for name in ("whole", "pieces"))
    jax.tree.map(np.testing.assert_array_equal, whole, pieces)
