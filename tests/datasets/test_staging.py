"""What a set's writer leaves behind: nothing, or what the next one deletes."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from kdjax.__main__ import main
from kdjax.datasets import staging
from tests.datasets.miniature_imagenet import tiny, write_folder

ROOT = pathlib.Path(__file__).parents[2]
SLOW = """
import sys, time
from kdjax.__main__ import main
from kdjax.datasets import folder_builder

def slow(read):
    def reading(*arguments, **options):
        time.sleep(0.3)
        return read(*arguments, **options)
    return reading

folder_builder.stored_image = slow(folder_builder.stored_image)
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def started(tmp_path):
    """Another process that writes a set, and its arguments."""
    files = {f"{i}.JPEG": tiny(i) for i in range(200)}
    write_folder(tmp_path / "in", {"train": {"a": files}})
    words = [
        "prepare",
        "mine",
        f"--folder={tmp_path / 'in'}",
        f"--data_dir={tmp_path / 'data'}",
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *words],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    try:
        while not list((tmp_path / "data").glob(".kdjax-*/**/*array_record*")):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        yield process, words, tmp_path / "data"
    finally:
        process.kill()
        process.communicate()


def test_after_sigterm_nothing_is_left(started):
    process, _, data_dir = started
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=30)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert "SIGTERM: stopped before anything was to be saved" in output
    assert "Traceback" not in output
    assert [path.name for path in data_dir.glob(".*")] == []


def test_what_a_killed_one_left_is_deleted_by_the_next(started, capsys):
    process, words, data_dir = started
    (left,) = data_dir.glob(".kdjax-*")
    lines = []
    staging.clean(data_dir, lines.append)
    assert left.is_dir() and not lines  # it is being written
    process.kill()
    process.wait()
    assert left.is_dir()
    assert main(words) == 0
    assert f"deleted {left}: 0.0 GB of a set that was" in capsys.readouterr().err
    assert [path.name for path in data_dir.iterdir()] == ["mine"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_full_disk_is_told_from_other_errors(tmp_path):
    with pytest.raises(OSError, match="cannot be written .write.. failed: No space"):
        with staging.staged(tmp_path):
            raise RuntimeError("write() failed: No space left on device; writing x")
    with pytest.raises(RuntimeError, match="another"):
        with staging.staged(tmp_path):
            raise RuntimeError("another one")
    assert os.listdir(tmp_path) == []
