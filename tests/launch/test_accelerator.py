"""accelerator.sh against a stand-in for Python: order, limits, answers, going on."""

import os
import subprocess
import sys

import pytest

from benchmarks import flags
from benchmarks import run as benchmark
from kdjax.cli import bench, reproduce
from kdjax.distributed import devices
from tests.launch.standins import LAUNCH, ROOT
from tests.reproduce import bare

# Writes its words and a time down; ends with the code that $CODES has for a word.
PYTHON = """#!/usr/bin/env bash
printf '%s\\0' "$@" >> "$LOG"
printf '\\1' >> "$LOG"
echo "answer to $*"
while read -r word code; do
  case " $* " in *"$word"*) [ "$code" != slow ] || exec sleep 30; exit "$code" ;; esac
done < "$CODES"
"""
STAGES = ["facts", "wrn_float32", "resnet_bfloat16", "wrn_bfloat16", "torch"]
STAGES += ["grid_bfloat16", "torch_resnet", "resnet_streamed", "cifar100"]
PUBLISHED = ROOT / "benchmarks" / "accelerator.md"
TABLE = ["-m", "benchmarks.accelerator", "table"]


@pytest.fixture
def accelerator(tmp_path):
    """Runs the script; returns (exit code, what Python was called with)."""
    python, log, out = tmp_path / "python", tmp_path / "log", tmp_path / "a b"
    python.write_text(PYTHON)
    python.chmod(0o755)

    def run(*words, codes="", **variables):
        (tmp_path / "codes").write_text(codes)
        log.write_text("")
        files = {"PYTHON": python, "LOG": log, "OUT": out, "CODES": tmp_path / "codes"}
        result = subprocess.run(
            [LAUNCH / "accelerator.sh", *words],
            env=os.environ | {k: str(v) for k, v in files.items()} | variables,
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
        )
        calls = [call.split("\0")[:-1] for call in log.read_text().split("\1")[:-1]]
        tables = [call[3:] for call in calls if call[:3] == TABLE]
        assert tables == [[str(out), f"--publish={PUBLISHED}"]]
        stages = [call for call in calls if call[:3] != TABLE]
        return result.returncode, [c for c in stages if "import torch" not in c]

    return run, out


def done(out):
    return [name for name in STAGES if (out / f"{name}.done").exists()]


def test_every_stage_runs_once_and_writes_its_answer(accelerator):
    run, out = accelerator
    code, calls = run(DATA="c.npz")
    assert code == 0 and len(calls) == len(STAGES) and done(out) == STAGES
    for name, call in zip(STAGES, calls, strict=True):
        assert f"answer to {' '.join(call)}" in (out / f"{name}.out").read_text()
    assert run(DATA="c.npz") == (0, [])


def test_every_command_is_one_that_its_parser_takes(accelerator, monkeypatch):
    run, out = accelerator
    plans = []
    monkeypatch.setattr(devices, "configure", lambda *sizes: None)
    monkeypatch.setattr(
        bench.rows, "measure_each", lambda *args: plans.append(args) or 0
    )
    entered = []
    for module, *words in [call[1:] for call in run(DATA="c.npz")[1][1:]]:
        if module == "benchmarks.run":
            options = benchmark.parse(words)
            entered.append(list(benchmark.contestants(options)))
            assert flags.networks(options.pair) and options.json.parent == out
        elif words[0] == "bench":
            assert bench.main(words[1:]) == 0
        else:
            assert (module, words[0]) == ("kdjax", "reproduce")
            options, rest = reproduce.read(words[1:])
            assert not rest and options.once and 10 <= options.minutes <= 13
            assert options.results == str(out / "results")
    assert len(plans) == 5
    assert [names[0] for names in entered] == ["kdjax live"] * 2
    assert [len(names) for names in entered] == [4, 2]


def test_the_same_command_goes_on_with_what_is_not_done(accelerator):
    run, out = accelerator
    code, calls = run(codes="--students=8 2\nresnet34 124\n")
    assert code == 2 and len(calls) == 8
    lost = ["grid_bfloat16", "torch_resnet", "resnet_streamed"]
    assert done(out) == ["facts", "wrn_float32", "wrn_bfloat16", "torch"]
    code, calls = run(codes="modes=live,cached 124\n", DATA="c.npz")
    assert code == 42 and len(calls) == 5 and done(out)[-3:] == [*lost[1:], "cifar100"]
    code, calls = run(DATA="c.npz")
    assert code == 0 and done(out) == STAGES
    assert [call[4:][-1] for call in calls] == ["--modes=live,cached"] * 2
    text = (out / "log").read_text()
    assert text.count("resnet_bfloat16: code 124") == 2


def test_without_pytorch_its_stages_are_left_out(accelerator):
    run, out = accelerator
    code, calls = run(codes="import 1\n")
    assert code == 0 and not any("benchmarks.run" in call for call in calls)
    assert done(out)[-2:] == ["grid_bfloat16", "resnet_streamed"]
    assert "PyTorch is not installed" in (out / "log").read_text()


def test_a_training_that_was_saved_goes_on(accelerator):
    run, out = accelerator
    assert run(codes="reproduce 42\n", DATA="c.npz")[0] == 42
    code, (call,) = run(DATA="c.npz")
    assert code == 0 and call[:4] == ["-m", "kdjax", "reproduce", "cifar100"]


def test_no_stage_takes_time_that_is_not_there(accelerator):
    run, out = accelerator
    # Ten are kept back, so five are left: a slow machine may need some for the facts.
    code, calls = run("15", codes="--students=1 slow\n", LEAST="1")
    assert code == 42 and len(calls) <= 2 and done(out) == ["facts"]
    assert "wrn_float32: code 124" in (out / "log").read_text()
    assert "grid_bfloat16: no time left" in (out / "log").read_text()
    assert run("10", LEAST="1") == (42, [])


def test_measuring_needs_no_more_packages_than_the_script_says():
    program = bare.prelude() + (
        "from benchmarks import accelerator, kdjax_loop, run\n"
        "from kdjax.cli import bench\n"
        "words = ['--pair=tests.networks:linear,tests.networks:coarse', '--json']\n"
        "words += ['--batch_size=8', '--image_size=8', '--classes=5', '--students=1']\n"
        "words += ['--devices=1', '--steps=1', '--repeats=1']\n"
        "assert bench.main(words) == 0 and accelerator.main(['facts']) == 0\n"
    )
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", program]
    result = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
