"""What a process of several writes to its own log, and what it writes last."""

import faulthandler
import io
import os
import re
import subprocess
import sys

import pytest

from kdjax.contracts import InputError
from kdjax.distributed import process_log
from kdjax.reporting.reporter import Silent


class Kept(io.BytesIO):
    """A file in memory whose content outlives it, as that of a bucket does."""

    def __init__(self):
        super().__init__()
        self.lines = []

    fileno = property()  # an object of a bucket has none

    def close(self):
        self.lines = self.getvalue().decode().splitlines()
        super().close()


def test_it_begins_with_where_the_process_runs_and_ends_with_what_ended_it():
    file = Kept()
    with pytest.raises(InputError), process_log.to_file(file):
        process_log.write("one")
        raise InputError("no such key")
    process_log.write("nobody reads this")
    first, *rest = file.lines
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}"
    assert re.match(rf"{time} process 0 of 1 on \S+, pid {os.getpid()}: .*", first)
    assert "; kdjax " in first and ", jaxlib " in first
    assert [line.split(" ", 1)[1] for line in rest] == [
        "one",
        "InputError: no such key",
    ]


def test_of_a_bug_it_has_the_traceback():
    file = Kept()
    with pytest.raises(ZeroDivisionError), process_log.to_file(file):
        1 / 0  # noqa: B018
    assert "Traceback" in file.lines[1] and "1 / 0" in "".join(file.lines)


def test_a_stage_has_a_log_within_that_of_its_run():
    outer, inner = Kept(), Kept()
    with process_log.to_file(outer):
        with process_log.to_file(inner):
            process_log.write("within")
        process_log.write("after")
    assert [line.split(" ", 1)[1] for line in outer.lines[1:]] == ["after"]
    assert [line.split(" ", 1)[1] for line in inner.lines[1:]] == ["within"]


def test_other_processes_report_to_their_logs_alone(capsys, tmp_path):
    file = Kept()
    with process_log.to_file(file):
        reporter = Silent(tmp_path, start=0, total_steps=40, steps_per_epoch=4)
        timing = {"images_per_second": 1234.5, "input_percent": 40.04, "seconds": 1.0}
        reporter.train(20, {}, timing)
        reporter.say("resuming")
        reporter.evaluation(20, {"s": {"top1": 1.0}})
        reporter.close()
    assert [line.split(" ", 1)[1] for line in file.lines[1:]] == [
        "step 20/40  1,234 images/s of all processes  input 40.0% of this one",
        "resuming",
        "evaluated after step 20",
    ]
    assert reporter.last_evaluation and not any(tmp_path.iterdir())
    assert not any(capsys.readouterr())


ABORTS = """
import os, sys
from kdjax.distributed import process_log
with process_log.to_file(open(sys.argv[1], "ab", buffering=0)):
    os.abort()
"""


def test_where_the_process_is_aborted_it_has_the_stacks(tmp_path):
    """As XLA does where it loses the coordinator: no Python runs any more."""
    command = [sys.executable, "-c", ABORTS, str(tmp_path / "log")]
    env = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONFAULTHANDLER": ""}
    assert subprocess.run(command, env=env, capture_output=True).returncode == -6
    assert "Fatal Python error: Aborted" in (tmp_path / "log").read_text()
    enabled = faulthandler.is_enabled()
    with process_log.to_file((tmp_path / "log").open("ab", buffering=0)):
        pass
    assert faulthandler.is_enabled() is enabled
