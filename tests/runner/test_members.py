"""Which students a report compares, and where their weights are."""

import json
import pathlib

import pytest

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.reporting.grouping import make_groups
from kdjax.reporting.runs import read_runs
from kdjax.runner.members import MOST_STUDENTS, find, one_of_each
from tests.reporting.workdirs import section, write


@pytest.fixture
def metas(monkeypatch):
    """What checkpoints say: directory -> identity; others have none."""
    metas = {}

    def read_meta(directory):
        if directory.parent not in metas:
            raise InputError(f"{directory}: no checkpoints")
        return metas[directory.parent], {}

    monkeypatch.setattr(checkpoints, "read_meta", read_meta)
    return metas


def stored(metas, workdir, students, teacher=None, test="test", **keys):
    """A run with checkpoints: name -> (section, score)."""
    write(workdir, students, teacher=(teacher or {}).get("workdir", ""), **keys)
    metas[workdir] = meta(students, teacher, test)
    return workdir


def meta(students, teacher=None, test="test"):
    own = {name: one for name, (one, _) in students.items()}
    data = {"train": {"name": "set"}, "test": test and {"split": test}}
    return {"students": own, "teacher": teacher, "data": data, "step": 9}


def teacher(workdir, student="ce"):
    identity = {"workdir": str(workdir), "student": student, "digest": "d", "step": 9}
    return identity | {"model": {"name": "wide_resnet", "width": 8}}


def chosen(*roots):
    said = []
    groups = make_groups(read_runs(list(roots)))
    members, how = one_of_each(groups, lambda what, why: said.append((what, str(why))))
    return members, how, said


def test_one_seed_of_each_and_no_teacher(metas, tmp_path):
    where = tmp_path / "teacher"
    stored(metas, where, {"ce": (section("ce"), 90.0)})
    for seed in range(2):
        students = {m: (section(m, seed), 50.0) for m in ("ce", "kd")}
        path = tmp_path / f"seed{seed}"
        stored(metas, path, students, teacher(where), seed=seed)
    members, how, said = chosen(tmp_path)
    # The teacher is of the students' kind, and known by its place.
    assert list(members) == ["ce", "kd"] and not said
    assert {one.run.workdir.name for one in members.values()} == {"seed0"}
    assert how.endswith("differ in their seed only the first is compared.")
    assert chosen(tmp_path / "seed1")[1] == ""


def test_each_of_an_ensemble_is_a_teacher(metas, tmp_path):
    for name in "ab":
        students = {"ce": (section("ce"), 50.0)}
        stored(metas, tmp_path / name, students, batch_size=ord(name))
    both = teacher(f"{tmp_path / 'a'}, {tmp_path / 'b'}", "ce,ce")
    stored(metas, tmp_path / "kd", {"kd": (section("kd"), 50.0)}, both)
    assert list(chosen(tmp_path)[0]) == ["kd"]


def test_of_many_the_best_and_the_first_without_a_teacher(metas, tmp_path):
    scores = {f"m{i:02}": 50.0 + (7 * i) % 20 for i in range(20)}
    students = {name: (section(name), top1) for name, top1 in scores.items()}
    students = {"ce": (section("ce"), 1.0), "ce_b": (section("ce", beta=1), 2.0)} | (
        students
    )
    stored(metas, tmp_path / "w", students)
    members, how, said = chosen(tmp_path)
    best = sorted(scores, key=scores.get)[-(MOST_STUDENTS - 1) :]
    assert list(members) == ["ce", *sorted(best)] and not said
    assert how.startswith("Of 22 settings 6 are compared")
    assert "the first one trained on labels alone and those with the highest" in how
    assert how.endswith(f"{' · '.join(members)}.")


def test_the_best_are_those_of_the_highest_means_whatever_one_seed_has(metas, tmp_path):
    for seed, lucky in enumerate((90.0, 10.0)):
        students = {f"m{i}": (section(f"m{i}", seed), 60.0 + i) for i in range(6)}
        students["lucky"] = section("lucky", seed), lucky
        stored(metas, tmp_path / f"seed{seed}", students, seed=seed)
    assert list(chosen(tmp_path)[0]) == [f"m{i}" for i in range(6)]


def test_what_is_not_stored_or_tested_on_other_images_is_said(metas, tmp_path):
    for name in ("a", "b", "other", "lost"):
        students = {name: (section(name), 50.0)}
        stored(metas, tmp_path / name, students, test=name * (name == "other") or "t")
    del metas[tmp_path / "lost"]
    members, _, said = chosen(tmp_path)
    assert list(members) == ["a", "b"]
    assert [what for what, _ in said] == ["lost", "other"]
    assert "no checkpoints" in said[0][1] and "other images" in said[1][1]


def test_images_are_those_of_their_content_not_of_their_name(metas, tmp_path):
    tests = {"a": ("set", "1"), "b": ("set:1.0.0", "1"), "c": ("set", "2")}
    for name, (set_name, digest) in tests.items():
        stored(metas, tmp_path / name, {name: (section(name), 50.0)})
        test = {"name": set_name, "split": "test", "sha256": digest}
        metas[tmp_path / name]["data"]["test"] = test
    members, _, said = chosen(tmp_path)
    assert list(members) == ["a", "b"] and [what for what, _ in said] == ["c"]


def trial(metas, root: pathlib.Path, name: str, program: str):
    """A trial of a sweep as `kdjax.sweeps` writes it."""
    write(root / name, {"kd": (section("kd", temperature=len(name)), 50.0)})
    path = root / name / "summary.json"
    own = {"workdir": program, "student": name, "seconds": 9.0, "students": 2}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"program": own}))


def test_trials_of_one_program_are_found_in_it(metas, tmp_path):
    for name in ("tau-1", "tau-10"):
        trial(metas, tmp_path, name, "programs/x")
    trial(metas, tmp_path, "by-itself", "by-itself")
    students = {n: (section("kd"), 50.0) for n in ("tau-1", "tau-10")}
    metas[tmp_path / "programs" / "x"] = meta(students)
    members, _, said = chosen(tmp_path)
    assert [one.student for one in members.values()] == ["tau-1", "tau-10"]
    assert {one.run.workdir for one in members.values()} == {
        tmp_path / "programs" / "x"
    }
    assert [what for what, _ in said] == ["by-itself"]


@pytest.mark.errors
def test_what_cannot_be_found(metas, tmp_path):
    stored(metas, tmp_path / "w", {"kd": (section("kd"), 50.0)}, test=None)
    (run,) = read_runs([tmp_path / "w"])
    with pytest.raises(InputError, match="which have no test split"):
        find(run, "kd")
    with pytest.raises(InputError, match="w has no checkpoint of mse"):
        find(run, "mse")
