"""A run that goes on with another config, or becomes longer when it had finished."""

import json
import shutil

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.__main__ import main
from kdjax.contracts import InputError
from kdjax.experiment import schema
from kdjax.experiment.stages import split_stages
from kdjax.reporting.reporter import read_rows
from kdjax.runner import changes, run, trainer
from kdjax.runner import workdir as workdirs
from kdjax.training.loop import Preempted
from tests.experiment import configs

pytestmark = pytest.mark.usefixtures("as_they_are")


def config_of(data_dir, steps=4):
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    config.schedule = ConfigDict({"name": "constant", "learning_rate": 0.001})
    config.total_steps, config.evaluation.every_steps = steps, 2
    return config


@pytest.fixture(scope="module")
def whole(data_dir, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole")
    run.run(config_of(data_dir, steps=8), workdir)
    return workdir


@pytest.fixture
def finished(data_dir, tmp_path):
    run.run(config_of(data_dir), tmp_path / "w")
    return tmp_path / "w"


def last(workdir):
    """(the last step, the weights after it)."""
    directory = workdir / "checkpoints"
    step = checkpoints.read_meta(directory)[0]["step"]
    return step, checkpoints.read_variables(directory, step, "ce")


def recorded(workdir):
    lines = (workdir / changes.FILE).read_text().splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if k != "time"} for line in lines
    ]


def test_a_finished_run_goes_on_from_its_end_bit_for_bit(
    whole, finished, data_dir, monkeypatch, capsys
):
    """Stopped on the way once: what was finished before is not finished meanwhile."""
    ran = []

    class Steps(trainer.Steps):
        def run(self, states, number, *rest):
            if number == 6 and 6 not in ran:
                ran.append(number)
                raise Preempted("stopped")
            ran.append(number)
            return super().run(states, number, *rest)

    monkeypatch.setattr(trainer, "Steps", Steps)
    with pytest.raises(Preempted):
        run.run(config_of(data_dir, steps=8), finished)
    assert "config.total_steps was 4 and is 8 from step 4 on" in capsys.readouterr().err
    assert not (finished / "summary.json").exists()
    run.run(config_of(data_dir, steps=8), finished)
    assert ran == [4, 5, 6, 6, 7]
    (step, weights), (end, expected) = last(finished), last(whole)
    assert step == end == 8
    jax.tree.map(np.testing.assert_array_equal, weights, expected)
    summaries = [
        json.loads((finished / f"{name}.json").read_text())
        for name in ("summary", "summary.step-4")
    ]
    rows = read_rows(finished / "metrics.jsonl")
    scored = {r["step"]: r["eval/ce/top1"] for r in rows if "eval/ce/top1" in r}
    tops = [one["students"]["ce"]["metrics"]["top1"] for one in summaries]
    assert tops == [scored[8], scored[4]]
    assert recorded(finished) == [{"step": 4, "changes": {"total_steps": [4, 8]}}]
    assert json.loads((finished / "config.json").read_text())["total_steps"] == 8
    run.run(config_of(data_dir, steps=8), finished)  # and now it is finished again
    assert ran[-1] == 7


def files_of(workdir):
    return {p: p.read_bytes() for p in workdir.rglob("*") if p.is_file()}


@pytest.mark.errors
def test_what_is_not_a_longer_run_is_refused_and_changes_nothing(finished, data_dir):
    before = files_of(finished)
    for steps in (3, 0):
        with pytest.raises(InputError, match="can only become longer"):
            run.run(config_of(data_dir, steps=steps), finished)
    config = config_of(data_dir)
    config.seed = 7
    with pytest.raises(InputError, match="seed was 0 and is now 7.*--allow=seed"):
        run.run(config, finished)
    with pytest.raises(InputError, match="is finished: nothing would be trained"):
        run.run(config, finished, allow=("seed",))
    assert files_of(finished) == before


@pytest.mark.errors
def test_a_run_does_not_end_before_its_present_step(finished, data_dir):
    message = "is at step 4, and with total_steps changed the run would end at step 3"
    before = files_of(finished)
    with pytest.raises(InputError, match=message):
        run.run(config_of(data_dir, steps=3), finished, allow=("total_steps",))
    assert files_of(finished) == before
    run.run(config_of(data_dir), finished)


@pytest.mark.errors
def test_a_schedule_by_shares_of_the_run_does_not_become_longer(tmp_path):
    old = json.loads(json.dumps(schema.nested()))
    changed = {"total_epochs": [200.0, 300.0]}
    text = (
        "config.schedule is 'cosine'.*--config.initial.workdir=.*--allow=total_epochs"
    )
    with pytest.raises(InputError, match=text):
        changes.accepted(tmp_path, old, changed, ())
    assert changes.accepted(tmp_path, old, changed, ("total_epochs",)) == changed
    old["schedule"] = {"name": "step", "learning_rate": 0.1}
    old["method"] = {"name": "kd", "alpha": 0.5, "temperature": 4.0}
    assert changes.accepted(tmp_path, old, changed, ()) == changed
    old["method"] = {"name": "fitnets", "supervisor": {"name": "wkd_l"}}
    with pytest.raises(InputError, match="the method wkd_l of fitnets follows"):
        changes.accepted(tmp_path, old, changed, ())


@pytest.fixture
def stopped(data_dir, tmp_path, monkeypatch):
    """After two of four steps, which were evaluated and not logged."""

    class Steps(trainer.Steps):
        def run(self, states, number, *rest):
            if number == 2:
                raise Preempted("stopped")
            return super().run(states, number, *rest)

    with monkeypatch.context() as patch, pytest.raises(Preempted):
        patch.setattr(trainer, "Steps", Steps)
        config = config_of(data_dir)
        config.log_every_steps = 4
        run.run(config, tmp_path / "w")
    return tmp_path / "w"


def test_a_key_that_is_allowed_may_change(stopped, data_dir, tmp_path, capsys):
    file = tmp_path / "config.py"
    file.write_text(
        "from tests.runner import test_changes\n"
        f"def get_config(arg=''): return test_changes.config_of({str(data_dir)!r})\n"
    )
    words = ["train", f"--config={file}", f"--workdir={stopped}"]
    words.append("--config.schedule.learning_rate=0.5")
    assert main(words) == 2
    assert "--allow=schedule.learning_rate" in capsys.readouterr().err
    assert main([*words, "--allow=schedule.learning_rat"]) == 2
    assert "Did you mean schedule.learning_rate?" in capsys.readouterr().err
    before = last(stopped)[1]
    assert main([*words, "--allow=config.schedule"]) == 0
    said = "config.schedule.learning_rate was 0.001 and is 0.5 from step 2 on"
    assert said in capsys.readouterr().err
    change = {"schedule.learning_rate": [0.001, 0.5]}
    assert recorded(stopped) == [{"step": 2, "changes": change}]
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), last(stopped)[1], before)
    assert max(jax.tree.leaves(moved)) > 0.05  # with 0.001 it would be less
    assert main(words) == 0  # what was allowed once is now the run's


def test_the_steps_of_another_method_are_no_part_of_a_mean(stopped, data_dir):
    """Steps 1 and 2 were saved and not logged, with metrics that a new one lacks."""
    config = config_of(data_dir)
    config.log_every_steps = 4
    config.students = ConfigDict({"ce": {"method": {"name": "gce", "q": 0.7}}})
    run.run(config, stopped, allow=("students",))
    rows = read_rows(stopped / "metrics.jsonl")
    (row,) = (row for row in rows if "train/ce/loss" in row)
    assert row["step"] == 4 and "train/ce/loss/generalized_cross_entropy" in row


@pytest.mark.errors
def test_a_key_that_changes_the_arrays_is_refused(stopped, data_dir):
    before = files_of(stopped)
    config = config_of(data_dir)
    config.optimizer.momentum = 0.0
    with pytest.raises(InputError, match="other arrays than its checkpoints: .*trace"):
        run.run(config, stopped, allow=("optimizer.momentum",))
    config = config_of(data_dir)
    config.ema_decay = 0.9
    with pytest.raises(InputError, match="other arrays than its checkpoints: .*of ema"):
        run.run(config, stopped, allow=("ema_decay",))
    config = config_of(data_dir)
    config.guards.loss_spike = 5.0
    with pytest.raises(InputError, match="other arrays than its checkpoints: .*loss"):
        run.run(config, stopped, allow=("guards",))
    assert files_of(stopped) == before


def staged(data_dir, **lengths):
    """A teacher, two networks that do not read each other, and a student."""
    config = config_of(data_dir, steps=2)
    student = {"teacher": {"workdir": "stage:teacher"}, "seed": 1}
    student["method"] = {"name": "kd", "alpha": 1.0, "temperature": 4.0}
    stages = {"teacher": {}, "teacher2": {"seed": 2}, "student": student}
    for name, steps in lengths.items():
        stages[name]["total_steps"] = steps
    config.stages, config.order = ConfigDict(stages), tuple(stages)
    return config


@pytest.mark.errors
def test_a_stage_that_a_later_one_was_made_from_keeps_its_length(data_dir, tmp_path):
    for name, stage in split_stages(staged(data_dir), tmp_path).items():
        (tmp_path / name).mkdir()
        workdirs.write_config(tmp_path / name, schema.resolved(stage))
        workdirs.write_record(tmp_path / name / workdirs.SELECTION, {"kept": 1})
    before, whole = files_of(tmp_path), staged(data_dir)
    whole.total_steps = 4
    message = "teacher: config.total_steps was 2 and is now 4, and stage student was"
    for config in (whole, staged(data_dir, teacher=4)):
        for allow in ((), ("total_steps",)):
            with pytest.raises(InputError, match=f"{message} .*use a new --workdir"):
                run.run(config, tmp_path, allow=allow)
    shorter = staged(data_dir, teacher2=4, student=1)  # the later one is looked at too
    with pytest.raises(InputError, match="student: .*can only become longer"):
        run.run(shorter, tmp_path)
    assert {p: b for p, b in files_of(tmp_path).items() if p.name != ".lock"} == before
    for config in (staged(data_dir), staged(data_dir, teacher2=4, student=4)):
        changes.check_stages(tmp_path, split_stages(config, tmp_path), ())
    (tmp_path / "student" / workdirs.SELECTION).unlink()  # not begun: none is lost
    changes.check_stages(tmp_path, split_stages(whole, tmp_path), ())


DAMAGE = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "gone": lambda path: path.unlink(),
    "other": lambda path: path.write_bytes(path.read_bytes().replace(b"bias", b"bies")),
}


# Where one item is damaged, Orbax's reads of the others end after their event loop.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.errors
def test_a_changed_run_goes_on_from_its_newest_sound_checkpoint(
    finished, data_dir, tmp_path, monkeypatch, capsys
):
    def stop(*_, start, **rest):
        raise Preempted(f"stopped at step {start}")

    def check_tree(directory, tree, changed):
        trees.append(tree)
        check(directory, tree, changed)

    trees, check = [], changes.check_tree
    monkeypatch.setattr(changes, "check_tree", check_tree)
    monkeypatch.setattr(trainer.loop, "run", stop)
    for name, damage in DAMAGE.items():
        shutil.copytree(finished, tmp_path / name)
        damage(tmp_path / name / "checkpoints" / "4" / "training" / "_METADATA")
    config, allow = config_of(data_dir, steps=8), ("schedule", "optimizer")
    config.schedule.learning_rate = 0.5
    with pytest.raises(Preempted, match="at step 2"):
        run.run(config, tmp_path / "cut", allow=allow)
    assert "checkpoint 4 is damaged" in capsys.readouterr().err
    config.optimizer.momentum = 0.0
    with pytest.raises(InputError, match="other arrays than its checkpoints: .*trace"):
        run.run(config, tmp_path / "other", allow=allow)
    same, different = trees
    for name in ("gone", "other"):
        check(tmp_path / name / "checkpoints", same, ["seed"])
        with pytest.raises(InputError, match="with seed changed .*trace"):
            check(tmp_path / name / "checkpoints", different, ["seed"])
