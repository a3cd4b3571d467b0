"""The rows of a grid: a name and a config each. Pure functions.

A row is called after what its axes say, first axis first: `seed-0__method-tau4`. The
name depends on the row alone, so a grid may grow and finds its old rows again; it also
serves as a student's name.
"""

import copy
import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from kdjax.contracts import InputError
from kdjax.experiment.overrides import set_override
from kdjax.experiment.schema import BUILDERS, OPEN, plain, resolved
from kdjax.runner.workdir import flat
from kdjax.sweep.axes import Axis, Text
from kdjax.sweep.interpolation import describe, fill

LONGEST = 150  # of a row's name; a directory's may have 255
LONGEST_VALUE = 48
OWN = ("data.data_dir", "data.threads")  # of each host
RESERVED = ("programs", "results.json")  # what else lies beside the rows


class Row(NamedTuple):
    """One run of the grid."""

    name: str
    cells: dict[str, str]  # axis -> its value in words
    config: ConfigDict


def make_rows(config: ConfigDict, axes: list[Axis]) -> list[Row]:
    """The product of the axes, the last one fastest.

    Raises:
      InputError: a key or value that does not fit the config, an unknown placeholder,
        or two rows that would be the same.
    """
    choices = itertools.product(*(range(len(axis.points)) for axis in axes))
    rows = [_row(config, axes, choice) for choice in choices]
    check_rows(rows)
    return rows


def in_common(rows: list[Row]) -> dict:
    """What all processes must have been given alike: the first row's config, and what
    each of the others has that this one has not."""
    every = {
        row.name: {
            key: value
            for key, value in flat(resolved(row.config)).items()
            if not key.endswith(OWN)
        }
        for row in rows
    }
    first = every[rows[0].name]
    others = {
        f"row {name}": {k: v for k, v in row.items() if k not in first or v != first[k]}
        for name, row in every.items()
    }
    return others | {f"config.{key}": value for key, value in first.items()}


def check_rows(rows: list[Row]) -> None:
    """Raises InputError where two rows are the same, or a name is taken."""
    names, contents = {}, {}
    for row in rows:
        content = json.dumps(resolved(row.config), sort_keys=True)
        for seen, key in ((names, row.name.lower()), (contents, content)):
            if key in seen:
                raise InputError(
                    f"grid: {seen[key]} and {row.name} are the same row; expected "
                    "values that differ, or short names for them."
                )
            seen[key] = row.name
        if row.name in RESERVED:
            raise InputError(f"grid: a row cannot be called {row.name}.")


def _row(config: ConfigDict, axes: list[Axis], choice: tuple[int, ...]) -> Row:
    config = copy.deepcopy(config)  # what refers to an axis, such as a seed, follows
    parts, cells, labels = [], {}, {}
    for axis, i in zip(axes, choice, strict=True):
        for key, value in zip(axis.keys, axis.points[i], strict=True):
            put(config, key, value)
        label, together = axis.labels[i], ",".join(axis.keys)
        if label:
            parts.append(label if axis.keys[1:] else f"{together}-{label}")
            labels |= {key: label for key in axis.keys}
            cells[together] = label
            continue
        for key, value in zip(axis.keys, axis.points[i], strict=True):
            # The config's own value: 3 is 3.0 where a float belongs.
            given = isinstance(value, Mapping)
            words = describe(value if given else plain(lookup(config, key)))
            parts.append(f"{key}-{slug(words)}")
            cells[key] = words
    name = "__".join(parts)
    if len(name) > LONGEST:
        name = f"{name[:LONGEST]}--{digest(name)}"
    return Row(name, cells, ConfigDict(fill(plain(config), labels)))


def put(config: ConfigDict, key: str, value: Any) -> None:
    """Sets a dotted key as an override does; a section without a name key by key."""
    is_builder = key.rpartition(".")[2] in BUILDERS
    is_whole = key.split(".")[0] in OPEN
    is_whole |= is_builder and isinstance(value, Mapping) and "name" in value
    if isinstance(value, Mapping) and not is_whole:
        for inner, part in value.items():
            put(config, f"{key}.{inner}", part)
        return
    is_text = isinstance(value, Text) or (
        isinstance(value, str) and isinstance(lookup(config, key), str)
    )
    set_override(config, key, str(value) if is_text else repr(_literal(value)))


def _literal(value: Any) -> Any:
    """NumPy's scalars and arrays as Python writes them."""
    if isinstance(value, Mapping):
        return {key: _literal(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_literal, value))
    return value.tolist() if hasattr(value, "tolist") else value


def lookup(config: Any, key: str) -> Any:
    """The value of a dotted key, or None."""
    for part in key.split("."):
        if not isinstance(config, Mapping | ConfigDict) or part not in config:
            return None
        config = config[part]
    return config


def slug(words: str) -> str:
    """The words as part of a file's name; what that loses comes back as a digest."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", words)[:LONGEST_VALUE]
    return safe if safe == words else f"{safe}-{digest(words)}"


def digest(text: str) -> str:
    """Eight letters that stand for a longer text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
