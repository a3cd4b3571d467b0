"""The results of finished runs: one record a student, and their table."""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from kdjax.contracts import InputError
from kdjax.paths.json_files import read_json
from kdjax.reporting.console import console, plain, table
from kdjax.reporting.reporter import read_rows

SUMMARY = "summary.json"
IMPORTED = "imported.json"
COLUMNS = ("", "network", "method", "test top-1 %", "agreement %", "seconds")
PUBLISHED = "published %"  # a last column, where a result has a published number


_NAMED = {"name": str}
_RULES: dict = {"name": str}
_RULES["supervisor?"] = (_RULES, None)  # rules may be attached to rules
_ROW = {
    "model": str,
    "method": str,
    "metrics": {str: (float, None)},
    "published?": ({"top1": float, "source": str}, None),
}
_STUDENT = {"model?": _NAMED, "method?": _RULES, "selection?": _NAMED}
_DATA = {"train?": (dict, None)}
SUMMARY_FORM = {
    "seconds": float,
    "students": {str: _ROW},
    "identity?": {
        "students?": {str: _STUDENT},
        "data?": _DATA,
        "versions?": {str: str},
    },
    "prepared?": {"version": str, "listing": str},  # a folder's set
    "provenance?": {str: (str, None)},
    "program?": {"workdir": str, "student": str},  # of a sweep's, that trained it
}


class Result(NamedTuple):
    """One trained network."""

    run: str  # name of the work directory
    student: str
    model: str
    method: str  # with rules attached to it and a selection, as of `method_label`
    metrics: dict[str, float]  # of the last evaluation
    seconds: float  # of the whole program, shared by its students
    students: int  # trained in that program
    rows: list[dict]  # of metrics.jsonl
    published: dict | None = None  # {"top1", "source"} of the same method and network
    section: Mapping = {}  # model, method, selection and seed, where they are recorded
    is_finished: bool = True


def read_results(workdir: pathlib.Path) -> list[Result]:
    """Reads a finished run; InputError where there is none."""
    path = workdir / SUMMARY
    if not path.exists():
        raise no_run(workdir)
    summary = read_summary(path)
    students, keys = summary["students"], ("model", "method", "metrics")
    shared = (summary["seconds"], len(students), read_rows(workdir / "metrics.jsonl"))
    sections = summary.get("identity", {}).get("students", {})
    labelled = {
        name: row
        | {"method": method_label(sections.get(name, {}), row["method"])}
        # null stands for what was no number
        | {"metrics": {k: v for k, v in row["metrics"].items() if v is not None}}
        for name, row in students.items()
    }
    return [
        Result(
            workdir.name,
            name,
            *(row[key] for key in keys),
            *shared,
            row.get("published"),
            sections.get(name, {}),
        )
        for name, row in labelled.items()
    ]


def no_run(workdir: pathlib.Path) -> InputError:
    """The error where a directory has no training."""
    expected = "expected the --workdir of a finished run."
    if not (workdir / IMPORTED).exists():
        return InputError(f"{workdir}: no {SUMMARY} here; {expected}")
    return InputError(
        f"{workdir}: imported weights, which were not trained here; {expected} "
        f"`python -m kdjax evaluate --workdir={workdir} --data=NAME` scores them."
    )


def read_summary(path: pathlib.Path) -> dict:
    """The summary of a finished run; DamagedError for anything else."""
    advice = "The same command that trained the run writes it anew."
    return read_json(path, "the summary of a run", SUMMARY_FORM, advice)


def method_label(section: Mapping, name: str) -> str:
    """A student's method, the rules attached to it and its selection: "kd+ka_ps".

    `section` is the student's in the identity of its run, `name` that of its method.

    >>> rules = {"name": "ka_ps", "supervisor": {"name": "standardise"}}
    >>> method = {"name": "fitnets", "supervisor": rules}
    >>> section = {"method": method, "selection": {"name": "random"}}
    >>> method_label(section, "fitnets")
    'fitnets+ka_ps+standardise+random'
    """
    parts, rules = [name], section.get("method", {}).get("supervisor")
    while rules:
        parts.append(rules["name"])
        rules = rules.get("supervisor")
    selection = section.get("selection", {}).get("name", "all")
    return "+".join(parts if selection == "all" else [*parts, selection])


def series(result: Result, key: str) -> tuple[list[float], list[float]]:
    """(epochs, values) of one metric, such as "eval/top1", for one student."""
    space, metric = key.split("/", 1)
    name = f"{space}/{result.student}/{metric}"
    points = [
        (r["epoch"], r[name])
        for r in result.rows
        if isinstance(r.get(name), int | float)  # else null, which stands for no number
    ]
    return [x for x, _ in points], [y for _, y in points]


def labels(results: list[Result]) -> list[str]:
    """The name of each result in a table or a figure; all are different."""
    short = [r.student if r.students > 1 else r.run for r in results]
    full = [f"{r.run}/{r.student}" for r in results]
    return numbered(
        [f if short.count(s) > 1 else s for s, f in zip(short, full, strict=True)]
    )


def numbered(names: list[str]) -> list[str]:
    """The names, those that occur twice with a number.

    >>> numbered(["kd", "ce", "kd"])
    ['kd (1)', 'ce', 'kd (2)']
    """
    return [
        f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def columns(results: list[Result]) -> tuple[str, ...]:
    """The headings: published numbers have a column where there are some."""
    return (*COLUMNS, PUBLISHED) if any(r.published for r in results) else COLUMNS


def rows(results: list[Result]) -> list[tuple[str, ...]]:
    """The cells; seconds is a student's equal share of its program's time."""
    cells, keys, shown = [], ("top1", "agreement"), PUBLISHED in columns(results)
    for name, r in zip(labels(results), results, strict=True):
        metrics = [f"{r.metrics[k]:.2f}" if k in r.metrics else "-" for k in keys]
        seconds = f"{r.seconds / r.students:.1f}"
        published = (f"{r.published['top1']:.2f}" if r.published else "-",) * shown
        cells.append((name, r.model, r.method, *metrics, seconds, *published))
    return cells


def caption(results: list[Result]) -> str:
    """Says what shared a program, what seconds are, and where numbers are published."""
    programs = {r.run: r for r in results if r.students > 1 and r.is_finished}
    sources = dict.fromkeys(r.published["source"] for r in results if r.published)
    published = [f"Published: {'; '.join(sources)}."] if sources else []
    shared = [
        f"{r.students} students of '{r.run}' trained in one program in "
        f"{r.seconds:.1f} s, data and teacher forward paid once; seconds is each one's "
        "equal share."
        for r in programs.values()
    ]
    return " ".join([*shared, *published])


def print_table(results: list[Result], stream=None) -> None:
    """Prints the comparison."""
    text = plain(words, "table.caption") if (words := caption(results)) else None
    style = {"caption": text, "caption_justify": "left"}
    out, cells = console(stream), rows(results)
    shown = table(columns(results), cells, COLUMNS[:3], **style)
    # A name that leaves room for the numbers is not broken in the middle of a word.
    shown.columns[0].no_wrap = all(len(row[0]) <= out.width // 4 for row in cells)
    out.print(shown)
