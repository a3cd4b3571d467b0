"""The trainings below the directories of a report, finished or still going on."""

import contextlib
import pathlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.paths import files
from kdjax.paths.json_files import read_json
from kdjax.reporting.reporter import read_rows
from kdjax.reporting.results import (
    IMPORTED,
    SUMMARY,
    Result,
    no_run,
    read_results,
    read_summary,
)

METRICS, CONFIG, DONE = "metrics.jsonl", "config.json", "DONE"
PROGRAMS, MEMBERS = "programs", "program.json"  # of a sweep's directory
DEEPEST = 4  # a sweep of stages has three levels
_SCORE = re.compile(r"(?:eval|train)/([^/]+)/(?:top1|loss)")


class Run(NamedTuple):
    """What a workdir says of a training."""

    name: str  # below the directory that was given
    workdir: pathlib.Path
    config: dict  # {} where it cannot be read
    summary: dict  # {} while the run goes on
    rows: list[dict]  # of metrics.jsonl
    results: list[Result]  # one a student

    @property
    def is_finished(self) -> bool:
        return bool(self.summary)

    @property
    def identity(self) -> dict:
        return self.summary.get("identity", {})


def read_runs(workdirs: list[pathlib.Path]) -> list[Run]:
    """The trainings of workdirs, of stages, sweeps and directories of them, each once.

    InputError where a directory has none.
    """
    runs, places = [], set()
    for root in workdirs:
        below = list(_below(root, DEEPEST))
        if not below:
            raise _no_training(root)
        for workdir in below:
            # Twice in a mean, a run would look like two that agree.
            if (place := workdir.resolve()) not in places:
                places.add(place)
                own = "/".join(workdir.parts[len(root.parts) :])
                runs.append(_read(workdir, own or root.resolve().name))
    return _with_parents(runs)


def _with_parents(runs: list[Run]) -> list[Run]:
    """The runs, those of one name called by as many directories as differ."""
    parts = [run.workdir.resolve().parts for run in runs]
    names = [run.name for run in runs]
    result = []
    for run, own in zip(runs, parts, strict=True):
        same = {p for p, name in zip(parts, names, strict=True) if name == run.name}
        least = len(pathlib.PurePath(run.name).parts)
        counts = range(least, len(own) if len(same) > 1 else least)
        alone = (n for n in counts if sum(p[-n:] == own[-n:] for p in same) == 1)
        name = "/".join(own[-n:]) if (n := next(alone, 0)) else run.name
        results = [result._replace(run=name) for result in run.results]
        result.append(run._replace(name=name, results=results))
    return result


def is_without_training(root: pathlib.Path) -> bool:
    """Whether there is no training in a directory that may get one."""
    return not any(_below(root, DEEPEST)) and not (root / IMPORTED).exists()


def _no_training(root: pathlib.Path) -> InputError:
    if (root / IMPORTED).exists():
        return no_run(root)
    what = "no training in it" if root.is_dir() else "no such directory"
    return InputError(
        f"{root}: {what}; expected the --workdir of a run or a sweep, finished or not, "
        f"or a directory of them.{paths.nearest(root)}"
    )


def _below(directory: pathlib.Path, depth: int) -> Iterator[pathlib.Path]:
    """The directories of trainings, those of a sweep's finished programs left out."""
    inside = files.names(directory)
    if {SUMMARY, METRICS} & set(inside) or _is_beginning(directory, inside):
        yield directory
    elif depth:
        for name in inside:
            if name == PROGRAMS:
                yield from _programs(directory)
            elif (directory / name).is_dir() and not name.startswith("."):
                yield from _below(directory / name, depth - 1)


def _is_beginning(directory: pathlib.Path, inside: list[str]) -> bool:
    """Whether a training has begun that has no row yet; stages have runs below."""
    config = _config(directory) if CONFIG in inside else {}
    return bool(config) and not config.get("order") and not config.get("select")


def _programs(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Programs that train trials just now; a finished trial has its own directory."""
    for name in files.names(root / PROGRAMS):
        program = root / PROGRAMS / name
        with contextlib.suppress(OSError, ValueError):
            trials = read_json(program / MEMBERS, "trials", {"rows": [str]})["rows"]
            if not any((root / trial / DONE).exists() for trial in trials):
                yield from _below(program, 0)


def _read(workdir: pathlib.Path, name: str) -> Run:
    config, path = _config(workdir), workdir / SUMMARY
    if path.exists():
        results = [result._replace(run=name) for result in read_results(workdir)]
        rows = results[0].rows if results else []
        return Run(name, workdir, config, read_summary(path), rows, results)
    rows = read_rows(workdir / METRICS)
    return Run(name, workdir, config, {}, rows, _unfinished(name, config, rows))


def _config(workdir: pathlib.Path) -> dict:
    """The config of a run; the report does without one that cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        return read_json(workdir / CONFIG, "the config of a run")
    return {}


def _unfinished(name: str, config: dict, rows: list[dict]) -> list[Result]:
    """What rows and the config say of students that are in training."""
    keys = ("model", "method", "selection", "seed")
    base = {key: config[key] for key in keys if key in config}
    sections = {s: base | own for s, own in config.get("students", {}).items()}
    if not sections and base.get("method"):
        sections = {str(base["method"].get("name")): base}
    matches = filter(None, (_SCORE.match(key) for row in rows for key in row))
    students = dict.fromkeys([*sections, *(match[1] for match in matches)])
    seconds = rows[-1]["seconds"] if rows else 0.0
    return [
        Result(
            name,
            student,
            sections.get(student, {}).get("model", {}).get("name", ""),
            sections.get(student, {}).get("method", {}).get("name", ""),
            _last_scores(student, rows),
            seconds,
            len(students),
            rows,
            section=sections.get(student, {}),
            is_finished=False,
        )
        for student in students
    ]


def _last_scores(student: str, rows: list[dict]) -> dict[str, float]:
    prefix = f"eval/{student}/"
    for row in reversed(rows):
        scores = {
            key.removeprefix(prefix): value
            for key, value in row.items()
            if key.startswith(prefix) and value is not None
        }
        if scores:
            return scores
    return {}


def teacher_top1(run: Run, runs: list[Run]) -> dict[str, float | None]:
    """Teacher in words -> its test accuracy, as its own run recorded it.

    One that is among the runs has its name there, another one its directory.
    """
    identity = run.identity.get("teacher")
    section = identity or run.config.get("teacher", {})
    if not section:
        return {}
    if section.get("network"):
        return {str(section["network"]): None}
    texts = filter(None, str(section.get("workdir", "")).split(","))
    return dict(_recorded(text, section.get("student"), runs) for text in texts)


def _recorded(text: str, student: str, runs: list[Run]) -> tuple[str, float | None]:
    """(the teacher in words, its test accuracy where it can be read)."""
    if run := run_at(text, runs):
        return run.name, _top1(run.summary, student)
    try:
        workdir = paths.resolve(text, "teacher")
        return text, _top1(read_summary(workdir / SUMMARY), student)
    except (OSError, InputError):
        return text, None


def run_at(text: str, runs: list[Run]) -> Run | None:
    """The run in a directory that another run names.

    Runs may have been copied from another machine: then the run whose directory has
    the same name, if there is one.
    """
    try:
        workdir = paths.resolve(text, "workdir")
    except (OSError, InputError):
        return None
    resolved = [paths.resolve(run.workdir, "workdir") for run in runs]
    if workdir in resolved:
        return runs[resolved.index(workdir)]
    same = [
        r for r, path in zip(runs, resolved, strict=True) if path.name == workdir.name
    ]
    return same[0] if len(same) == 1 and not workdir.exists() else None


def _top1(summary: dict, student: str) -> float | None:
    students = summary.get("students", {})
    own = students.get(student) or (
        next(iter(students.values())) if len(students) == 1 else {}
    )
    return own.get("metrics", {}).get("top1")
