"""Which trainings still go on, by locks and by the age of their rows."""

import os
import time

import pytest

from kdjax.reporting.runs import read_runs
from kdjax.runner.liveness import Watched, longest_silence
from kdjax.runner.workdir import locked
from tests.reporting.workdirs import section, write

ONE = {"ce": (section("ce"), 50.0)}


@pytest.fixture
def goes_on(tmp_path):
    """Whether the trainings below the test's directory go on."""
    return lambda: Watched([tmp_path]).goes_on(read_runs([tmp_path]))


def age(workdir, seconds):
    """Makes all files of a run so old."""
    then = time.time() - seconds
    for file in workdir.iterdir():
        os.utime(file, (then, then))


def test_a_run_whose_rows_have_stopped_is_over(tmp_path, goes_on):
    workdir = write(tmp_path / "w", ONE, finished=False)
    assert goes_on()
    age(workdir, 70)  # rows come every 3 seconds
    assert not goes_on()


def test_a_run_that_is_held_goes_on_however_old_its_rows(tmp_path, goes_on):
    workdir = write(tmp_path / "w", ONE, finished=False)
    with locked(workdir):
        age(workdir, 9000)
        assert goes_on()
    assert not goes_on()
    with locked(workdir):  # looking at it has kept nobody from holding it
        assert goes_on()


def test_a_sweep_between_two_trials_goes_on(tmp_path, goes_on):
    write(tmp_path / "seed-0", ONE)
    assert not goes_on()
    with locked(tmp_path):
        assert goes_on()
        age(write(tmp_path / "seed-1", ONE, finished=False), 9000)
        assert goes_on()
    assert not goes_on()


def test_how_long_a_run_may_be_silent(tmp_path):
    write(tmp_path / "w", ONE, finished=False)
    (run,) = read_runs([tmp_path])
    assert longest_silence(run) == 60
    slow = [row | {"seconds": 100 * row["seconds"]} for row in run.rows]
    assert longest_silence(run._replace(rows=slow)) == 3000
    assert longest_silence(run._replace(rows=[])) == 300


def test_a_run_without_rows_goes_on_while_it_compiles(tmp_path, goes_on):
    workdir = write(tmp_path / "w", ONE, finished=False)
    (workdir / "metrics.jsonl").unlink()
    age(workdir, 100)
    assert goes_on()
    age(workdir, 301)
    assert not goes_on()
