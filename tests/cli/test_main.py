"""The commands as a shell sees them: exit codes, streams, a real signal."""

import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import tomllib
import types

import pytest

from kdjax.__main__ import COMMANDS
from kdjax.__main__ import main as kdjax_main

ROOT = pathlib.Path(__file__).parent.parent.parent
TEACHER = ROOT / "configs" / "fashion_mnist" / "teacher.py"
SMALL = [
    "--config.model={'name': 'tests.networks:tiny', 'width': 4}",
    "--config.data.train=train[:512]",
    "--config.data.test=test[:64]",
    "--config.batch_size=32",
    "--config.total_epochs=1.0",
    "--config.tensorboard=false",
]


def environment(data_dir):
    flags = {"JAX_PLATFORMS": "cpu", "TFDS_DATA_DIR": str(data_dir)}
    kept = dict(os.environ)
    return kept | flags | {"PYTHONPATH": str(ROOT)}


def kdjax(*argv, data_dir="/nowhere", cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "kdjax", *argv],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(data_dir),
        timeout=300,
    )


def test_help_is_instant_and_imports_nothing():
    start = time.monotonic()
    result = kdjax("--help")
    assert time.monotonic() - start < 2
    assert result.returncode == 0
    for name in (*COMMANDS, "42"):
        assert name in result.stdout
    loaded = (
        "import sys, kdjax.__main__ as m; m.main(['-h']); print('jax' in sys.modules)"
    )
    program = [sys.executable, "-c", loaded]
    result = subprocess.run(program, capture_output=True, text=True, cwd=ROOT)
    assert result.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    "script, program",
    (("/usr/bin/kdjax", "kdjax"), ("/p/kdjax/__main__.py", "python -m kdjax")),
)
def test_usage_names_the_program_as_it_was_called(monkeypatch, capsys, script, program):
    monkeypatch.setattr(sys, "argv", [script])
    assert kdjax_main([]) == 2
    assert f"usage: {program} COMMAND" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        kdjax_main(["train", "--help"])
    text = capsys.readouterr().out
    assert f"usage: {program} train " in text and f"\n  {program} train --con" in text


def test_the_console_script_calls_main():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["kdjax"].partition(":")
    assert getattr(importlib.import_module(module), name) is kdjax_main


def test_without_the_train_extra_a_command_says_what_to_install(monkeypatch, capsys):
    def bare(name):
        raise ModuleNotFoundError("No module named 'orbax'", name="orbax")

    monkeypatch.setattr("importlib.import_module", bare)
    assert kdjax_main(["train"]) == 2
    assert "orbax is not installed" in capsys.readouterr().err


def test_a_bug_is_a_traceback(monkeypatch):
    def start(error):
        module = types.SimpleNamespace(main=lambda _: error())
        monkeypatch.setattr(importlib, "import_module", lambda _: module)
        return kdjax_main(["train"])

    with pytest.raises(KeyboardInterrupt):  # of another program's handler
        start(lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(ModuleNotFoundError):
        start(lambda: importlib.__import__("kdjax.nowhere"))


def test_an_unknown_command_suggests_one():
    result = kdjax("trian")
    assert result.returncode == 2
    assert "Did you mean train?" in result.stderr


def test_train_says_what_it_does_and_a_second_start_does_nothing(data_dir, tmp_path):
    # From another directory: configs find their common part all the same.
    flags = [f"--config={TEACHER}", f"--workdir={tmp_path / 'w'}", *SMALL]
    first = kdjax("train", *flags, "--devices=2", data_dir=data_dir, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "2 virtual CPU device(s), " in first.stderr
    assert "step 16/16  100.0%  ETA 0s" in first.stderr
    assert "images/s" in first.stderr
    assert "test top-1 %" in first.stdout
    second = kdjax("train", *flags, data_dir=data_dir, cwd=tmp_path)
    assert second.returncode == 0
    assert "is finished; nothing to do" in second.stderr
    assert "test top-1 %" in second.stdout
    words = [f"--workdir={tmp_path / 'w'}", "--allow_code=tests.networks:tiny"]
    scored = kdjax("evaluate", *words, data_dir=data_dir)
    assert scored.returncode == 0, scored.stderr
    line = json.loads(scored.stdout)
    assert line["students"]["ce"]["count"] == 64


def test_one_and_four_devices_see_the_same_losses(data_dir, tmp_path):
    flags = [f"--config={TEACHER}", *SMALL, "--config.log_every_steps=1"]
    rows = {}
    for count in (1, 4):
        where = tmp_path / str(count)
        result = kdjax(
            "train",
            *flags,
            f"--workdir={where}",
            f"--devices={count}",
            data_dir=data_dir,
        )
        assert result.returncode == 0, result.stderr
        lines = (where / "metrics.jsonl").read_text().splitlines()
        rows[count] = [json.loads(line).get("train/ce/loss") for line in lines]
    for a, b in zip(rows[1], rows[4], strict=True):
        assert a == (None if b is None else pytest.approx(b, rel=1e-5))


def test_a_signal_exits_with_42_and_the_same_command_goes_on(data_dir, tmp_path):
    flags = [f"--config={TEACHER}", f"--workdir={tmp_path / 'w'}", *SMALL]
    flags += ["--config.total_epochs=400", "--config.evaluation.every_epochs=500"]
    process = subprocess.Popen(
        [sys.executable, "-m", "kdjax", "train", *flags, "--config.log_every_steps=1"],
        env=environment(data_dir),
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if line.startswith("step "):
            process.send_signal(signal.SIGTERM)
            break
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 42, rest
    assert "the state is saved" in rest
    steps = [int(p.name) for p in (tmp_path / "w" / "checkpoints").iterdir()]
    assert len(steps) == 1 and steps[0] >= 1


@pytest.mark.parametrize(
    ("argv", "message"),
    (
        (["--config.bach_size=3"], "Did you mean batch_size?"),
        (["--config.batch_size"], "--config.batch_size has no value"),
        (["--config.data.name=cifar100"], "python -m kdjax prepare cifar100"),
        (["--config.model.name=wrn_9"], "config.model"),
        (["--devices=3"], "config.batch_size is 32 and there are 3 devices"),
    ),
)
def test_bad_input_exits_with_2_and_one_sentence(data_dir, tmp_path, argv, message):
    flags = [f"--config={TEACHER}", f"--workdir={tmp_path / 'w'}", *SMALL]
    result = kdjax("train", *flags, *argv, data_dir=data_dir)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_config_file_exits_with_2(tmp_path):
    result = kdjax("train", "--config=nowhere.py", f"--workdir={tmp_path}")
    assert result.returncode == 2
    assert "there is no file nowhere.py" in result.stderr
