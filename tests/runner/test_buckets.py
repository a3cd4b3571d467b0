"""Runs in a bucket (gs://): real clients, and an emulator at 127.0.0.1."""

import contextlib
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from kdjax import checkpoints, paths
from kdjax.__main__ import main
from kdjax.contracts import InputError
from kdjax.distributed import devices
from kdjax.paths import files
from kdjax.reporting import growing
from kdjax.reporting.reporter import read_rows
from kdjax.runner import lease, workdir
from tests import emulator

pytestmark = pytest.mark.filterwarnings("default")
ROOT = pathlib.Path(__file__).parents[2]
CONFIG = """
from ml_collections import ConfigDict
from kdjax.experiment import schema

def get_config(arg=""):
    config = schema.base()
    config.data.name, config.data.train, config.data.test = "t.npz", "train", "test"
    config.data.mean, config.data.std = (0.5,), (0.25,)
    config.data.padding, config.data.flip = 0, False
    config.batch_size, config.total_epochs = 16, 4.0
    config.evaluation.batch_size, config.log_every_steps = 16, 1
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    config.method = ConfigDict({"name": "ce"})
    return config
"""
# Waits in its second evaluation, until another process kills it.
WAITS = """
import sys, time
from kdjax.reporting import growing, reporter
from kdjax.runner import lease
lease.BEAT = growing.SEND_EVERY = 0.2
plain = reporter.Reporter.evaluation
def evaluation(self, step, metrics):
    time.sleep(600 * (step == 8))
    plain(self, step, metrics)
reporter.Reporter.evaluation = evaluation
from kdjax.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
KD = "--config.method={'name': 'kd', 'alpha': 0.9, 'temperature': 4.0}"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """gs://NAME, with t.npz in it; the config lies in the current directory."""
    directory = tmp_path_factory.mktemp("here")
    (directory / "config.py").write_text(CONFIG)
    random, label = np.random.default_rng(0), np.arange(64, dtype=np.int32) % 4
    arrays = {}
    for split in ("train", "test"):
        arrays[f"{split}_label"] = label
        arrays[f"{split}_image"] = random.integers(0, 256, (64, 8, 8, 1), np.uint8)
    with pytest.MonkeyPatch.context() as patch, emulator.bucket(patch) as root:
        patch.chdir(directory)
        patch.setattr(devices, "configure_cpu", lambda *_: 8)
        patch.setattr(lease, "BEAT", 0.1)
        patch.setattr(lease, "EXPIRY", 1.0)
        with files.written(paths.parse(f"{root}/data/t.npz", "data")) as part:
            np.savez(part, **arrays)
        yield root


@pytest.fixture
def where(bucket, request):
    """A directory of the test's own."""
    return paths.parse(f"{bucket}/{request.node.name}", "--workdir")


def train(workdir, *more):
    """The words of a training in a workdir of the bucket."""
    data = f"--data_dir=gs://{emulator.NAME}/data"
    return ["train", "--config=config.py", data, f"--workdir={workdir}", *more]


def said(words) -> str:
    """What a command that succeeds says on standard error."""
    with contextlib.redirect_stderr(io.StringIO()) as stream:
        assert main(words) == 0, stream.getvalue()
    return stream.getvalue()


def until(condition, seconds=300.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def is_refused(where) -> bool:
    with pytest.raises(InputError, match="another run is writing to gs://"):
        with workdir.locked(where):
            raise AssertionError("it went on")
    return True


@pytest.fixture(scope="module")
def resumed(bucket):
    """(a run that was killed and has gone on, what it said then)."""
    where = paths.parse(f"{bucket}/run", "--workdir")
    command = [sys.executable, "-c", WAITS, *train(where), "--devices=8"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as killed:
        with contextlib.ExitStack() as stack:
            stack.callback(killed.send_signal, signal.SIGKILL)
            first = where / "checkpoints" / "4" / "commit_success.txt"
            until(lambda: killed.poll() is not None or first.exists())
            assert killed.poll() is None, killed.stderr.read().decode()
            until(lambda: rows_of(where)[-1:] == [8])
            assert is_refused(where)
    assert killed.returncode == -signal.SIGKILL
    return where, said(train(where))


def rows_of(where) -> list[int]:
    rows = read_rows(where / "metrics.jsonl")
    return [row["step"] for row in rows if "train/ce/loss" in row]


def test_a_killed_run_goes_on(resumed):
    where, text = resumed
    assert f"{where} was last held by process " in text and "waiting 1 s" in text
    assert "resuming at step 4 of 16" in text
    # What was logged after the checkpoint is logged again, and all of it once.
    assert rows_of(where) == list(range(1, 17))
    assert json.loads((where / "summary.json").read_text())["students"]["ce"]
    events = list((where / "tensorboard").glob("events.*"))
    assert len(events) == 2 and all(files.size(file) > 100 for file in events)
    assert not (where / lease.LOCK).exists()
    assert "is finished; nothing to do" in said(train(where))


def test_it_is_evaluated_and_reported_there(resumed, capsys):
    where, _ = resumed
    assert main(["evaluate", f"--workdir={where}", "--checkpoint=best"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["workdir"] == str(where) and line["students"]["ce"]["top1"] >= 0


def test_a_damaged_step_is_set_aside(resumed):
    where, _ = resumed
    steps, (file, *_) = (
        where / "checkpoints",
        sorted((where / "checkpoints" / "16" / "variables" / "d").glob("*")),
    )
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(bytes(content))
    before = (steps / "16" / "meta" / "metadata").read_bytes()
    (where / "summary.json").unlink()
    text = said(train(where))
    assert "checkpoint 16 is damaged" in text and "resuming at step 12 of 16" in text
    assert checkpoints.read_meta(steps)[0]["step"] == 16
    assert (steps / "16.damaged" / "meta" / "metadata").read_bytes() == before
    assert rows_of(where) == list(range(1, 17))


def test_of_two_live_runs_one_is_refused(where):
    with workdir.locked(where):
        assert is_refused(where)
        time.sleep(2 * lease.EXPIRY)
        assert is_refused(where)
    with workdir.locked(where):  # given back: nobody waits
        pass
    assert not (where / lease.LOCK).exists()


def test_of_two_that_wait_for_a_dead_run_one_is_refused(where):
    (where / lease.LOCK).write_text("of an earlier version")
    holds, refusals = [], []

    def hold(stack):
        try:
            lease.hold(where, stack)
            holds.append(stack)
        except InputError as error:
            refusals.append(str(error))

    with contextlib.ExitStack() as one, contextlib.ExitStack() as other:
        threads = [threading.Thread(target=hold, args=[s]) for s in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(holds) == 1 and len(refusals) == 1, refusals
        assert "another run is writing" in refusals[0] and is_refused(where)


def test_a_run_whose_lease_was_taken_ends(where, monkeypatch):
    """As of a machine that was suspended for minutes."""
    left = threading.Event()
    monkeypatch.setattr(lease, "_leave", lambda _: left.set())
    with workdir.locked(where):
        time.sleep(3 * lease.BEAT)
        assert not left.is_set()
        (where / lease.LOCK).write_text("another run's")
        assert left.wait(10.0)
    assert (where / lease.LOCK).read_text() == "another run's"


def test_a_bucket_that_is_not_there(bucket, capsys):
    assert main(train("gs://nobody-has-it/run")) == 2
    error = capsys.readouterr().err
    assert "--workdir: cannot write to gs://nobody-has-it/run" in error
    assert main(["evaluate", "--workdir=gs://nobody-has-it/run"]) == 2
    assert "no checkpoints here" in capsys.readouterr().err


def test_rows_are_sent_while_a_file_grows(where, monkeypatch):
    monkeypatch.setattr(growing, "SEND_EVERY", 0.1)
    path = where / "rows"
    file = growing.open_append(path)
    file.write(b"1\n")
    until(lambda: path.exists() and path.read_bytes() == b"1\n")
    monkeypatch.setattr(growing, "SEND_EVERY", 1000.0)
    file.close()
    file = growing.open_append(path)
    file.write(b"2\n")
    file.write(b"3\n")
    assert path.read_bytes() == b"1\n"
    file.close()
    assert path.read_bytes() == b"1\n2\n3\n"


def test_an_error_leaves_what_was_there(where):
    path = where / "a.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), files.written(path) as part:
        part.write_text("half of it")
        raise ZeroDivisionError
    assert path.read_text() == "old"


@pytest.mark.parametrize("name", ("lr=[0.1]", "a*", "what?", "n#1"))
def test_names_that_tools_read_as_patterns(bucket, name):
    with pytest.raises(InputError, match="--workdir is .*read as patterns"):
        paths.parse(f"{bucket}/{name}", "--workdir")
