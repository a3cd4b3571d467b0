"""The referee: turns, ratios, contestants that fail, and a real round in small."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

from benchmarks import flags, run, worker
from kdjax.bench import feeds
from kdjax.distributed import devices

ROOT = pathlib.Path(__file__).parent.parent.parent
FAKE = """
import sys
from benchmarks import worker

def start():
    print("noise on standard output")
    if "--unavailable" in sys.argv:
        raise worker.Unavailable("no such device")
    log = open(sys.argv[-1], "a")
    def run(steps):
        log.write(f"{sys.argv[1]} {steps}\\n")
        log.flush()
        if "--dies" in sys.argv and steps > 1:
            sys.exit(7)
    about = {"students": 1, "dtype": "float32", "platform": sys.argv[2]}
    return about | {"device": "d", "version": "v 1", "notes": ["a note"]}, run

worker.serve(start)
"""


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Contestants that only write down when they ran; returns that log."""
    (tmp_path / "fake_contestant.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{tmp_path}")
    monkeypatch.setattr(run, "SETTLE", 0.0)
    log = tmp_path / "log"

    def enter(*names, platforms="cpu", more=()):
        platforms = [platforms] * len(names) if platforms == "cpu" else platforms
        entered = {
            name: ("fake_contestant", [name.split()[0], where, *more, str(log)])
            for name, where in zip(names, platforms, strict=True)
        }
        monkeypatch.setattr(run, "contestants", lambda options: entered)
        monkeypatch.setattr(flags, "passed_on", lambda options: [])
        return log

    return enter


def test_they_take_turns_and_the_order_turns_round(fakes, tmp_path, capsys):
    log = fakes("kdjax a", "torch b")
    flags_ = ["--steps=4", "--rounds=2", f"--json={tmp_path / 'bench.json'}"]
    assert run.main(flags_) == 0
    block = {name: [f"{name} 1", f"{name} 4"] for name in ("kdjax", "torch")}
    first = ["kdjax 1", "torch 1"]
    turns = block["kdjax"] + block["torch"] + block["torch"] + block["kdjax"]
    assert log.read_text().splitlines() == first + turns
    measured = json.loads((tmp_path / "bench.json").read_text())
    assert [row["name"] for row in measured["rows"]] == ["kdjax a", "torch b"]
    assert all(len(row["rounds"]) == 2 for row in measured["rows"])
    (ratio,) = measured["ratios"]
    assert (ratio["ours"], ratio["theirs"]) == ("kdjax a", "torch b")
    captured = capsys.readouterr()
    assert "| kdjax a (v 1) | d | float32 | 1 |" in captured.out
    assert "noise" not in captured.out and "kdjax a: a note" in captured.err


def test_ratios_are_of_one_round_and_count_students():
    rows = [
        {"name": "kdjax grid", "students": 8, "rounds": [10.0, 40.0, 20.0]},
        {"name": "torch plain", "students": 1, "rounds": [10.0, 20.0, 40.0]},
    ]
    (ratio,) = run.ratios(rows)
    assert ratio["ratio"] == {"median": 8.0, "low": 4.0, "high": 16.0}


def test_blocks_without_a_number_last_as_long_as_asked():
    class Paced:
        description = {}

        def seconds(self, steps):
            return 0.5 * steps

    assert run.steps_of(Paced(), run.parse(["--seconds=10"])) == 20
    assert run.steps_of(Paced(), run.parse(["--seconds=0.1"])) == 3
    assert run.steps_of(Paced(), run.parse(["--steps=7"])) == 7
    Paced.description = {"dispatch": 16}  # whole dispatches
    assert run.steps_of(Paced(), run.parse(["--seconds=10"])) == 32
    assert run.steps_of(Paced(), run.parse(["--steps=16"])) == 16


def test_without_pytorch_its_loops_are_left_out(fakes, monkeypatch, capsys):
    fakes("kdjax a", "torch b")
    entered = run.contestants(None)
    entered["torch b"] = (run.TORCH, entered["torch b"][1])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run.main(["--steps=2"]) == 0
    captured = capsys.readouterr()
    assert "torch b is left out: PyTorch is not installed" in captured.err
    assert "| kdjax a (v 1) |" in captured.out and "torch" not in captured.out


def test_an_interruption_keeps_whole_rounds(fakes, monkeypatch, capsys):
    fakes("kdjax a", "torch b")

    def play(workers, steps, blocks, options):
        blocks["kdjax a"] += [6.0, 99.0]
        blocks["torch b"] += [3.0]
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "play", play)
    assert run.main(["--steps=2"]) == 130
    text = capsys.readouterr().out
    assert "| kdjax a | torch b | 2.00 | 2.00 - 2.00 |" in text


def test_a_contestant_that_cannot_run_is_left_out(fakes, capsys):
    fakes("torch amp", more=["--unavailable"])
    assert run.main(["--steps=2"]) == 0
    assert "torch amp is left out: no such device" in capsys.readouterr().err


def test_a_contestant_that_dies_ends_the_contest(fakes, capsys):
    fakes("kdjax a", more=["--dies"])
    assert run.main(["--steps=2"]) == 2
    assert "kdjax a ended with code 7" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--pair=resnet20:resnet8"], "wide ResNets or ResNet-18 and 34"),
        (["--pair=resnet34"], "such as wrn_28_4:wrn_16_2 or resnet34:resnet18"),
        (["--only=kdjax dead"], "is none of kdjax live"),
    ],
)
def test_bad_input(argv, message, capsys):
    assert run.main(argv) == 2
    assert message in capsys.readouterr().err


def test_a_gpu_against_a_cpu_is_no_contest(fakes, capsys):
    fakes("kdjax a", "torch b", platforms=("cpu", "cuda"))
    assert run.main(["--steps=2"]) == 2
    assert "compute on cpu and cuda" in capsys.readouterr().err


def test_flags_reach_the_contestants():
    options = run.parse(["--workers=3", "--platform=cpu", "--dtype=bfloat16"])
    entered = run.contestants(options)
    assert {"--workers=3", "--platform=cpu"} <= set(entered["torch amp"][1])
    assert {"--dtype=bfloat16", "--students=8"} <= set(entered["kdjax live grid"][1])
    assert "--pair=wrn_28_4:wrn_16_2" in flags.passed_on(options)
    assert flags.networks("wrn_28_4:wrn_16_2") == [("wrn", 28, 4), ("wrn", 16, 2)]
    assert flags.networks("resnet34:resnet18") == [("resnet", 34), ("resnet", 18)]
    assert flags.images(32) == 50_000 and flags.images(224) == feeds.LARGEST // 150_528
    assert flags.padding(32) == 4
    assert flags.cores() == devices.cores()


@pytest.mark.parity
def test_a_round_in_small(tmp_path):
    """Real contestants on tiny networks; speed is of no interest here."""
    path = tmp_path / "bench.json"
    only = "--only=kdjax cached,kdjax live grid,torch plain,torch best"
    command = [sys.executable, "-m", "benchmarks.run", "--quick", only]
    result = subprocess.run(
        [*command, "--platform=cpu", f"--json={path}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "XLA_FLAGS"},
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    measured = json.loads(path.read_text())
    rows = {row["name"]: row for row in measured["rows"]}
    assert {name: row["students"] for name, row in rows.items()} == {
        "kdjax cached": 1,
        "kdjax live grid": 2,
        "torch plain": 1,
        "torch best": 1,
    }
    for row in rows.values():
        assert row["platform"] == "cpu" and row["dtype"] == "float32"
        assert len(row["rounds"]) == 2 and min(row["rounds"]) > 0
    assert len(measured["ratios"]) == 4
    assert rows["torch best"]["notes"] == ["not compiled, by --no-compile"]
    assert "| kdjax live grid | torch plain |" in result.stdout


def test_a_worker_closes_twice(fakes, tmp_path):
    fakes("kdjax a")
    module, more = run.contestants(None)["kdjax a"]
    contestant = worker.Worker("a", module, more, {})
    assert contestant.seconds(2) > 0
    contestant.close()
    contestant.close()
