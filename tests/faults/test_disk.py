"""Disks that are full, over their quota, read-only or broken: nothing saved is lost."""

import errno
import io
import os
import pathlib
import subprocess

import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.__main__ import main
from kdjax.checkpoints import checkpointer
from kdjax.reporting import events, growing
from kdjax.reporting.reporter import Reporter, read_rows
from kdjax.runner import lock
from kdjax.runner import workdir as workdirs
from tests.chaos.matrix import scalars
from tests.experiment import configs
from tests.reporting.test_reporter import ROW, TIMING

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
CONFIG = """
from tests.faults.test_disk import config

def get_config(arg=""):
    return config(arg)
"""


def config(data_dir) -> ConfigDict:
    """Eight steps, saved after each second one."""
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:linear"})
    config.log_every_steps, config.checkpoint.every_steps = 1, 2
    config.schedule.learning_rate, config.tensorboard = 0.001, True
    return config


@pytest.fixture
def train(tmp_path, data_dir, as_they_are):
    """Runs the same command each time; its exit code."""
    (tmp_path / "config.py").write_text(CONFIG)
    flags = [f"--config={tmp_path / 'config.py'}:{data_dir}"]

    def run(workdir="w"):
        return main(["train", *flags, f"--workdir={tmp_path / workdir}"])

    return run


def steps(workdir: pathlib.Path) -> list[int]:
    names = [path.name for path in (workdir / "checkpoints").iterdir()]
    return sorted(int(name) for name in names if name.isdigit())


def refuse(number: int):
    def write(*_, **__):
        raise OSError(number, os.strerror(number), "the file")

    return write


def reporter_of(tmp_path, stream) -> Reporter:
    keep = {"start": 0, "total_steps": 4, "steps_per_epoch": 1.0}
    return Reporter(tmp_path, **keep, stream=stream)


@pytest.mark.parametrize("number", DISK)
def test_losing_tensorboard_stops_no_run(tmp_path, monkeypatch, number):
    stream = io.StringIO()
    reporter = reporter_of(tmp_path, stream)
    reporter.train(1, {"s": ROW}, TIMING)
    monkeypatch.setattr(reporter._others[0]._file, "write", refuse(number))
    for step in (2, 3):
        reporter.train(step, {"s": ROW}, TIMING)
    reporter.flush()
    reporter.close()
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == [1, 2, 3]
    assert stream.getvalue().count("cannot be written") == 1
    shown = scalars(tmp_path / "tensorboard")
    assert {step for _, step in shown} == {1} and ("train/s/loss", 1) in shown


@pytest.mark.parametrize("number", DISK)
def test_tensorboard_that_cannot_begin(tmp_path, monkeypatch, number):
    monkeypatch.setattr(events, "open_append", refuse(number))
    stream = io.StringIO()
    reporter = reporter_of(tmp_path, stream)
    reporter.train(1, {"s": ROW}, TIMING)
    reporter.close()
    assert stream.getvalue().count("The run goes on without it") == 1


def test_a_tensorboard_disk_of_64_kilobytes(tmp_path):
    """tensorboardX's own writer hung here for ever."""
    directory = tmp_path / "tensorboard"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(directory)]
    try:
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("no file system may be mounted here")
    except FileNotFoundError:
        pytest.skip("no mount here")
    try:
        reporter = reporter_of(tmp_path, io.StringIO())
        for step in range(1, 400):
            reporter.train(step, {"s": ROW}, TIMING)
        reporter.close()
        assert len(read_rows(tmp_path / "metrics.jsonl")) == 399
        shown = scalars(directory)  # whole records alone
        assert 10 < len({step for _, step in shown}) < 399
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def test_rows_wait_for_room_and_none_is_torn(tmp_path, monkeypatch):
    stream = io.StringIO()
    reporter = reporter_of(tmp_path, stream)
    reporter.train(1, {"s": ROW}, TIMING)
    room = []

    class Full(io.FileIO):
        """Takes a part of what it is given, as a disk that becomes full."""

        def write(self, data):
            if room:
                return super().write(data)
            if len(data) > 10:
                return super().write(bytes(data[:10]))
            raise OSError(errno.ENOSPC, "No space left on device")

    reporter._file.close()
    reporter._file._file = Full(reporter._path, "ab")
    for step in (2, 3):
        reporter.train(step, {"s": ROW}, TIMING)
        assert reporter._path.read_bytes().count(b"\n") == 1
        assert reporter._path.read_bytes().endswith(b"\n")
    with pytest.raises(OSError, match=r"metrics.jsonl cannot be written \(No space"):
        reporter.flush()
    assert stream.getvalue().count("its rows wait in memory") == 1
    room.append(True)
    reporter.train(4, {"s": ROW}, TIMING)
    reporter.flush()
    reporter.close()
    assert [row["step"] for row in read_rows(reporter._path)] == [1, 2, 3, 4]


@pytest.mark.parametrize("what", ("rows", "checkpoint", "summary"))
def test_the_same_command_goes_on_when_there_is_room(
    train, tmp_path, monkeypatch, capsys, what
):
    assert train("whole") == 0
    with monkeypatch.context() as patch:
        if what == "rows":
            real = growing.Appended.write

            def write(self, data):
                if b'"step": 5' in data:
                    refuse(errno.ENOSPC)()
                real(self, data)

            patch.setattr(growing.Appended, "write", write)
        elif what == "checkpoint":
            # Orbax writes in threads of its own; it is told of by the next save.
            real_finalize = checkpointer.ocp.StandardCheckpointHandler.finalize

            def finalize(self, directory):
                if "/checkpoints/6" in str(directory):
                    refuse(errno.EIO)()
                return real_finalize(self, directory)

            name = "finalize"
            patch.setattr(checkpointer.ocp.StandardCheckpointHandler, name, finalize)
        else:
            from kdjax.runner import trainer

            patch.setattr(trainer, "write_record", refuse(errno.EDQUOT))
        capsys.readouterr()
        assert train() == 4
    error = capsys.readouterr().err.splitlines()[-1]
    assert "he same command goes on" in error
    saved = steps(tmp_path / "w")
    assert saved and saved[-1] == {"rows": 4, "checkpoint": 4, "summary": 8}[what]
    assert train() == 0
    rows = [row["step"] for row in read_rows(tmp_path / "w" / "metrics.jsonl")]
    assert rows == [1, 2, 3, 4, 4, 5, 6, 7, 8, 8]
    first, second = (
        checkpoints.read_variables(tmp_path / name / "checkpoints", 8, "ce")[0]
        for name in ("w", "whole")
    )
    assert str(first) == str(second)
    shown = [scalars(tmp_path / name / "tensorboard") for name in ("w", "whole")]
    assert len(shown[0]) > 30 and shown[0] == shown[1]


def test_a_finished_run_where_nobody_can_write_is_finished(
    train, tmp_path, monkeypatch, capsys
):
    assert train() == 0
    capsys.readouterr()
    before = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*"))
    monkeypatch.setattr(workdirs.os, "access", lambda *_: False)
    monkeypatch.setattr(lock, "hold", refuse(errno.EROFS))
    assert train() == 0
    assert "is finished; nothing to do" in capsys.readouterr().err
    after = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*"))
    assert before == after
    (tmp_path / "w" / "summary.json").unlink()
    assert train() == 4  # it has something to write
