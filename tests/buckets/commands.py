"""Commands on the bucket, and waiting for what they do."""

import contextlib
import io
import time

import pytest

from kdjax.__main__ import main
from kdjax.contracts import InputError
from kdjax.runner import workdir
from tests.buckets import emulator

KD = "--config.method={'name': 'kd', 'alpha': 0.9, 'temperature': 4.0}"


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
