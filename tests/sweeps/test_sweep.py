"""Whole sweeps: programs, trials, and what a kill leaves behind."""

import json
import os
import shutil
import signal

import pytest

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.experiment.pretrained import find_network
from kdjax.reporting.reporter import read_rows
from kdjax.reporting.results import read_results
from kdjax.runner import trainer
from kdjax.runner.trainer import Steps
from kdjax.training.loop import Preempted
from tests.sweeps import sweeps
from tests.sweeps.sweeps import TRIALS, start


class Killed(BaseException):
    """As when the power fails."""


@pytest.fixture(autouse=True)
def devices(monkeypatch):
    # The number of devices is the tests', settled long before.
    monkeypatch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)


@pytest.fixture(scope="module")
def file(data_dir, tmp_path_factory):
    return sweeps.write(tmp_path_factory.mktemp("sweep"), data_dir)


@pytest.fixture(scope="module")
def swept(file, tmp_path_factory):
    """The sweep, after a signal in its first program and a kill before its second."""
    workdir = tmp_path_factory.mktemp("swept") / "sweep"
    original, trained = trainer.train, []

    def killed_before_the_second(experiment, where, *more):
        if any(where != before for before in trained):
            raise Killed
        original(experiment, where, *more)
        trained.append(where)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)
        interrupt(patch, at=3)
        with pytest.raises(Preempted, match="step 4 of 6"):
            start(file, workdir)
        patch.undo()
        patch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)
        patch.setattr(trainer, "train", killed_before_the_second)
        with pytest.raises(Killed):
            start(file, workdir)
        assert [
            name for name in TRIALS if (workdir / name / "DONE").exists()
        ] == TRIALS[:3]
        patch.setattr(trainer, "train", original)
        assert start(file, workdir) == 0
    return workdir


def interrupt(patch, at):
    class Interrupted(Steps):
        def run(self, states, number, *rest):
            if number == at:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().run(states, number, *rest)

    patch.setattr(trainer, "Steps", Interrupted)


def programs_of(workdir):
    return {
        path.parent: json.loads(path.read_text())["rows"]
        for path in (workdir / "programs").glob("*/program.json")
    }


def test_a_sweep_goes_on_where_it_was(swept):
    assert sorted(programs_of(swept).values()) == [TRIALS[:3], TRIALS[3:]]
    first = next(p for p, names in programs_of(swept).items() if names == TRIALS[:3])
    # Resumed at step 4, neither begun again nor trained twice.
    steps = [row["step"] for row in read_rows(first / "metrics.jsonl")]
    assert steps == [2, 4, 4, 6, 6]


def test_each_trial_has_its_part_of_the_program(swept, file):
    for program, names in programs_of(swept).items():
        whole = {r.student: r for r in read_results(program)}
        assert list(whole) == names
        for name in names:
            method = name.split("-")[-1]
            done = json.loads((swept / name / "DONE").read_text())
            assert done == {"ran": f"programs/{program.name}"}
            (result,) = read_results(swept / name)
            assert (result.run, result.student) == (name, method)
            assert result.metrics == whole[name].metrics
            assert result.metrics["agreement"] >= 0
            assert result.seconds == pytest.approx(whole[name].seconds / 3)
            own = [line for line in result.rows if f"eval/{method}/top1" in line]
            shared = [line for line in whole[name].rows if f"eval/{name}/top1" in line]
            assert [line["step"] for line in own] == [4, 6]
            for key in ("eval/{}/top1", "eval/{}/loss"):
                values = [line[key.format(name)] for line in shared]
                assert [line[key.format(method)] for line in own] == values
            keys = {key for line in result.rows for key in line}
            assert not any("__method" in key for key in keys)
            assert "train/images_per_second" in keys


def test_a_trial_of_a_program_is_what_it_is_alone(swept, file, tmp_path):
    words = ["--grid.seed=2", "--grid.method={'name': 'mse'}"]
    assert start(file, tmp_path / "w", *words) == 0
    (alone,) = read_results(tmp_path / "w" / "seed-2__method-mse")
    (shared,) = read_results(swept / "seed-2__method-mse")
    assert alone.student == shared.student and alone.model == shared.model
    assert alone.metrics.keys() == shared.metrics.keys()
    assert shared.metrics["loss"] == pytest.approx(alone.metrics["loss"], rel=1e-4)
    for a, b in zip(alone.rows, shared.rows, strict=True):
        assert a.keys() == b.keys() and a["step"] == b["step"]
        if "train/mse/loss" in a:
            assert a["train/mse/loss"] == pytest.approx(b["train/mse/loss"], rel=1e-4)
    configs_ = [tmp_path / "w" / "seed-2__method-mse", swept / "seed-2__method-mse"]
    one, other = (json.loads((w / "config.json").read_text()) for w in configs_)
    assert one == other
    # It is a --workdir like any other, so it can teach.
    meta, _ = checkpoints.read_meta(configs_[0] / "checkpoints")
    assert list(meta["students"]) == ["mse"] and meta["step"] == 6


def test_a_trial_of_a_program_teaches_by_its_directory(swept):
    trial = str(swept / "seed-2__method-mse")
    for student in ("", "mse"):
        section = {"workdir": trial, "student": student, "checkpoint": "latest"}
        stored = find_network("config.teacher", section)
        assert stored.name == "seed-2__method-mse" and stored.step == 6
    with pytest.raises(InputError, match="student is 'kd'; .*seed-2__method-mse has m"):
        find_network("config.teacher", section | {"student": "kd"})


def test_a_second_start_only_prints(swept, file, monkeypatch, capsys):
    monkeypatch.setattr(trainer, "train", None)
    before = (swept / "results.json").read_text()
    assert start(file, swept) == 0
    assert (swept / "results.json").read_text() == before
    out, err = capsys.readouterr()
    assert "6 trials: 6 done, 0 failed, 0 in 0 programs, 0 alone" in err
    assert "test top-1 %" in out and "±" in out
    results = json.loads(before)
    assert [row["row"] for row in results["rows"]] == TRIALS
    assert results["rows"][1]["cells"] == {"seed": "1", "method": "kd"}
    means_ = {row["cells"]["method"]: row for row in results["over_seeds"]}
    assert list(means_) == ["ce", "kd", "mse"] and means_["kd"]["seeds"] == 2
    a, b = (results["rows"][i]["metrics"]["top1"] for i in (1, 4))
    assert means_["kd"]["mean"]["top1"] == pytest.approx((a + b) / 2)
    assert means_["kd"]["deviation"]["top1"] == pytest.approx(abs(a - b) / 2**0.5)


def test_a_grid_that_grew_runs_only_what_is_new(swept, file, capsys):
    assert start(file, swept, "--grid.seed=2,1,3", "--dry_run") == 0
    out = capsys.readouterr().out
    assert "9 trials: 6 done, 0 failed, 3 in 1 programs, 0 alone" in out
    assert "seed-3__method-ce, seed-3__method-kd, seed-3__method-mse" in out
    flags = ["--grid.seed=3,4", "--students_per_program=2", "--dry_run"]
    assert start(file, swept, *flags) == 0
    out = capsys.readouterr().out
    assert "6 trials: 0 done, 0 failed, 4 in 2 programs, 2 alone" in out
    assert "alone: seed-4__method-ce" in out
    assert not list(swept.glob("seed-3*"))


def test_trials_lost_while_they_were_written_are_written_again(
    swept, file, tmp_path, monkeypatch
):
    shutil.copytree(swept, tmp_path / "w")
    lost = tmp_path / "w" / TRIALS[4]
    before = (lost / "metrics.jsonl").read_text()
    shutil.rmtree(lost)
    monkeypatch.setattr(trainer, "train", None)
    assert start(file, tmp_path / "w") == 0
    assert (lost / "metrics.jsonl").read_text() == before
    assert (lost / "DONE").exists()


def test_a_dry_run_changes_nothing_where_a_summary_is_damaged(
    swept, file, tmp_path, monkeypatch, capsys
):
    shutil.copytree(swept, tmp_path / "w")
    summary = tmp_path / "w" / TRIALS[4] / "summary.json"
    before = summary.read_text()
    summary.write_text("{")
    files = sorted((tmp_path / "w").rglob("*"))
    assert start(file, tmp_path / "w", "--dry_run") == 0
    assert "5 done" in capsys.readouterr().out
    assert sorted((tmp_path / "w").rglob("*")) == files
    monkeypatch.setattr(trainer, "train", None)
    assert start(file, tmp_path / "w") == 0
    assert summary.read_text() == before


@pytest.mark.errors
def test_a_trial_that_is_done_cannot_change(swept, file):
    with pytest.raises(
        InputError, match=r"seed-1__method-ce holds .*total_steps was 6"
    ):
        start(f"{file}:7", swept)
    with pytest.raises(InputError, match=r"config\.batch_size was 64 and is now 32"):
        start(file, swept, "--config.batch_size=32", "--dry_run")


def test_a_started_program_keeps_its_trials_and_one_that_never_saved_does_not(
    swept, file, tmp_path, capsys
):
    shutil.copytree(swept, tmp_path / "w")
    (program,) = (
        p for p, names in programs_of(tmp_path / "w").items() if names == TRIALS[3:]
    )
    for name in TRIALS[3:]:
        shutil.rmtree(tmp_path / "w" / name)
    (program / "summary.json").unlink()
    flags = ["--students_per_program=2", "--dry_run"]
    assert start(file, tmp_path / "w", *flags) == 0
    assert f"program {program.name}: {', '.join(TRIALS[3:])}" in capsys.readouterr().out
    # One of its trials is no longer wanted.
    assert start(file, tmp_path / "w", "--grid.method={'name': 'ce'}", *flags) == 0
    assert program.name not in capsys.readouterr().out
    # It had no memory for three students, say: a smaller limit is used.
    shutil.rmtree(program / "checkpoints")
    assert start(file, tmp_path / "w", *flags) == 0
    out = capsys.readouterr().out
    assert program.name not in out and "2 in 1 programs, 1 alone" in out
