"""Looks at every step of a directory of checkpoints, and changes nothing."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from kdjax.checkpoints import reading, storage
from kdjax.paths.json_files import parse_json
from kdjax.types import PyTree

FINITE = ("variables", storage.EMA)  # items with a network's weights


class Step(NamedTuple):
    """One step as it lies on the disk."""

    number: int
    meta: dict  # {} where it cannot be read
    problems: list[str]  # for which it cannot be restored
    scores: str  # what is wrong with its item of them, which can be written anew
    arrays: int  # that were compared with their checksums


def numbers(directory: pathlib.Path) -> list[int]:
    """The steps that a directory holds, damaged ones too."""
    return sorted(int(path.name) for path in directory.glob("*") if _is_step(path))


def inspect(directory: pathlib.Path, quick: bool = False) -> Iterator[Step]:
    """Every step, the oldest first, with a sentence for each thing that is wrong.

    All arrays are read and compared with their checksums, and weights must be finite;
    `quick` looks only whether the parts of a step are there.
    """
    for number in numbers(directory):
        meta, problems = _read_meta(directory, number)
        scores, arrays = "" if problems else _scores(directory, meta), 0
        # Orbax reads the scores with any other item, which damaged ones end.
        for item in () if scores else meta.get("checksums", {}):
            try:
                tree = _item(directory, number, item, quick)
            except Exception as error:  # Orbax raises five kinds for damaged files
                problems.append(f"{item}: {_reason(error)}")
                continue
            if tree is None:
                problems.append(f"{item} is missing")
                continue
            arrays += 0 if quick else len(jax.tree.leaves(tree))
            if item in FINITE and not quick:
                problems += nonsense(tree)
        yield Step(number, meta, problems, scores, arrays)


def nonsense(tree: PyTree) -> list[str]:
    """What no network has: numbers that are not finite, variances below 0."""
    infinite, negative = [], []
    for path, leaf in jax.tree.leaves_with_path(tree):
        array, name = np.asarray(leaf), jax.tree_util.keystr(path)
        if not np.isfinite(array.astype(np.float32)).all():
            infinite.append(name)
        elif name.endswith("['var']") and array.min(initial=0.0) < 0:
            negative.append(name)
    texts = [(infinite, "hold NaN or infinity"), (negative, "are variances below 0")]
    return [f"{len(n)} arrays {text}, first {n[0]}" for n, text in texts if n]


def _read_meta(directory: pathlib.Path, number: int) -> tuple[dict, list[str]]:
    """(identity of a step, what is wrong with it)."""
    try:
        meta = storage.read_meta(directory, number)
    except (OSError, ValueError) as error:
        return {}, [f"meta, which says what it is, cannot be read: {_reason(error)}"]
    if meta["step"] != number:
        return meta, [f"it says of itself that it is step {meta['step']}"]
    return meta, []


def _scores(directory: pathlib.Path, meta: dict) -> str:
    """What is wrong with what Orbax chooses the best step by; "" for nothing."""
    if "metrics" not in meta:
        return ""
    path = directory / str(meta["step"]) / storage.METRICS
    try:
        same = parse_json(path.read_bytes(), storage.SCORES) == meta["metrics"]
    except (OSError, ValueError) as error:
        return f"its scores cannot be read: {_reason(error)}"
    return "" if same else "its scores are not those of its evaluation"


def _item(directory: pathlib.Path, number: int, item: str, quick: bool):
    """The arrays of an item, checked; True where it is only looked for; else None."""
    if not quick:
        return reading._read(directory, number, item) or None
    with contextlib.closing(storage.open_reader(directory)) as manager:
        return True if manager.item_metadata(number).get(item) is not None else None


def _is_step(path: pathlib.Path) -> bool:
    return path.name.isdigit()


def _reason(error: BaseException) -> str:
    """The innermost error, which says more than what Orbax makes of it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error)[:200]}"
