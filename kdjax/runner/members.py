"""The trained networks of runs and sweeps whose outputs are compared."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

from kdjax import checkpoints, paths
from kdjax.contracts import InputError
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.experiment.trials import trained_in
from kdjax.reporting.groups import Group
from kdjax.reporting.runs import Run as Training
from kdjax.reporting.same_images import same_images

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


def find(training: Training, student: str) -> Member:
    """The stored network; of a sweep's trial in the program that trained it.

    InputError where there is none, or it has no test split.
    """
    workdir, student = trained_in(training.workdir, student)
    meta, _ = checkpoints.read_meta(workdir / CHECKPOINTS)
    if student not in meta["students"]:
        raise InputError(f"{workdir} has no checkpoint of {student}.")
    if meta["data"].get("test") is None:
        raise InputError(f"{workdir} holds imported weights, which have no test split.")
    return Member(Run(workdir, meta), student)


def one_of_each(
    groups: list[Group], left_out: Callable[[str, object], None]
) -> tuple[dict[str, Member], str]:
    """(a student of each group, MOST_STUDENTS at most; how they were chosen).

    All were tested on the same images, and none of them is another one's teacher.
    `left_out` is called with what cannot be compared, and why. Nothing is said where
    all are compared and each is the only one of its group.
    """
    members = _first_of_each(groups, left_out)
    _keep_same_images(members, left_out)
    teachers = [one.run.teacher for one in members.values() if one.run.teacher]
    members = {n: one for n, one in members.items() if not _is_teacher(one, teachers)}
    compared = best_students(groups, members)
    several = [g for g in groups if g.name in compared and len(g.members) > 1]
    how = _how_chosen(members, compared) if len(compared) < len(members) else ""
    if several:
        how += "Of trainings that differ in their seed only the first is compared."
    return compared, how.strip()


def _how_chosen(members: dict[str, Member], compared: dict[str, Member]) -> str:
    methods = [one.section["method"]["name"] for one in compared.values()]
    plain = "the first one trained on labels alone and " * ("ce" in methods)
    return (
        f"Of {len(members)} settings {len(compared)} are compared, as a chart shows "
        f"no more clearly: {plain}those with the highest test accuracy. They are "
        f"{' · '.join(compared)}. "
    )


def best_students(groups: list[Group], members: dict[str, Member]) -> dict[str, Member]:
    """The first without a teacher and those with the highest means, in order."""

    def rank(name: str) -> tuple[bool, float]:
        return name not in plain[:1], -top1[name]

    plain = [n for n, m in members.items() if m.section["method"]["name"] == "ce"]
    top1 = {group.name: group.mean("top1") for group in groups}
    best = sorted(members, key=rank)[:MOST_STUDENTS]
    return {name: member for name, member in members.items() if name in best}


def _first_of_each(groups: list[Group], left_out) -> dict[str, Member]:
    """Name of a group -> the first finished network of it that is stored."""
    members = {}
    for group in groups:
        errors = []
        for one in group.members if not group.is_teacher else ():
            try:
                if one.run.is_finished:
                    members[group.name] = find(one.run, one.result.student)
                    break
            except InputError as error:
                errors.append(error)
        if errors and group.name not in members:
            left_out(group.name, errors[0])
    return members


def _keep_same_images(members: dict[str, Member], left_out) -> None:
    """Drops those that were tested on other images than most."""
    tests = {name: one.run.meta["data"]["test"] for name, one in members.items()}

    def count(test: dict) -> int:
        return sum(same_images(test, other) for other in tests.values())

    most = max(tests.values(), key=count, default={})
    for name, test in tests.items():
        if not same_images(test, most):
            left_out(name, "tested on other images than most of the runs.")
            del members[name]


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
