"""Runs in a bucket (gs://), by real clients: killed, resumed, damaged, evaluated."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from kdjax import checkpoints, paths
from kdjax.__main__ import main
from kdjax.paths import files
from kdjax.reporting.reporter import read_rows
from kdjax.reporting.runs import read_runs
from kdjax.runner import lease, workdir
from kdjax.runner.liveness import Watched
from tests.buckets.commands import is_refused, said, train, until

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("own_networks"),
]
ROOT = pathlib.Path(__file__).parents[2]
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
    (run,) = read_runs([where, paths.parse(f"{where}/", "WORKDIR")])
    assert run.workdir == where
    page = where.parent / "page" / "index.html"
    words = ["report", str(where), f"--output={page.parent}", "--watch"]
    assert main([*words, "--allow_code=tests.networks:coarse"]) == 0
    text = page.read_text()
    assert "Norms of the features" in text and "Test accuracy" in text
    assert "left out" not in capsys.readouterr().err
    kept = [file.name for file in (where / "analysis").glob("*")]
    assert kept == ["student-ce-test.npz"]


def test_a_lease_tells_whether_a_run_is_alive(where):
    watched = Watched([where])
    assert not watched.is_held(where)
    with workdir.locked(where):
        for _ in range(3):
            assert watched.is_held(where)
            time.sleep(0.5)
        left = (where / lease.LOCK).read_bytes()
    assert not watched.is_held(where)
    (where / lease.LOCK).write_bytes(left)  # as of a process that was killed
    assert watched.is_held(where)
    time.sleep(1.1)
    assert not watched.is_held(where)


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
    checkpoints.read_variables(steps, 16, "ce")  # compared with its checksums
    assert (steps / "16.damaged" / "meta" / "metadata").read_bytes() == before
    assert rows_of(where) == list(range(1, 17))
