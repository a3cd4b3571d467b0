"""Trained networks that differ in nothing but their seed, as one line of a table."""

import collections
import json
import math
import re
import statistics
from collections.abc import Mapping
from typing import Any, NamedTuple

from kdjax.contracts import InputError, flat, nearest
from kdjax.reporting.results import Result, labels, method_label, series
from kdjax.reporting.runs import Run, run_at

# Keys of a config that change no number, or that stand in the section of a student.
_ELSEWHERE = ("students", "model", "method", "selection")
_FREE = {"data.data_dir", "data.threads", "log_every_steps", "tensorboard", "trackers"}
# A path or a name that has the seed in it: teachers/seed-0.
_SEED = re.compile(r"[_\-./]*seed[-_=/]?\d+[_\-./]*", re.IGNORECASE)
_DIGEST = re.compile(r"-[0-9a-f]{8}(?:__|$)")  # of a value that is no file's name
_LONGEST = 20  # letters of a name for which figures have room
_MOST_KEYS = 3  # of a training that a name says


class Member(NamedTuple):
    """One trained network of a report."""

    name: str  # no other in the report has it
    run: Run
    result: Result

    @property
    def seed(self) -> int:
        return self.result.section.get("seed", self.run.config.get("seed", 0))


class Group(NamedTuple):
    """Members with one setting."""

    name: str
    members: list[Member]
    is_teacher: bool = False  # of others, and of a network that no student has

    @property
    def first(self) -> Result:
        return self.members[0].result

    @property
    def model(self) -> Mapping:
        """The network with its settings, such as the depth."""
        return self.first.section.get("model", {"name": self.first.model})

    @property
    def test_images(self) -> tuple:
        """What tells whether accuracies can be compared: the set and its split."""
        run = self.members[0].run
        test = (run.identity.get("data") or {}).get("test") or {}
        own = run.config.get("data", {})
        name = own.get("name") or test.get("name")
        return name, own.get("test") or test.get("split")

    @property
    def is_finished(self) -> bool:
        return any(member.result.is_finished for member in self.members)

    @property
    def counted(self) -> list[Member]:
        """Those that are finished, or all while none is."""
        finished = [member for member in self.members if member.result.is_finished]
        return finished or self.members

    def labels(self) -> list[str]:
        """What tells the members from each other: their seeds, or their names."""
        seeds = [f"seed {member.seed}" for member in self.members]
        is_enough = len(set(seeds)) == len(seeds)
        return seeds if is_enough else [member.name for member in self.members]

    def values(self, key: str) -> list[float]:
        """A metric of the last evaluation, a value a member that has it."""
        metrics = [member.result.metrics for member in self.counted]
        return [row[key] for row in metrics if math.isfinite(row.get(key, math.nan))]

    def by_seed(self, key: str) -> dict[int, float]:
        """Seed -> a metric; the mean where a seed was run more than once."""
        scores = collections.defaultdict(list)
        for member in self.counted:
            if math.isfinite(value := member.result.metrics.get(key, math.nan)):
                scores[member.seed].append(value)
        return {seed: statistics.fmean(values) for seed, values in scores.items()}

    def best(self) -> list[tuple[float, float]]:
        """(test top-1, epoch) of each member's best evaluation."""
        curves = [series(member.result, "eval/top1") for member in self.counted]
        pairs = (zip(ys, xs, strict=True) for xs, ys in curves if ys)
        return [max(pair, key=lambda one: one[0]) for pair in pairs]


def make_groups(runs: list[Run]) -> list[Group]:
    """All trained networks of the runs: teachers, then students, in their order."""
    pairs = [(run, result) for run in runs for result in run.results]
    names = labels([result for _, result in pairs])
    members = collections.defaultdict(list)
    for name, (run, result) in zip(names, pairs, strict=True):
        members[_setting(run, result)].append(Member(name, run, result))
    lists, teachers = list(members.values()), _teachers(runs)
    groups = [
        Group(name, own, _is_in(own[0], teachers))
        for name, own in zip(_names(lists), lists, strict=True)
    ]
    models = [group.model for group in groups if not group.is_teacher]
    groups = [
        group._replace(is_teacher=group.is_teacher and group.model not in models)
        for group in groups
    ]
    return sorted(groups, key=lambda group: not group.is_teacher)


def mean_text(values: list[float], decimals: int = 2) -> str:
    """51.23 ± 0.40 (3): the sample deviation and how many; 51.23 of one; - of none."""
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):.{decimals}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):.{decimals}f} ({len(values)})"


def are_comparable(one: Group, other: Group) -> bool:
    """Whether two groups are of one network, test images and, in part, seeds."""
    return (
        one.model == other.model
        and one.test_images == other.test_images
        and one.is_finished == other.is_finished
        and bool(one.by_seed("top1").keys() & other.by_seed("top1").keys())
    )


def choose_baseline(groups: list[Group], name: str = "") -> Group | None:
    """The group that others are compared with: CE without a teacher, else KD.

    Of several the one that most others can be compared with. Or the one of that name,
    or else of that method; InputError where none has it.
    """
    if name:
        of_name = [group for group in groups if group.name == name]
        of_method = [group for group in groups if group.first.method == name]
        if not of_name + of_method:
            names = [group.name for group in groups]
            raise InputError(
                f"--baseline is {name!r}; expected one of {', '.join(names)}."
                + nearest(name, names)
            )
        return (of_name + of_method)[0]
    students = [group for group in groups if not group.is_teacher]
    partners = [
        sum(are_comparable(one, other) for other in students) for one in students
    ]

    def rank(place: int) -> tuple:
        method = students[place].first.method
        return partners[place] > 1, method == "ce", method == "kd", partners[place]

    best = max(range(len(students)), key=rank, default=None)
    return None if best is None else students[best]


def model_labels(results: list[Result]) -> list[str]:
    """Each one's network, and what tells it from others of the same name."""
    sections = [flat(result.section.get("model", {})) for result in results]
    texts = []
    for result, own in zip(results, sections, strict=True):
        same = [s for s in sections if s.get("name") == own.get("name")]
        words = [
            f"{key} {'x'.join(map(str, v)) if isinstance(v, list) else v}"
            for key, v in own.items()
            if any(other.get(key) != v for other in same)
        ]
        texts.append(", ".join([result.model, *words]))
    return texts


def parameter(result: Result, key: str) -> float | None:
    """A number in a student's method, such as "temperature", which may be infinite."""
    try:
        return float(result.section.get("method", {})[key])
    except (KeyError, TypeError, ValueError):
        return None


def _setting(run: Run, result: Result) -> str:
    """All that a network was made from but the seed."""
    section = {key: result.section.get(key) for key in _ELSEWHERE[1:]}
    setting = _without_seeds({"section": flat(section), "model": result.model})
    setting |= {"config": training_settings(run.config)}
    if not run.config or not result.section:  # nothing distinguishes them
        setting |= _without_seeds({"run": run.name, "student": result.student})
    return json.dumps(setting, sort_keys=True, default=str)


def training_settings(config: Mapping) -> dict:
    """What a config says of a training but of its students: keys without seeds."""
    settings = {
        key: value
        for key, value in flat(config).items()
        if key.split(".")[0] not in _ELSEWHERE and key not in _FREE
    }
    return _without_seeds(settings)


def _without_seeds(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _without_seeds(inner)
            for key, inner in value.items()
            if key.split(".")[-1] not in ("seed", "seeds")
        }
    return _SEED.sub("/", value) if isinstance(value, str) else value


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


def _names(groups: list[list[Member]]) -> list[str]:
    """A name a group: its members' without their seeds, else their method's."""
    names = [_name(members) for members in groups]
    unclear = [len(name) > _LONGEST or names.count(name) > 1 for name in names]
    # Beside "kd, tau 1" a bare "kd" would not say which one it is.
    pairs = list(zip(names, groups, unclear, strict=True))
    methods = {own[0].result.method for _, own, is_unclear in pairs if is_unclear}
    names = [
        _described(own, groups) if is_unclear or name in methods else name
        for name, own, is_unclear in pairs
    ]
    same = collections.defaultdict(list)
    for name, own in zip(names, groups, strict=True):
        same[name].append(own)
    names = [
        ", ".join([name, *_trained(own, same[name])])
        for name, own in zip(names, groups, strict=True)
    ]
    return [
        f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def _name(members: list[Member]) -> str:
    own = {_SEED.sub("/", member.name).strip("/") for member in members}
    students = {member.result.student for member in members}
    is_one_of_several = all(member.result.students > 1 for member in members)
    if len(members) > 1 and len(students) == 1 and is_one_of_several:
        return students.pop()
    if len(own) == 1 and "" not in own and not _DIGEST.search(*own):
        return own.pop().removeprefix("method-")
    return students.pop() if len(students) == 1 else members[0].result.method


def _trained(members: list[Member], same: list[list[Member]]) -> list[str]:
    """What tells a training from others of its name: "learning_rate 0.1"."""
    own = training_settings(members[0].run.config)
    others = [training_settings(other[0].run.config) for other in same]
    keys = [key for key in own if any(other.get(key) != own[key] for other in others)]
    words = []
    for key in keys[:_MOST_KEYS]:
        name = re.sub(r"\.(name|workdir)$", "", key).rpartition(".")[2]
        value = own[key]
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        words.append(f"{name} {shown.rstrip('/').rpartition('/')[2]}")
    return words


def _described(members: list[Member], groups: list[list[Member]]) -> str:
    """A method and those of its settings in which groups differ: "kd, tau 4"."""
    result = members[0].result
    others = [flat(group[0].result.section) for group in groups]
    words = [method_label({}, result.method)]
    for key, value in flat(result.section).items():
        values = {json.dumps(other.get(key), default=str) for other in others}
        if len(values) > 1 and not key.endswith(("name", "seed")):
            name = key.split(".", 1)[-1].replace("temperature", "tau")
            shown = f"{value:g}" if isinstance(value, float) else value
            words.append(f"{name} {shown}")
    return ", ".join(words)
