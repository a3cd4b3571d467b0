"""Time slices of no time at all: each makes one step."""

import pytest

from kdjax.__main__ import main
from kdjax.reporting.reporter import read_rows
from tests.sweeps import sweeps


@pytest.fixture(autouse=True)
def devices(monkeypatch):
    # The number of devices is the tests', settled long before.
    monkeypatch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)


@pytest.fixture(scope="module")
def file(data_dir, tmp_path_factory):
    return sweeps.write(tmp_path_factory.mktemp("slices"), data_dir)


def test_time_slices_follow_one_another(file, tmp_path, capsys):
    command = ["train", f"--config={file}:2", f"--workdir={tmp_path}"]
    command += ["--minutes=1e-9"]
    assert [main(command) for _ in range(3)] == [42, 0, 0]
    said = capsys.readouterr().err
    assert "its time is up at step 1 of 2; the state is saved" in said
    assert "resuming at step 1 of 2" in said and "is finished" in said
    rows = read_rows(tmp_path / "metrics.jsonl")
    # No row of its own at the stop: step 1 is in the row of step 2.
    assert [row["step"] for row in rows if "train/ce/loss" in row] == [2]


def test_a_sweep_goes_on_where_its_time_was_up(file, tmp_path):
    command = ["sweep", f"--config={file}:2", f"--workdir={tmp_path}"]
    command += ["--grid.seed=1", "--grid.method={'name': 'ce'}", "--minutes=1e-9"]
    assert [main(command) for _ in range(2)] == [42, 0]


@pytest.mark.parametrize("command", ["train", "sweep"])
@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_minutes_are_above_zero(file, tmp_path, capsys, command, minutes):
    words = [command, f"--config={file}:2", f"--workdir={tmp_path / 'w'}"]
    assert main([*words, f"--minutes={minutes}"]) == 2
    assert "expected a number above 0" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()
