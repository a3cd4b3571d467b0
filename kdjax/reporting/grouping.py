"""Which trained networks are one line of the report, and what the line is called."""

import collections
import json
import re
from collections.abc import Mapping

from kdjax.contracts import flat
from kdjax.reporting.groups import Group, Member
from kdjax.reporting.results import Result, labels, method_label, numbered
from kdjax.reporting.runs import Run, run_at
from kdjax.reporting.same_images import apart_by_images
from kdjax.reporting.training_settings import (
    ELSEWHERE,
    SEED,
    conditions,
    length,
    training_settings,
    value_text,
    without_seeds,
)

_DIGEST = re.compile(r"-[0-9a-f]{8}(?:__|$)")  # of a value that is no file's name
LONGEST = 20  # letters of a name for which figures have room
_MOST_KEYS = 3  # of a training that a name says


def make_groups(runs: list[Run]) -> list[Group]:
    """All trained networks of the runs: teachers, then students, in their order."""
    pairs = [(run, result) for run in runs for result in run.results]
    names = labels([result for _, result in pairs])
    members = collections.defaultdict(list)
    for name, (run, result) in zip(names, pairs, strict=True):
        members[_setting(run, result)].append(Member(name, run, result))
    lists = [own for same in members.values() for own in apart_by_images(same, _run)]
    teachers = _teachers(runs)
    groups = [
        Group("", own, _is_in(own[0], teachers), _conditions(own[0].run))
        for own in lists
    ]
    models = [group.model for group in groups if not group.is_teacher]
    groups = [
        group._replace(is_teacher=group.is_teacher and group.model not in models)
        for group in groups
    ]
    groups = [
        group._replace(name=name)
        for name, group in zip(_names(groups), groups, strict=True)
    ]
    return sorted(groups, key=lambda group: not group.is_teacher)


def _conditions(run: Run) -> dict:
    return conditions(run.config, run.workdir)


def _run(member: Member) -> Run:
    return member.run


def _setting(run: Run, result: Result) -> str:
    """All that a network was made from but the seed."""
    section = {key: result.section.get(key) for key in ELSEWHERE[1:]}
    setting = without_seeds({"section": flat(section), "model": result.model})
    setting |= {"config": training_settings(run.config)}
    if not run.config or not result.section:  # nothing distinguishes them
        setting |= without_seeds({"run": run.name, "student": result.student})
    return json.dumps(setting, sort_keys=True, default=str)


def _teachers(runs: list[Run]) -> set[tuple[str, str]]:
    """(run, student) of the runs' teachers; "" is the only student there."""
    teachers = set()
    for run in runs:
        teacher = run.identity.get("teacher") or run.config.get("teacher") or {}
        for text in filter(None, str(teacher.get("workdir", "")).split(",")):
            if own := run_at(text, runs):
                teachers.add((str(own.workdir), str(teacher.get("student") or "")))
    return teachers


def _is_in(member: Member, teachers: set[tuple[str, str]]) -> bool:
    workdir = str(member.run.workdir)
    return bool({(workdir, member.result.student), (workdir, "")} & teachers)


def _names(all_groups: list[Group]) -> list[str]:
    """A name a group: its members' without their seeds, else their method's."""
    groups = [group.members for group in all_groups]
    # A teacher's network is another one, which tells no student from others.
    students = [group.members for group in all_groups if not group.is_teacher]
    names = [_name(members) for members in groups]
    unclear = [len(name) > LONGEST or names.count(name) > 1 for name in names]
    # Beside "kd, tau 1" a bare "kd" would not say which one it is.
    pairs = list(zip(names, groups, unclear, strict=True))
    methods = {own[0].result.method for _, own, is_unclear in pairs if is_unclear}
    names = [
        _described(own, students) if is_unclear or name in methods else name
        for name, own, is_unclear in pairs
    ]
    same = collections.defaultdict(list)
    for name, own in zip(names, groups, strict=True):
        same[name].append(own)
    names = [
        ", ".join([name, *trained_words(own, same[name])])
        for name, own in zip(names, groups, strict=True)
    ]
    return numbered(names)


def _name(members: list[Member]) -> str:
    own = {SEED.sub("/", member.name).strip("/") for member in members}
    students = {member.result.student for member in members}
    is_one_of_several = all(member.result.students > 1 for member in members)
    if len(members) > 1 and len(students) == 1 and is_one_of_several:
        return students.pop()
    if len(own) == 1 and "" not in own and not _DIGEST.search(*own):
        return own.pop().removeprefix("method-")
    return students.pop() if len(students) == 1 else members[0].result.method


def trained_words(members: list[Member], same: list[list[Member]]) -> list[str]:
    """What tells a training from others of its name: "learning_rate 0.1"."""
    own = _with_length(members[0].run.config)
    others = [_with_length(other[0].run.config) for other in same]
    keys = [key for key in own if any(other.get(key) != own[key] for other in others)]
    words = []
    for key in keys[:_MOST_KEYS]:
        name = re.sub(r"\.(name|workdir)$", "", key).rpartition(".")[2]
        text = value_text(own[key]).rstrip("/").rpartition("/")[2]
        words.append(text if key == "length" else f"{name} {text}")
    return words


def _with_length(config: Mapping) -> dict:
    """The settings of a training, its steps or epochs as one: "20 epochs"."""
    settings = training_settings(config)
    count, unit = length(config)
    unit = unit.removesuffix("s") if count == 1 else unit
    for key in ("total_epochs", "total_steps"):
        settings.pop(key, None)
    return {"length": f"{value_text(count)} {unit}"} | settings


def _described(members: list[Member], groups: list[list[Member]]) -> str:
    """A method and what tells it from others of that method: "kd, tau 4"."""
    result = members[0].result
    same = [g[0].result for g in groups if g[0].result.method == result.method]
    others = [_own_settings(other) for other in same]
    words = [method_label({}, result.method)]
    for key, value in _own_settings(result).items():
        values = {json.dumps(other.get(key), default=str) for other in others}
        if len(values) > 1 and not key.endswith(("name", "seed")):
            name = key.split(".", 1)[-1].replace("temperature", "tau")
            words.append(f"{name} {value_text(value)}")
    return ", ".join(words)


def _own_settings(result: Result) -> dict:
    """What a config says of a student, and not what its run has found of it."""
    return flat({key: result.section.get(key) or {} for key in ELSEWHERE[1:]})
