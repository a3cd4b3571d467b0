"""Which trainings a directory holds, and what an unfinished one says."""

import json
import pathlib

import pytest

from kdjax.contracts import InputError
from kdjax.reporting.grouping import make_groups
from kdjax.reporting.runs import read_runs, teacher_top1
from tests.reporting.workdirs import section, write

CE = {"ce": (section("ce"), 50.0)}


def names(*roots):
    return [run.name for run in read_runs(list(roots))]


def test_a_sweep_is_its_trials_and_the_programs_that_go_on(tmp_path):
    root = tmp_path / "sweep"
    for trial in ("seed-0__method-ce", "seed-1__method-ce"):
        write(root / trial, CE)
        (root / trial / "DONE").touch()
    for program, trials in {
        "over": ["seed-0__method-ce", "seed-1__method-ce"],
        "on": ["seed-2__method-ce"],
    }.items():
        path = write(root / "programs" / program, CE, finished=False)
        (path / "program.json").write_text(json.dumps({"rows": trials}))
    (root / "results.json").write_text("{}")
    trials = ["seed-0__method-ce", "seed-1__method-ce"]
    assert names(root) == ["programs/on", *trials]
    assert names(root / trials[0], root) == [trials[0], "programs/on", trials[1]]


def test_runs_of_one_name_are_called_by_their_directories(tmp_path):
    for place in ("a/x/teacher", "b/x/teacher", "b/y/teacher", "b/kd"):
        write(tmp_path / place, CE)
    given = [tmp_path / "a" / "x" / "teacher", tmp_path / "b" / "x", tmp_path / "b"]
    own = ["a/x/teacher", "b/x/teacher", "kd", "y/teacher"]
    assert names(*given) == own
    runs = read_runs(given[:2])
    assert [r.name for r in runs] == own[:2] == [r.results[0].run for r in runs]


def test_a_run_that_is_given_twice_is_one_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = pathlib.Path("runs")
    kd, ce = (write(root / name, CE) for name in ("kd", "ce"))
    (tmp_path / "latest").symlink_to(tmp_path / kd)
    for again in (kd, tmp_path / kd, root / ".." / kd, pathlib.Path("latest")):
        assert names(kd, again) == ["kd"]
        assert names(root, again) == ["ce", "kd"]
        assert names(ce, again, root) == ["ce", "kd"]
    (group,) = make_groups(read_runs([kd, kd]))
    assert group.values("top1") == [50.0]


def test_stages_and_directories_of_runs_are_looked_through(tmp_path):
    write(tmp_path / "all" / "a" / "teacher", CE)
    write(tmp_path / "all" / "a" / "student", CE)
    (tmp_path / "all" / "a" / "pick").mkdir()
    (tmp_path / "all" / "a" / "pick" / "config.json").write_text('{"select": {"a": 1}}')
    order = {"order": ["teacher", "pick", "student"], "stages": {"teacher": {}}}
    (tmp_path / "all" / "a" / "config.json").write_text(json.dumps(order))
    write(tmp_path / "all" / "b" / "checkpoints", CE)
    write(tmp_path / "all" / ".trash", CE)
    assert names(tmp_path / "all") == ["a/student", "a/teacher", "b/checkpoints"]


def test_a_run_that_goes_on_says_what_it_has(tmp_path):
    students = {
        "kd": (section("kd", temperature=4.0), 60.0),
        "mse": (section("mse"), 61.0),
    }
    write(tmp_path / "w", students, finished=False, epochs=3)
    (run,) = read_runs([tmp_path / "w"])
    assert not run.is_finished and run.name == "w"
    kd, mse = run.results
    assert (kd.student, kd.model, kd.method) == ("kd", "wide_resnet", "kd")
    assert (kd.metrics["top1"], mse.metrics["top1"]) == (60.0, 61.0)
    assert kd.seconds == 36.0 and kd.students == 2 and not kd.is_finished


def test_a_run_that_has_only_begun(tmp_path):
    path = write(tmp_path / "w", CE, finished=False)
    (path / "metrics.jsonl").unlink()
    (run,) = read_runs([tmp_path])
    assert run.results[0].metrics == {} and run.results[0].method == "ce"
    (path / "config.json").write_text("{damaged")
    with pytest.raises(InputError, match=r"no training in it"):
        read_runs([tmp_path])


def test_a_teacher_is_scored_by_its_own_run(tmp_path):
    write(tmp_path / "t", CE)
    write(tmp_path / "s", CE, teacher=tmp_path / "t")
    (own,) = read_runs([tmp_path / "s"])
    assert teacher_top1(own, read_runs([tmp_path])) == {"t": 50.0}
    assert teacher_top1(own, []) == {str(tmp_path / "t"): 50.0}
    (tmp_path / "t" / "summary.json").unlink()
    assert teacher_top1(own, []) == {str(tmp_path / "t"): None}
    (tmp_path / "t").rename(tmp_path / "gone")
    assert teacher_top1(own, []) == {str(tmp_path / "t"): None}


def test_runs_that_were_copied_keep_their_teacher(tmp_path):
    write(tmp_path / "here" / "t", CE)
    write(tmp_path / "here" / "s", CE, teacher=tmp_path / "t")
    runs = read_runs([tmp_path / "here"])
    assert teacher_top1(runs[0], runs) == {"t": 50.0}
    write(tmp_path / "t", CE)  # another one, where the run has it
    assert teacher_top1(runs[0], runs) == {str(tmp_path / "t"): 50.0}


@pytest.mark.errors
def test_nothing_to_report(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="no such dir|no training in it"):
            read_runs([path])
    (tmp_path / "imported.json").touch()
    with pytest.raises(InputError, match="evaluate --workdir"):
        read_runs([tmp_path])
