"""The results of finished runs: one record a student, read from their directories."""

import json
import pathlib
from typing import NamedTuple

from kdjax.contracts import InputError
from kdjax.reporting.reporter import read_rows

SUMMARY = "summary.json"
IMPORTED = "imported.json"


class Result(NamedTuple):
    """One trained network."""

    run: str  # name of the work directory
    student: str
    model: str
    method: str
    metrics: dict[str, float]  # of the last evaluation
    seconds: float  # of the whole program, shared by its students
    students: int  # trained in that program
    rows: list[dict]  # of metrics.jsonl

    @property
    def has_teacher(self) -> bool:
        """Whether there was a teacher to agree with."""
        return "agreement" in self.metrics


def read_results(workdir: pathlib.Path) -> list[Result]:
    """Reads a finished run.

    Raises:
      InputError: the directory holds no finished run.
    """
    path = workdir / SUMMARY
    if not path.exists():
        if not (workdir / IMPORTED).exists():
            raise InputError(
                f"{workdir}: no {SUMMARY} here; expected the --workdir of a finished "
                "run."
            )
        raise InputError(
            f"{workdir}: imported weights, which were not trained here; expected the "
            "--workdir of a finished run. `python -m kdjax evaluate --workdir="
            f"{workdir} --data=NAME` scores them."
        )
    summary = json.loads(path.read_text())
    rows = read_rows(workdir / "metrics.jsonl")
    return [
        Result(
            run=workdir.name,
            student=name,
            model=row["model"],
            method=row["method"],
            metrics=row["metrics"],
            seconds=summary["seconds"],
            students=len(summary["students"]),
            rows=rows,
        )
        for name, row in summary["students"].items()
    ]


def series(result: Result, key: str) -> tuple[list[float], list[float]]:
    """(epochs, values) of one metric, such as "eval/top1", for one student."""
    space, metric = key.split("/", 1)
    name = f"{space}/{result.student}/{metric}"
    points = [(r["epoch"], r[name]) for r in result.rows if r.get(name) is not None]
    return [x for x, _ in points], [y for _, y in points]


def labels(results: list[Result]) -> list[str]:
    """The name of each result in a table or a figure; all are different."""
    short = [r.student if r.students > 1 else r.run for r in results]
    full = [f"{r.run}/{r.student}" for r in results]
    names = [f if short.count(s) > 1 else s for s, f in zip(short, full, strict=True)]
    return [
        f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]
