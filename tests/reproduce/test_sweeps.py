"""Studies made of sweeps: what they run, in which order, and when they stop."""

import pathlib
import subprocess
import sys

import pytest

from kdjax.cli import reproduce
from kdjax.reproduce import pages, sweeps
from tests.reproduce.test_claims import write_runs

ROOT = pathlib.Path(__file__).parent.parent.parent
NAMES = ["teachers", "temperatures", "detectors", "noisy_teachers", "noisy_labels"]
NAMES += ["baseline", "corrections"]


class Commands:
    """Stands in for processes; each writes what such a command leaves, and ends."""

    def __init__(self, monkeypatch, fails=()):
        self.calls, self.fails = [], fails
        monkeypatch.setattr(sweeps.subprocess, "run", self.run)

    def run(self, command):
        assert command[:3] == [sys.executable, "-m", "kdjax"]
        self.calls.append(command[3:])
        code = 42 if command[3] in self.fails else 0
        return subprocess.CompletedProcess(command, code)


@pytest.mark.parametrize("study, data_set", sweeps.DATA_SETS.items())
def test_every_study_has_its_configs(study, data_set, tmp_path):
    commands = sweeps.commands(study, tmp_path, ["--devices=2"])
    for words, name in zip(commands, NAMES, strict=True):
        config = words[1].removeprefix("--config=").split(":")[0]
        assert (ROOT / config).is_file() and f"configs/{data_set}/" in config
        assert words[0] == "sweep" and words[-1] == "--devices=2"
        assert f"--workdir={tmp_path / name}" in words


def test_a_study_runs_writes_its_page_and_does_nothing_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "CHECKOUT", tmp_path)
    configs, runs = tmp_path / "configs" / "fashion_mnist", tmp_path / "runs"
    configs.mkdir(parents=True)
    write_runs(runs)
    for name in ("program0", "program9"):  # the analysis of the first is there
        summary = runs / "temperatures" / "programs" / name / "summary.json"
        summary.parent.mkdir(parents=True)
        summary.write_text(
            (runs / "detectors/rate-0.2__seed-0/proxy/summary.json").read_text()
        )
    commands = Commands(monkeypatch)
    options = [f"--runs={runs}", f"--data_dir={tmp_path}", "--devices=2"]
    assert reproduce.main(["fashion_mnist", *options]) == 0
    *sweep_calls, analyse = commands.calls
    assert [words[0] for words in sweep_calls] == ["sweep"] * len(NAMES)
    assert all(
        words[-2:] == [f"--data_dir={tmp_path}", "--devices=2"] for words in sweep_calls
    )
    program = runs / "temperatures" / "programs" / "program9"
    output = f"--output={runs / 'analysis' / 'program9'}"
    assert analyse == ["analyse", str(program), output, f"--data_dir={tmp_path}"]
    page = (configs / "RESULTS.md").read_text()
    assert page.startswith("<!-- experiments: begin -->")
    assert "`python -m kdjax reproduce fashion_mnist --devices=2`" in page


def test_a_command_that_stops_stops_all_with_its_code(tmp_path, monkeypatch):
    commands = Commands(monkeypatch, fails=["sweep"])
    with pytest.raises(SystemExit) as stop:
        reproduce.main(["fashion_mnist", f"--runs={tmp_path}"])
    assert stop.value.code == 42 and len(commands.calls) == 1


def test_a_report_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "CHECKOUT", tmp_path)
    (tmp_path / "configs" / "cifar100").mkdir(parents=True)
    write_runs(tmp_path / "runs")
    commands = Commands(monkeypatch)
    words = ["cifar100_claims", "--report", f"--runs={tmp_path / 'runs'}"]
    assert reproduce.main(words) == 0 and not commands.calls
    assert "held" in (tmp_path / "configs" / "cifar100" / "RESULTS.md").read_text()
