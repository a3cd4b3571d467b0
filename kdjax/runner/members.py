"""The students of several runs that a report compares, and their names in it."""

import json
import pathlib
from collections.abc import Callable
from typing import NamedTuple

from kdjax import checkpoints, paths
from kdjax.contracts import InputError
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.reporting.groups import training_settings

MOST_STUDENTS = 6  # more than one chart can distinguish


class Run(NamedTuple):
    """A workdir with a checkpoint, and the newest identity in it."""

    workdir: pathlib.Path
    meta: dict

    @property
    def students(self) -> dict[str, dict]:
        return self.meta["students"]

    @property
    def teacher(self) -> dict | None:
        return self.meta["teacher"]


class Member(NamedTuple):
    """A student of a run."""

    run: Run
    student: str

    @property
    def section(self) -> dict:
        return self.run.students[self.student]

    @property
    def recipe(self) -> str:
        """What it is, but for seeds: its own and its teacher's."""
        keys = ("model", "method", "selection", "networks")
        section = {key: self.section.get(key) for key in keys}
        teacher = self.run.teacher if section["method"]["name"] != "ce" else None
        network = teacher and [teacher.get(key) for key in ("model", "network")]
        train = self.run.meta["data"]["train"]
        settings = training_settings(self.run.meta.get("config") or {})
        own = {k: v for k, v in settings.items() if not k.startswith("teacher.")}
        recipe = [section, network, train, own]
        return json.dumps(recipe, sort_keys=True, default=str)


def read_runs(
    workdirs: list[pathlib.Path], left_out: Callable[[str], None]
) -> list[Run]:
    """Those with a checkpoint, all tested on the images of the first one.

    `left_out` is called with why another one is not among them.
    """
    runs = []
    trials = [w for w in workdirs if _is_trial(w)]
    if trials:
        left_out(
            f"the networks of {len(trials)} trials that a sweep trained in one program "
            f"with others, such as {trials[0]}: they are saved together. Expected "
            f"{trials[0].parent / 'programs' / 'NAME'} instead."
        )
    for workdir in (one for one in workdirs if one not in trials):
        try:
            meta, _ = checkpoints.read_meta(workdir / CHECKPOINTS)
        except InputError as error:
            left_out(str(error))
            continue
        test = meta["data"].get("test")
        if test is None:
            left_out(f"{workdir} holds imported weights, which have no test split")
        elif runs and test != runs[0].meta["data"]["test"]:
            left_out(f"{workdir} was tested on other images than {runs[0].workdir}")
        else:
            runs.append(Run(workdir, meta))
    return runs


def _is_trial(workdir: pathlib.Path) -> bool:
    """Whether its networks are in a program of its sweep."""
    in_sweep = (workdir.parent / "programs").is_dir()
    return in_sweep and not (workdir / CHECKPOINTS).is_dir()


def name_members(runs: list[Run]) -> dict[str, Member]:
    """Name -> student, as in the report's tables: short where that is unambiguous."""
    members = [Member(run, name) for run in runs for name in run.students]
    short = [
        m.student if len(m.run.students) > 1 else m.run.workdir.name for m in members
    ]
    names = [
        f"{m.run.workdir.name}/{m.student}" if short.count(s) > 1 else s
        for m, s in zip(members, short, strict=True)
    ]
    names = [
        f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]
    return dict(zip(names, members, strict=True))


def one_of_each(
    members: dict[str, Member], left_out: Callable[[str], None]
) -> dict[str, Member]:
    """One student of each recipe, MOST_STUDENTS at most, without the teachers."""
    teachers = [m.run.teacher for m in members.values() if m.run.teacher]
    members_shown, recipes = {}, set()
    for name, member in members.items():
        if member.recipe in recipes or _is_teacher(member, teachers):
            continue
        recipes.add(member.recipe)
        members_shown[name] = member
    if left := list(members_shown)[MOST_STUDENTS:]:
        names = ", ".join(left) if len(left) < 6 else f"{len(left)} students"
        left_out(f"{names}: only the first {MOST_STUDENTS} are compared in charts")
    return dict(list(members_shown.items())[:MOST_STUDENTS])


def _is_teacher(member: Member, teachers: list[dict]) -> bool:
    """Whether it is one of these teachers, by its place or else by its weights."""
    workdir, meta = member.run.workdir, member.run.meta
    own = (paths.resolve(str(workdir), "WORKDIR"), member.student)
    if any(own in _places(identity) for identity in teachers):
        return True
    what = (member.student, meta["step"], member.section["model"])
    # A run that was moved, if its weights are those: read only where they may be.
    digests = {
        identity["digest"]
        for identity in teachers
        if what == tuple(identity.get(key) for key in ("student", "step", "model"))
    }
    if not digests:
        return False
    directory = workdir / CHECKPOINTS
    variables = checkpoints.read_variables(directory, meta["step"], member.student)
    return checkpoints.digest(variables) in digests


def _places(identity: dict) -> set[tuple[pathlib.Path, str]]:
    """(workdir, student) of a teacher, or of each of an ensemble."""
    workdirs = filter(None, identity.get("workdir", "").split(","))
    where = [paths.resolve(text.strip(), "teacher.workdir") for text in workdirs]
    students = identity.get("student", "").split(",")
    return set(zip(where, students, strict=False))
