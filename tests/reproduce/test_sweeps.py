"""Studies made of sweeps: what they run, in which order, and when they stop."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from kdjax import __main__, signals
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
        monkeypatch.setattr(sweeps, "_exit_code", self.run)

    def run(self, words):
        self.calls.append(words)
        return 42 if words[0] in self.fails else 0


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
    newer = time.time() + 5
    os.utime(runs / "analysis" / "program0" / "analysis.json", (newer, newer))
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


@pytest.mark.parametrize(
    "words, epochs",
    [([], 6), (["--config.total_epochs=4"], 4), (["--config.total_epochs", "2"], 2)],
)
def test_a_plan_says_how_long_it_trains(words, epochs, capsys):
    assert reproduce.main(["fashion_mnist", "--plan", *words]) == 0
    assert f"embedded images for {epochs} epochs" in capsys.readouterr().out


def test_distances_of_an_earlier_training_are_measured_again(tmp_path):
    summary = tmp_path / "temperatures" / "programs" / "program0" / "summary.json"
    analysis = tmp_path / "analysis" / "program0" / "analysis.json"
    for path in (summary, analysis):
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    os.utime(analysis, (1000, 1000))
    os.utime(summary, (2000, 2000))
    assert [words[0] for words in sweeps.analyses(tmp_path, [])] == ["analyse"]
    os.utime(analysis, (3000, 3000))
    assert not list(sweeps.analyses(tmp_path, []))


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


# Stands in for Python: a sweep without JAX that takes a while to save.
SWEEP = f"""#!{sys.executable}
import pathlib, sys, time
sys.path.insert(0, {str(ROOT)!r})
from kdjax import signals
here = pathlib.Path(__file__).parent
watched = signals.watched("kdjax sweep", final=True)
with watched, signals.deferred(lambda: "saving") as stop:
    if here.joinpath("finishes").exists():
        here.joinpath("finishes").unlink()
        sys.exit(0)
    here.joinpath("ready").touch()
    while not stop.noted:
        time.sleep(0.01)
    if here.joinpath("stops").exists():
        sys.exit(143)
    time.sleep(SECONDS)
    here.joinpath("saved").touch()
    sys.exit(42)
"""
STUDY = """
import sys
from kdjax import signals
from kdjax.reproduce import sweeps
sys.executable = sys.argv[1]
with signals.watched("kdjax reproduce", final=True):
    sweeps._call(["sweep"])
"""


def sweep_process(tmp_path, seconds) -> pathlib.Path:
    path = tmp_path / "python"
    path.write_text(SWEEP.replace("SECONDS", str(seconds)))
    path.chmod(0o755)
    return path


def stop_in_sweep(tmp_path, monkeypatch) -> int:
    """The exit code of a study that gets SIGTERM, its sweep not, while that runs."""

    def send():
        end = time.monotonic() + 20
        while not (tmp_path / "ready").exists() and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(sys, "executable", str(sweep_process(tmp_path, 1.0)))
    sender = threading.Thread(target=send)
    sender.start()
    try:
        return __main__.main(["reproduce", "fashion_mnist", f"--runs={tmp_path}"])
    except SystemExit as error:
        return error.code
    finally:
        sender.join()


def test_a_signal_lets_the_sweep_save_and_its_code_passes_on(
    tmp_path, monkeypatch, capfd
):
    assert stop_in_sweep(tmp_path, monkeypatch) == 42
    assert (tmp_path / "saved").exists()
    lines = capfd.readouterr().err.splitlines()  # of two processes
    study, sweep = sorted(line for line in lines if line.startswith("kdjax "))
    assert study.startswith("kdjax reproduce: SIGTERM: waits for `kdjax sweep` to save")
    assert sweep.startswith("kdjax sweep: SIGTERM: saving")


@pytest.mark.parametrize("finished", (True, False))
def test_a_sweep_that_had_no_state_is_42_after_one_that_is_finished(
    tmp_path, monkeypatch, finished
):
    (tmp_path / "stops").touch()
    if finished:
        (tmp_path / "finishes").touch()
    assert stop_in_sweep(tmp_path, monkeypatch) == (42 if finished else 143)


def test_a_group_s_signal_is_one_to_the_sweep_and_a_second_ends_both(tmp_path):
    path = sweep_process(tmp_path, 60)
    study = subprocess.Popen(
        [sys.executable, "-c", STUDY, str(path)],
        **{"stderr": subprocess.PIPE, "text": True},
        cwd=ROOT,
        start_new_session=True,
    )
    while not (tmp_path / "ready").exists():
        assert study.poll() is None
        time.sleep(0.05)
    os.killpg(study.pid, signal.SIGINT)
    time.sleep(signals.REPEAT + 0.5)
    assert study.poll() is None
    study.send_signal(signal.SIGINT)  # to the study alone
    error = study.communicate(timeout=20)[1]  # both have closed it
    assert study.returncode == 130
    assert error.count("\n") == 3 and error.endswith("SIGINT again: ends at once\n")
    assert not (tmp_path / "saved").exists()


def test_a_sweep_that_is_killed_has_the_code_that_shells_give_it(tmp_path, monkeypatch):
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\nkill -9 $$\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    with pytest.raises(SystemExit) as stop:
        sweeps._call(["sweep"])
    assert stop.value.code == 137
