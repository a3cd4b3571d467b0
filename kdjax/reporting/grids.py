"""The results of a sweep: one line a network, and means over its seeds."""

import collections
import math
import statistics
from typing import NamedTuple

from kdjax.contracts import without_nan
from kdjax.reporting.console import console, table

SEED = "seed"
SHOWN = {"top1": "test top-1 %", "agreement": "agreement %"}


class Line(NamedTuple):
    """One trained network of a sweep, or a trial without one."""

    row: str  # name of the trial, and the key in results.json
    cells: dict[str, str]  # axis -> value, in words
    student: str
    state: str  # done or failed
    metrics: dict[str, float]
    seconds: float | None


def means(lines: list[Line]) -> list[dict]:
    """Mean and sample standard deviation over `seed`, for each choice of the rest.

    Rows of {"cells", "student", "seeds", "mean": {metric: x}, "deviation": ...}; the
    deviation of a single seed is None. Empty where `seed` is no axis.
    """
    groups = collections.defaultdict(list)
    for line in lines:
        if SEED in line.cells and line.metrics:
            rest = tuple((k, v) for k, v in line.cells.items() if k != SEED)
            groups[rest, line.student].append(line)
    rows = []
    for (cells, student), members in groups.items():
        shared = set.intersection(*(set(line.metrics) for line in members))
        keys = [key for key in members[0].metrics if key in shared]
        values = {key: [line.metrics[key] for line in members] for key in keys}
        row = {"cells": dict(cells), "student": student, "seeds": len(members)}
        row["mean"] = {key: statistics.fmean(x) for key, x in values.items()}
        row["deviation"] = {key: _deviation(x) for key, x in values.items()}
        rows.append(row)
    return rows


def _deviation(values: list[float]) -> float | None:
    """Over n - 1; `statistics` cannot have a NaN."""
    if not all(map(math.isfinite, values)):
        return math.nan
    return statistics.stdev(values) if len(values) > 1 else None


def as_json(lines: list[Line]) -> dict:
    """What results.json holds; JSON has no NaN, so it is null there."""
    rows = [line._asdict() for line in lines]
    return without_nan({"rows": rows, "over_seeds": means(lines)})


def print_lines(lines: list[Line], stream=None) -> None:
    """Prints the trials, and below them the means over seeds where there are seeds."""
    terminal = console(stream)
    axes = list(dict.fromkeys(axis for line in lines for axis in line.cells))
    # Trials of several networks have a column of students.
    student = ["student"] * (len(lines) > len({line.row for line in lines}))

    def show(axes, columns, rows):
        rows = (
            [*(cells.get(axis, "") for axis in axes), *([name] * len(student)), *texts]
            for cells, name, texts in rows
        )
        left = [*axes, *student]
        terminal.print(table([*left, *columns], rows, left))

    rows = [(line.cells, line.student, _texts(line)) for line in lines]
    show(axes, [*SHOWN.values(), "seconds"], rows)
    if SEED in axes:
        axes.remove(SEED)
        sign = "±" if terminal.encoding.startswith("utf") else "+-"
        rows = [(m["cells"], m["student"], _spreads(m, sign)) for m in means(lines)]
        show(axes, ["seeds", *SHOWN.values()], rows)


def _texts(line: Line) -> list[str]:
    metrics = [_number(line.metrics.get(key)) for key in SHOWN]
    if line.state == "failed":
        metrics[0] = "failed"
    return [*metrics, "-" if line.seconds is None else f"{line.seconds:.1f}"]


def _spreads(row: dict, sign: str) -> list[str]:
    """51.23 ± 0.40, the sample standard deviation; 51.23 of a single seed."""
    texts = [str(row["seeds"])]
    for key in SHOWN:
        deviation = row["deviation"].get(key)
        text = _number(row["mean"].get(key))
        texts.append(text if deviation is None else f"{text} {sign} {deviation:.2f}")
    return texts


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
