"""A study from first to last run, shrunken, in an interpreter with few packages."""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from kdjax import checkpoints
from kdjax.cli import reproduce
from kdjax.contracts import InputError
from kdjax.distributed import devices
from kdjax.reporting.reporter import read_rows
from kdjax.reproduce import pages, run
from kdjax.reproduce.plans import STUDIES, Settings, plan
from kdjax.runner.liveness import Watched
from kdjax.runner.workdir import locked
from kdjax.training.loop import Preempted
from tests.reproduce import bare

ROOT = pathlib.Path(__file__).parent.parent.parent
# All of `python -m kdjax reproduce repdistiller`, with networks that compile at once.
PROGRAM = """
import dataclasses, json, os, sys
from kdjax.__main__ import main as kdjax
from kdjax.reproduce.plans import STUDIES
small = {{"name": "tests.networks:coarse"}}
STUDIES["repdistiller"] = dataclasses.replace(
    STUDIES["repdistiller"],
    pairs=STUDIES["repdistiller"].pairs[:1],
    networks={{"resnet56": small, "resnet20": small}},
)
def words(data, runs):
    where = [f"--data={{data}}", f"--runs={{runs}}"]
    small = ["--total_steps=2", "--seeds=3", "--devices=1"]
    return ["reproduce", "repdistiller", *where, *small]
here = words("{root}/small.npz", "{root}/first")
time_slice = [*here, "--once", "--minutes=1e-9"]
codes = [kdjax(time_slice), kdjax(time_slice), kdjax(here)]
os.mkdir("{root}/other")
os.rename("{root}/small.npz", "{root}/other/small.npz")
os.rename("{root}/first", "{root}/runs")
codes.append(kdjax(words("{root}/other/small.npz", "{root}/runs")))
scored = ["evaluate", "--workdir={root}/runs/{last}", "--data_dir={root}/other"]
scored += ["--devices=1", "--allow_code=tests.networks:coarse"]
codes.append(kdjax(scored))
teacher = ["evaluate", "--workdir={root}/runs/{first}", "--split=train", *scored[2:]]
codes.append(kdjax(teacher))
print(json.dumps(codes))
wrong = set(sys.modules) & set({never!r})
assert not wrong, wrong
"""
RUNS = ["resnet56", "resnet20-by-labels-seed3", "resnet20-of-resnet56-seed3"]


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """Two time slices, the rest, once more elsewhere, and commands that score.

    Returns:
      (directory, exit codes, scores of the students and, on the images that they are
      trained on, of the teacher, stderr).
    """
    root = tmp_path_factory.mktemp("launch")
    draw = np.random.default_rng(0)
    arrays = {}
    for name, count in (("train", 200), ("test", 40)):
        arrays[f"{name}_image"] = draw.integers(0, 256, (count, 8, 8, 3), np.uint8)
        arrays[f"{name}_label"] = np.arange(count) % 5
    np.savez_compressed(root / "small.npz", **arrays)
    program = bare.prelude() + PROGRAM.format(
        root=root, first=RUNS[0], last=RUNS[-1], never=bare.NEVER
    )
    environment = dict(os.environ)
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment | {"JAX_PLATFORMS": "cpu"},
    )
    assert result.returncode == 0, result.stderr
    *_, scored, teacher, codes = map(json.loads, result.stdout.splitlines()[-3:])
    scores = scored["students"] | {"teacher": teacher["students"]["ce"]}
    return root, codes, scores, result.stderr


def records(root):
    paths = sorted((root / "runs" / "results").glob("*.json"))
    return {r["run"]: r for r in (json.loads(p.read_text()) for p in paths)}


def test_it_goes_on_where_a_time_slice_ended_and_does_nothing_twice(reproduced):
    root, codes, _, stderr = reproduced
    assert codes == [42, 42, 0, 0, 0, 0]
    assert stderr.count("is finished; nothing to do") == 1 + 3
    assert "kdjax reproduce: stopped because its time is up at step 1 of 2" in stderr
    assert (
        f"kdjax reproduce: stopped before {RUNS[1]}, for which too little time"
        in stderr
    )
    # The teacher in two time slices.
    assert stderr.count("training in one program") == 4
    steps = [r["step"] for r in read_rows(root / "runs" / RUNS[0] / "metrics.jsonl")]
    assert steps == [2, 2]  # as of one slice: step 1 is in the row of step 2
    assert len(read_rows(root / "runs" / RUNS[0] / "pieces.jsonl", {})) == 2


def test_every_run_is_recorded_once(reproduced):
    root, _, scored, _ = reproduced
    paths = list((root / "runs" / "results").iterdir())
    runs = records(root)
    assert len(paths) == 3 and sorted(runs) == sorted(RUNS)
    last = runs[RUNS[2]]
    assert list(last["students"]) == ["kd", "dtd_la", "lr_mse", "lr_ds"]
    assert last["command"] == (
        "python -m kdjax reproduce repdistiller --data=small.npz --seeds=3 "
        "--total_steps=2"
    )
    assert last["device"] == ["1 x cpu"] and last["seed"] == 3
    assert "scikit-learn" not in last["versions"] and "jax" in last["versions"]
    assert last["data"]["train"]["name"] == "small.npz"
    assert last["seconds"] > 0 and last["host"][0].endswith(devices.processor())
    wrong = {"images": 200, "percent": pytest.approx(100 - scored["teacher"]["top1"])}
    assert last["teacher"]["wrong_labels"] == wrong and runs[RUNS[0]]["teacher"] is None
    rows = read_rows(root / "runs" / RUNS[2] / "metrics.jsonl")
    for name, student in last["students"].items():
        assert student["metrics"]["top1"] == rows[-1][f"eval/{name}/top1"]
        assert student["metrics"]["top1"] == scored[name]["top1"]
        assert student["metrics"]["logit_distance"] > 0
        assert student["curve"]["top1"] == [scored[name]["top1"]]
        assert student["curve"]["train_loss"] == [rows[0][f"train/{name}/loss"]]
        best = {"top1": scored[name]["top1"], "epoch": rows[-1]["epoch"]}
        assert student["best"] == best
        assert ("selection_digest" in student) == (name == "lr_ds")
    for path in paths:
        assert not re.search(r'"/|~/|=/', path.read_text())


def test_digests_say_whose_weights_these_are(reproduced):
    root, *_ = reproduced
    runs = records(root)
    (teacher,) = runs[RUNS[0]]["students"].values()
    (reference,) = runs[RUNS[1]]["students"].values()
    last = runs[RUNS[2]]
    assert last["teacher"]["digest"] == teacher["digest"] != reference["digest"]
    assert last["students"]["lr_ds"]["selection_digest"] == reference["digest"]
    directory = root / "runs" / RUNS[2] / "checkpoints"
    for name, student in last["students"].items():
        variables = checkpoints.read_variables(directory, 2, name)
        assert student["digest"] == checkpoints.digest(variables)


def test_a_rehearsal_keeps_its_tables_with_its_runs(reproduced):
    root, *_ = reproduced
    text = (root / "runs" / "RESULTS.md").read_text()
    student = records(root)[RUNS[2]]["students"]["dtd_la"]
    wanted = f"| resnet20 | dtd_la | {student['metrics']['top1']:.2f} | 3 |"
    assert wanted in text
    assert "A rehearsal, which measures nothing:" in text
    assert "| wrn_16_2 | kd | not measured |" not in text  # that pair was left out
    committed = ROOT / "configs" / "cifar100" / "results"
    assert not [p for p in committed.glob("*.json") if "small.npz" in p.read_text()]


class Clock:
    """Takes runs' time instead of training."""

    def __init__(self, monkeypatch, minutes_each):
        self.now, self.ran, self.each = 0.0, [], 60 * minutes_each
        time = type("time", (), {"monotonic": lambda: self.now})
        monkeypatch.setattr(run, "time", time)
        monkeypatch.setattr(run.time_slice, "deadline", lambda m: self.now + 60 * m)
        monkeypatch.setattr(run.devices, "configure", lambda *_: 1)
        monkeypatch.setattr(run.records, "note_time_slice", lambda where: None)
        monkeypatch.setattr(run.runner, "run", self.run)

    def run(self, config, where, deadline):
        self.now += self.each
        self.ran.append(where.name)

    def record(self, run, directory):
        # A report that watches the study goes on until the last run.
        assert Watched([directory.parent]).goes_on([])


@pytest.mark.parametrize(
    "minutes_each, started",
    [(1.9, 4), (2.1, 3), (2.9, 3), (3.1, 2), (7.0, 1), (9.0, 1)],
)
def test_no_run_starts_in_the_last_quarter(
    monkeypatch, tmp_path, minutes_each, started
):
    clock = Clock(monkeypatch, minutes_each)
    settings = Settings(seeds=(0, 1, 2, 3, 4, 5))
    runs = plan(STUDIES["cifar100"], settings, tmp_path)
    with pytest.raises(Preempted, match="stopped before wrn_16_2-of-wrn_28_4-seed"):
        run.run(runs, tmp_path, 8.0, clock.record)
    assert clock.ran == [one.name for one in runs[:started]]


def test_two_processes_may_train_seeds_of_one_study(monkeypatch, tmp_path):
    clock = Clock(monkeypatch, 1.0)
    runs = plan(STUDIES["cifar100"], Settings(), tmp_path)
    with locked(tmp_path):
        run.run(runs, tmp_path, float("inf"), clock.record)
    assert len(clock.ran) == 2


@pytest.mark.long
def test_without_time_slices_all_runs_follow_one_another(monkeypatch, tmp_path):
    clock = Clock(monkeypatch, 1000.0)
    runs = plan(STUDIES["repdistiller"], Settings(seeds=(0, 1)), tmp_path)
    run.run(runs, tmp_path, float("inf"), clock.record)
    assert len(clock.ran) == 2 * (1 + 2 * 2)


@pytest.mark.parametrize("seeds", ["0,x", "²", ""])
def test_seeds_that_are_none(seeds):
    with pytest.raises(InputError, match=f"--seeds is '{seeds}'; expected such as 0,1"):
        reproduce.main(["cifar100", f"--seeds={seeds}"])


def test_a_rehearsal_has_steps():
    with pytest.raises(InputError, match="--total_steps is -4; expected 1 or more"):
        reproduce.main(["cifar100-small", "--plan", "--total_steps=-4"])


def test_where_the_data_lie_is_not_what_they_are_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options, _ = reproduce.read(["cifar100", "--data=d/a.npz", "--seeds=2,1,2"])
    settings = reproduce.read_settings(options)
    assert (settings.data, settings.data_dir) == ("a.npz", str(tmp_path / "d"))
    assert settings.seeds == (2, 1)
    options, _ = reproduce.read(["cifar100", "--data_dir=d"])
    settings = reproduce.read_settings(options)
    assert (settings.data, settings.data_dir) == ("cifar100", str(tmp_path / "d"))


@pytest.mark.parametrize(
    "words, minutes",
    [
        ([], float("inf")),
        (["--once"], 8.0),
        (["--once", "--minutes=3"], 3.0),
        (["--minutes=3"], 3.0),
    ],
)
def test_how_long_a_time_slice_is(words, minutes, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(run, "run", lambda *args: calls.append(args))
    results = [f"--results={tmp_path}/results", f"--runs={tmp_path}"]
    assert reproduce.main(["cifar100", *results, *words]) == 0
    assert calls[0][2] == minutes


@pytest.mark.parametrize("study", ["cifar100", "fashion_mnist"])
def test_without_a_checkout_there_is_no_page(study, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "CHECKOUT", tmp_path)
    with pytest.raises(InputError, match="configs and RESULTS.md come with a checkout"):
        reproduce.main([study, "--report", f"--runs={tmp_path}"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words, message",
    [
        (["fashion"], "STUDY is 'fashion'; expected one of"),
        (["cifar100", "--data=a.npz", "--data_dir=d"], "are both given; expected one"),
        (["cifar100", "--total_steps=3", "--results=d"], "are both given; expected"),
        (["cifar100", "--config.seed=1"], "there is no option --config.seed."),
        (["cifar100-small", "--dtype=bfloat16"], "there is no option --dtype"),
        (["fashion_mnist-teachers", "--dtype=bfloat16"], "there is no option --dtype"),
        (["fashion_mnist-teachers", "--data_dir=d"], "there is no option --data_dir"),
        ([], "missing: STUDY"),
    ],
)
def test_words_that_are_not_known(words, message, capsys):
    with pytest.raises(SystemExit) as stop:
        reproduce.main(words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("study", STUDIES)
def test_the_scripts_run_from_anywhere(study, tmp_path):
    script = ROOT / "launch" / f"reproduce_{study}.sh"
    result = subprocess.run(
        [script, "--data=missing.npz", "--once", "--total_steps=1"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHON": sys.executable, "JAX_PLATFORMS": "cpu"},
    )
    assert result.returncode == 2, result.stderr
    assert f"{tmp_path / 'missing.npz'}: there is no such file" in result.stderr
