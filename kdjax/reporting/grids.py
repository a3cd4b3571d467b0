"""The results of a sweep: one line a row, and means over its seeds."""

import math
import statistics
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

SEED = "seed"
SHOWN = {"top1": "test top-1 %", "agreement": "agreement %"}


class Line(NamedTuple):
    """One trained network of a grid, or a row without one."""

    row: str
    cells: dict[str, str]  # axis -> value, in words
    student: str
    state: str  # done or failed
    metrics: dict[str, float]
    seconds: float | None


def means(lines: list[Line]) -> list[dict]:
    """Mean and sample standard deviation over `seed`, for each choice of the rest.

    Returns:
      {"cells", "student", "seeds", "mean": {metric: x}, "deviation": {metric: x}}; the
      deviation of a single seed is None. Empty where `seed` is no axis.
    """
    groups: dict[tuple, list[Line]] = {}
    for line in lines:
        if SEED in line.cells and line.metrics:
            rest = {k: v for k, v in line.cells.items() if k != SEED}
            key = (tuple(rest.items()), line.student)
            groups.setdefault(key, []).append(line)
    found = []
    for (cells, student), members in groups.items():
        known = set.intersection(*(set(line.metrics) for line in members))
        keys = [key for key in members[0].metrics if key in known]
        values = {key: [line.metrics[key] for line in members] for key in keys}
        found.append(
            {
                "cells": dict(cells),
                "student": student,
                "seeds": len(members),
                "mean": {k: statistics.fmean(v) for k, v in values.items()},
                "deviation": {k: _deviation(v) for k, v in values.items()},
            }
        )
    return found


def _deviation(values: list[float]) -> float | None:
    """Over n - 1; `statistics` cannot have a NaN."""
    if not all(map(math.isfinite, values)):
        return math.nan
    return statistics.stdev(values) if len(values) > 1 else None


def as_json(lines: list[Line]) -> dict:
    """What results.json holds; JSON has no NaN, so it is null there."""
    rows = [line._asdict() for line in lines]
    return _finite({"rows": rows, "over_seeds": means(lines)})


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_lines(lines: list[Line], stream=None) -> None:
    """Prints the rows, and below them the means over seeds where there are seeds."""
    console = Console(file=stream, highlight=False)
    axes = list(dict.fromkeys(axis for line in lines for axis in line.cells))
    named = len(lines) > len({line.row for line in lines})  # several networks a row
    table = _table([*axes, *(["student"] if named else []), *SHOWN.values(), "seconds"])
    for line in lines:
        shown = [_number(line.metrics.get(key)) for key in SHOWN]
        if line.state == "failed":
            shown[0] = "failed"
        seconds = "-" if line.seconds is None else f"{line.seconds:.1f}"
        student = [line.student] if named else []
        cells = [escape(line.cells.get(axis, "")) for axis in axes]
        table.add_row(*cells, *student, *shown, seconds)
    console.print(table)
    if SEED not in axes:
        return
    axes.remove(SEED)
    table = _table([*axes, *(["student"] if named else []), "seeds", *SHOWN.values()])
    for row in means(lines):
        shown = [_spread(row["mean"].get(k), row["deviation"].get(k)) for k in SHOWN]
        student = [row["student"]] if named else []
        cells = [escape(row["cells"].get(axis, "")) for axis in axes]
        table.add_row(*cells, *student, str(row["seeds"]), *shown)
    console.print(table)


def _table(columns: list[str]) -> Table:
    table = Table()
    for column in columns:
        numeric = column in (*SHOWN.values(), "seconds", "seeds")
        table.add_column(column, justify="right" if numeric else "left")
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _spread(mean: float | None, deviation: float | None) -> str:
    """51.23 ± 0.40, the sample standard deviation; 51.23 of a single seed."""
    if mean is None or deviation is None:
        return _number(mean)
    return f"{mean:.2f} ± {deviation:.2f}"
