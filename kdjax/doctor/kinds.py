"""What a path is, and who looks at it."""

import pathlib
from collections.abc import Callable

from kdjax.caching.manifest import MANIFEST
from kdjax.doctor import (
    caches,
    programs,
    run,
    selections,
    sets,
    sweeps,
    weight_files,
)
from kdjax.doctor.findings import Findings, guarded, note, problem
from kdjax.doctor.rows import METRICS
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.reporting.results import SUMMARY
from kdjax.runner.workdir import CONFIG, IMPORTED, LOCK, SELECTION

EXPECTED = (
    "Expected the --workdir of a train, sweep, select, import or cache, a prepared "
    "data set (its directory, or an .npz file), or a file of weights or of an export."
)
OF_RUNS = (CONFIG, CHECKPOINTS, METRICS, SUMMARY)
INSIDE = (*OF_RUNS, MANIFEST, IMPORTED, SELECTION, sets.INFO)


def examine(path: pathlib.Path, quick: bool) -> Findings:
    """All findings about a path; returns what it is, "" where nothing is known."""
    if path.name in INSIDE and path.exists():
        path = path.parent
    if not path.exists():
        yield problem(path, "there is no such file or directory", EXPECTED)
        return ""
    kind, check = (_of_directory if path.is_dir() else _of_file)(path)
    if check is not None:
        yield from guarded(path, EXPECTED, check, path, quick)
    elif path.is_dir() and not {inner.name for inner in path.iterdir()} - {LOCK}:
        yield note(path, "is empty")
    else:
        yield problem(path, "is nothing that kdjax writes", EXPECTED)
    return kind


def _of_directory(path: pathlib.Path) -> tuple[str, Callable | None]:
    kind, check = _of_one(path)
    if check is None and any(_of_one(inner)[1] for inner in _directories(path)):
        return "directory of them", _examine_each
    return kind, check


def _of_one(path: pathlib.Path) -> tuple[str, Callable | None]:
    if (path / MANIFEST).exists():
        return "cache", caches.examine_cache
    if (path / sets.INFO).exists():
        return "prepared set", sets.examine_set
    if (path / IMPORTED).exists():
        return "imported weights", selections.examine_import
    if selections.is_selection(path):
        return "selection", selections.examine_selection
    if any((path / name).exists() for name in OF_RUNS):
        return "run", run.examine_run
    if sweeps.is_sweep(path):
        return "sweep", sweeps.examine_sweep
    if sets.below(path):
        return "prepared sets", sets.examine_sets
    return "", None


def _directories(path: pathlib.Path) -> list[pathlib.Path]:
    return sorted((inner for inner in path.iterdir() if inner.is_dir()), key=str)


def _examine_each(path: pathlib.Path, quick: bool) -> Findings:
    for inner in _directories(path):
        if _of_one(inner)[1] is not None:
            yield from examine(inner, quick)


def _of_file(path: pathlib.Path) -> tuple[str, Callable | None]:
    if path.suffix == ".npz":
        return "arrays", sets.examine_npz
    if weight_files.is_weights(path):
        return "weights", weight_files.examine_weights
    if programs.is_program(path):
        return "program", programs.examine_program
    return "", None
