"""Output decides no run: readers that go away, full log disks, closed terminals."""

import errno
import io
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest
from ml_collections import ConfigDict

from kdjax import __main__
from kdjax.cli import output
from kdjax.reporting.console import console
from kdjax.reporting.reporter import read_rows
from tests.experiment import configs

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = """
from tests.faults.test_output_gone import config

def get_config(arg=""):
    return config(arg)
"""
needs_full = pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="a device of Linux"
)


def config(data_dir) -> ConfigDict:
    """Many steps that take no time, a row of each."""
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:linear"})
    config.log_every_steps, config.schedule.learning_rate = 1, 0.001
    config.evaluation.every_epochs = 1e6
    return config


def words(tmp_path, data_dir, *more) -> list[str]:
    (tmp_path / "config.py").write_text(CONFIG)
    flags = [f"--config={tmp_path / 'config.py'}:{data_dir}", "--devices=1"]
    flags.append(f"--workdir={tmp_path / 'w'}")
    return [sys.executable, "-m", "kdjax", "train", *flags, *more]


def test_a_reader_that_goes_away_and_a_terminal_that_closes(tmp_path, data_dir):
    """`kdjax train 2>&1 | head`, then SIGHUP: it trains until that, and saves."""
    process = subprocess.Popen(
        words(tmp_path, data_dir, "--config.total_epochs=1e6"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    process.stderr.readline()
    process.stderr.close()
    rows, end = tmp_path / "w" / "metrics.jsonl", time.monotonic() + 120
    try:
        while not rows.exists() or len(rows.read_bytes().splitlines()) < 50:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.1)
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 42
    finally:
        process.kill()
        process.wait()
    (saved,) = (tmp_path / "w" / "checkpoints").glob("[0-9]*")
    assert read_rows(rows)[-1]["step"] == int(saved.name) >= 50


@needs_full
def test_a_run_whose_log_and_table_cannot_be_written_is_finished(tmp_path, data_dir):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            words(tmp_path, data_dir, "--config.total_steps=2"),
            **{"stdout": full, "stderr": full, "timeout": 300},
            cwd=ROOT,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
        )
    assert done.returncode == 0
    assert (tmp_path / "w" / "summary.json").exists()


@needs_full
@pytest.mark.parametrize("redirection", ("> /dev/full", ">&- 2>&-", "2>&1 | true"))
def test_help_with_nobody_to_read_it(redirection):
    command = f"{sys.executable} -m kdjax --help {redirection}"
    if "|" in redirection:
        command += "; exit ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def broken_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@needs_full
@pytest.mark.parametrize("is_full", (True, False))
def test_an_answer_that_a_disk_did_not_take_is_an_error(monkeypatch, capsys, is_full):
    """One that its reader did not want is none."""
    where = os.open("/dev/full", os.O_WRONLY) if is_full else broken_pipe()
    stream = output._wrapped(sys.__stdout__, where)
    monkeypatch.setattr(sys, "stdout", stream)
    print("the result", flush=True)
    console(stream).print("a table")
    code = __main__._answered("evaluate")
    stream.detach()
    os.close(where)
    assert code == (4 if is_full else 0)
    assert ("No space left" in capsys.readouterr().err) == is_full


def test_a_full_pipe_that_does_not_wait_is_waited_for():
    """Its other end has set it so, as node does; nothing of the answer is dropped."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    stream, read = output._wrapped(sys.__stdout__, writer), []

    def slowly():
        time.sleep(0.3)
        while block := os.read(reader, 1 << 16):
            read.append(block)

    thread = threading.Thread(target=slowly)
    thread.start()
    text = "the result " * 50_000  # above the 64 KiB that a pipe holds
    print(text, end="", file=stream, flush=True)
    stream.detach()
    os.close(writer)
    thread.join()
    os.close(reader)
    assert b"".join(read).decode() == text


def test_a_full_pipe_whose_reader_goes_away_is_left():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    stream = output._wrapped(sys.__stdout__, writer)
    closing = threading.Timer(0.3, os.close, [reader])
    closing.start()
    print("x" * 500_000, file=stream, flush=True)
    closing.join()
    error = stream.buffer.raw.error
    stream.detach()
    os.close(writer)
    assert error.errno == errno.EPIPE


def test_what_can_be_written_is_written(tmp_path):
    with (tmp_path / "log").open("wb") as file:
        stream = output._wrapped(io.TextIOWrapper(io.BytesIO(), "ascii"), file.fileno())
        print("one line", file=stream, flush=True)
        assert stream.encoding == "ascii" and output.lost(stream) is None
        stream.detach()
    assert (tmp_path / "log").read_text() == "one line\n"


def test_a_console_whose_reader_is_gone_ends_no_process():
    stream = os.fdopen(broken_pipe(), "w", buffering=1)
    console(stream).print("a table")
    console(stream).print("another")
    with pytest.raises(BrokenPipeError):
        stream.close()
