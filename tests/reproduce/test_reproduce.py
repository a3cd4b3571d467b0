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
from kdjax.contracts import InputError
from kdjax.reporting.reporter import read_rows
from kdjax.reproduce import options, run
from kdjax.reproduce.plans import STUDIES, Settings, parts_of
from kdjax.training.loop import Preempted
from tests.reproduce import bare

ROOT = pathlib.Path(__file__).parent.parent.parent
# The whole of `python -m kdjax.reproduce repdistiller`, but for networks that compile at once.
PROGRAM = """
import dataclasses, json, os, sys
from kdjax.__main__ import main as kdjax
from kdjax.reproduce.__main__ import main
from kdjax.reproduce.plans import STUDIES
small = {{"name": "tests.networks:coarse"}}
STUDIES["repdistiller"] = dataclasses.replace(
    STUDIES["repdistiller"],
    pairs=STUDIES["repdistiller"].pairs[:1],
    networks={{"resnet56": small, "resnet20": small}},
)
def words(data, runs):
    where = [f"--data={{data}}", f"--runs={{runs}}"]
    return ["repdistiller", *where, "--total_steps=2", "--seeds=3", "--devices=1"]
here = words("{root}/small.npz", "{root}/begun")
piece = [*here, "--once", "--minutes=1e-9"]
codes = [main(piece), main(piece), main(here)]
os.mkdir("{root}/other")
os.rename("{root}/small.npz", "{root}/other/small.npz")
os.rename("{root}/begun", "{root}/runs")
codes.append(main(words("{root}/other/small.npz", "{root}/runs")))
scored = ["evaluate", "--workdir={root}/runs/{last}", "--data_dir={root}/other"]
codes.append(kdjax([*scored, "--devices=1"]))
print(json.dumps(codes))
wrong = set(sys.modules) & set({never!r})
assert not wrong, wrong
"""
PARTS = ["resnet56", "resnet20-by-labels-seed3", "resnet20-of-resnet56-seed3"]


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """Two pieces, the rest, once more elsewhere, and a command that scores.

    Returns:
      (directory, exit codes, what scoring said, stderr).
    """
    root = tmp_path_factory.mktemp("launch")
    draw = np.random.default_rng(0)
    arrays = {}
    for name, count in (("train", 200), ("test", 40)):
        arrays[f"{name}_image"] = draw.integers(0, 256, (count, 8, 8, 3), np.uint8)
        arrays[f"{name}_label"] = np.arange(count) % 5
    np.savez_compressed(root / "small.npz", **arrays)
    program = bare.prelude() + PROGRAM.format(
        root=root, last=PARTS[-1], never=bare.NEVER
    )
    kept = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=kept | {"JAX_PLATFORMS": "cpu"},
    )
    assert result.returncode == 0, result.stderr
    *_, scored, codes = map(json.loads, result.stdout.splitlines()[-2:])
    return root, codes, scored["students"], result.stderr


def records(root):
    paths = sorted((root / "runs" / "results").glob("*.json"))
    return {told["run"]: told for told in (json.loads(p.read_text()) for p in paths)}


def test_it_goes_on_where_a_piece_ended_and_does_nothing_twice(reproduced):
    root, codes, _, said = reproduced
    assert codes == [42, 42, 0, 0, 0]
    assert said.count("is finished; nothing to do") == 1 + 3
    assert "launch: stopped because its time is up at step 1 of 2" in said
    assert f"launch: stopped before {PARTS[1]}, for which too little time" in said
    assert said.count("training in one program") == 4  # the teacher in two pieces
    steps = [r["step"] for r in read_rows(root / "runs" / PARTS[0] / "metrics.jsonl")]
    assert steps == [1, 2, 2]  # 1 in the first piece; 2 and an evaluation in the next
    assert len(read_rows(root / "runs" / PARTS[0] / "pieces.jsonl")) == 2


def test_every_run_is_recorded_once(reproduced):
    root, _, scored, _ = reproduced
    paths = list((root / "runs" / "results").iterdir())
    found = records(root)
    assert len(paths) == 3 and sorted(found) == sorted(PARTS)
    last = found[PARTS[2]]
    assert list(last["students"]) == ["kd", "dtd_la", "lr_mse", "lr_ds"]
    assert last["command"] == (
        "launch/reproduce_repdistiller.sh --data=small.npz --seeds=3 --total_steps=2"
    )
    assert last["device"] == ["1 x cpu"] and last["seed"] == 3
    assert "scikit-learn" not in last["versions"] and "jax" in last["versions"]
    assert last["data"]["train"]["name"] == "small.npz"
    assert last["seconds"] > 0
    rows = read_rows(root / "runs" / PARTS[2] / "metrics.jsonl")
    for name, student in last["students"].items():
        assert student["metrics"]["top1"] == rows[-1][f"eval/{name}/top1"]
        assert student["metrics"]["top1"] == scored[name]["top1"]
        assert ("selection_digest" in student) == (name == "lr_ds")
    for path in paths:
        assert not re.search(r'"/|~/|=/', path.read_text())


def test_digests_say_whose_weights_these_are(reproduced):
    root, *_ = reproduced
    found = records(root)
    (teacher,) = found[PARTS[0]]["students"].values()
    (reference,) = found[PARTS[1]]["students"].values()
    last = found[PARTS[2]]
    assert last["teacher"]["digest"] == teacher["digest"] != reference["digest"]
    assert last["students"]["lr_ds"]["selection_digest"] == reference["digest"]
    directory = root / "runs" / PARTS[2] / "checkpoints"
    for name, student in last["students"].items():
        variables = checkpoints.read_variables(directory, 2, name)
        assert student["digest"] == checkpoints.digest(variables)


def test_a_rehearsal_keeps_its_tables_with_its_runs(reproduced):
    root, *_ = reproduced
    text = (root / "runs" / "RESULTS.md").read_text()
    student = records(root)[PARTS[2]]["students"]["dtd_la"]
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
        monkeypatch.setattr(run.pieces, "deadline", lambda m: self.now + 60 * m)
        monkeypatch.setattr(run.devices, "configure_cpu", lambda *_: 1)
        monkeypatch.setattr(run.records, "note_piece", lambda where: None)
        monkeypatch.setattr(run.runs, "run", self.run)

    def run(self, config, where, deadline):
        self.now += self.each
        self.ran.append(where.name)

    def enter(self, part, where):
        pass


@pytest.mark.parametrize(
    "minutes_each, begun", [(1.9, 4), (2.1, 3), (2.9, 3), (3.1, 2), (7.0, 1), (9.0, 1)]
)
def test_no_run_begins_in_the_last_quarter(monkeypatch, tmp_path, minutes_each, begun):
    clock = Clock(monkeypatch, minutes_each)
    plan, settings = STUDIES["cifar100"], Settings(seeds=(0, 1, 2, 3, 4, 5))
    with pytest.raises(Preempted, match="stopped before wrn_16_2-of-wrn_28_4-seed"):
        run.run(plan, settings, tmp_path, 8.0, clock)
    names = [part.name for part in parts_of(plan, settings, tmp_path)]
    assert clock.ran == names[:begun]


def test_without_pieces_all_runs_follow_one_another(monkeypatch, tmp_path):
    clock = Clock(monkeypatch, 1000.0)
    plan, settings = STUDIES["repdistiller"], Settings(seeds=(0, 1))
    run.run(plan, settings, tmp_path, float("inf"), clock)
    assert len(clock.ran) == 2 * (1 + 2 * 2)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--seeds=0,x"], "--seeds is '0,x'; expected such as 0,1,2"),
        (["--data=a.npz", "--data_dir=d"], "both given"),
        (["--total_steps=3", "--results=d"], "stay with its runs"),
    ],
)
def test_options_that_make_no_sense(words, message):
    given = options.parser().parse_args(["cifar100", *words])
    with pytest.raises(InputError, match=message):
        options.settings(given)


def test_where_the_data_lie_is_not_what_they_are_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = options.parser().parse_args(["cifar100", "--data=d/a.npz", "--seeds=2,1,2"])
    found = options.settings(given)
    assert (found.data, found.data_dir) == ("a.npz", str(tmp_path / "d"))
    assert found.seeds == (2, 1)


@pytest.mark.parametrize("study", STUDIES)
def test_the_scripts_run_from_anywhere(study, tmp_path):
    script = ROOT / "launch" / f"reproduce_{study}.sh"
    result = subprocess.run(
        [script, "--data=gone.npz", "--once", "--total_steps=1"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHON": sys.executable, "JAX_PLATFORMS": "cpu"},
    )
    assert result.returncode == 2, result.stderr
    assert f"{tmp_path / 'gone.npz'}: there is no such file" in result.stderr
