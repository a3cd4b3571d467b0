"""The axes of a grid, from a config file's `get_grid` and from `--grid.KEY=v1,v2,...`.

An axis is a dotted key of the config, or several that change together, and its values:

    {"seed": (0, 1, 2),
     "method": {"ce": {"name": "ce"}, "tau4": {"name": "kd", "temperature": 4.0}},
     "model.width,teacher.workdir": {"small": (4, "runs/t4"), "big": (8, "runs/t8")}}

A dict gives the values short names. A value may be a section: one of model, method,
selection, optimizer, schedule and noise with a `name` replaces what is there; all
others change some keys. A flag replaces the axis of its key, in its place.
"""

import ast
import contextlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from kdjax.contracts import InputError
from kdjax.experiment.schema import plain

KEY = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # what a student may be called, too
OF_LABEL = "letters, digits, dots, dashes and underscores"
BRACKETS = {"(": ")", "[": "]", "{": "}"}


class Text(str):
    """A value from the command line: it takes the type of what is there."""


class Axis(NamedTuple):
    """Some keys, and for each of its points a label or None and a value each."""

    keys: tuple[str, ...]
    labels: tuple[str | None, ...]
    points: tuple[tuple[Any, ...], ...]


def read_axes(grid: Any, flags: list[str]) -> list[Axis]:
    """The axes of what `get_grid` returned and of "KEY=v1,v2,..." flags, in order."""
    if not isinstance(grid, Mapping):
        raise InputError(
            f"get_grid returned {type(grid).__name__}; expected {{dotted key: values}}"
        )
    values = dict(plain(grid))
    for flag in flags:
        key, _, text = flag.partition("=")
        values[key] = split_values(f"--grid.{key}", text)
        if "," in key:
            values[key] = [_split_tuple(f"--grid.{key}", t) for t in values[key]]
    if not values:
        raise InputError(
            "the grid has no axis; expected --grid.KEY=v1,v2,... or a function "
            "get_grid(arg='') -> {dotted key: values} beside get_config."
        )
    axes = [_make_axis(key, points) for key, points in values.items()]
    keys = [key for axis in axes for key in axis.keys]
    for i, key in enumerate(keys):
        for before in keys[:i]:
            # A section must not undo what an axis before it has set within it.
            if before == key or before.startswith(f"{key}."):
                raise InputError(
                    f"grid: {key} would undo {before}, which comes before it; expected "
                    "each key once, and a section before the keys within it."
                )
    return axes


def split_values(where: str, text: str) -> list[Text]:
    """Splits at the commas that stand outside brackets and quotes."""
    parts, closing, quote = [""], [], ""
    for letter in text:
        if letter == "," and not (closing or quote):
            parts.append("")
            continue
        parts[-1] += letter
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in BRACKETS:
            closing.append(BRACKETS[letter])
        elif closing and letter == closing[-1]:
            closing.pop()
    parts = [part.strip() for part in parts]
    if closing or quote or not all(parts):
        raise InputError(
            f"{where} is {text!r}; expected values separated by commas, brackets and "
            "quotes closed, and '' for an empty text."
        )
    return [Text(_unquoted(part)) for part in parts]


def _unquoted(text: str) -> str:
    with contextlib.suppress(ValueError, SyntaxError):  # 'a'b is taken as it is
        return ast.literal_eval(text) if text[0] in "'\"" else text
    return text


def _split_tuple(where: str, text: str) -> tuple[Text, ...]:
    """The texts of (4,runs/small), for keys that share an axis."""
    if len(text) < 2 or BRACKETS.get(text[0]) != text[-1]:
        raise InputError(
            f"{where}: {text!r} is one value; keys that share an axis take a value "
            "each, such as (4,runs/small),(8,runs/big)."
        )
    return tuple(split_values(where, text[1:-1]))


def _make_axis(key: str, values: Any) -> Axis:
    """Checks one axis, and brings a single key to the form of several."""
    keys = tuple(key.split(","))
    if not all(map(KEY.fullmatch, keys)):
        text = f"grid: {key!r} is not a dotted key of the config, nor several of them."
        raise InputError(text)
    labels = tuple(values) if isinstance(values, Mapping) else None
    points = values.values() if labels else values
    ordered = isinstance(points, Iterable) and not isinstance(points, str | set | dict)
    points = list(points) if ordered else []
    if not points:
        raise InputError(
            f"grid: {key} has {values!r}; expected several values, or {{name: value}}."
        )
    for label in labels or ():
        if not LABEL.fullmatch(label):
            text = f"grid: {key}: {label!r} cannot name a trial; expected {OF_LABEL}."
            raise InputError(text)
    if len(keys) == 1:
        points = [(point,) for point in points]
    for point in points:
        if not isinstance(point, list | tuple) or len(point) != len(keys):
            text = f"grid: {key} has {point!r}; expected a tuple of {len(keys)} values."
            raise InputError(text)
    return Axis(keys, labels or (None,) * len(points), tuple(map(tuple, points)))
