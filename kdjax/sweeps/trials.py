"""The trials of a sweep, a name and a config each: of a grid, or of a file's lines.

A trial is named after its values, first axis first: `seed-0__method-tau4`. The name
depends on the trial alone, so a grid may grow and finds its old trials again; it also
names the student in a program of several. A line of a file is a JSON object:

    {"name": "tau20-long", "method.temperature": 20.0, "total_epochs": 240.0}

Unlike a config, such a file runs nothing: a function "package.module:function" that it
names is refused, unless the config or --allow_code names it too.
"""

import copy
import hashlib
import itertools
import json
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from kdjax.contracts import InputError, flat, nearest
from kdjax.experiment.builders import check_same_code
from kdjax.experiment.overrides import set_override
from kdjax.experiment.schema import BUILDERS, OPEN, plain, resolved
from kdjax.paths.files import read_text
from kdjax.paths.json_files import parse_json
from kdjax.sweeps.axes import LABEL, OF_LABEL, Axis, Text, read_axes

LONGEST = 150  # of a trial's name; a directory's may have 255
LONGEST_VALUE = 48
OF_HOST = ("data.data_dir", "data.threads")  # may differ between hosts
PLACEHOLDER = re.compile(r"\{([A-Za-z_][\w.-]*)\}")  # for a value of the same config
RESERVED = ("programs", "results.json")  # what else lies beside the trials


class Trial(NamedTuple):
    """One run of the sweep."""

    name: str
    cells: dict[str, str]  # axis -> its value in words
    config: ConfigDict


def make_trials(config: ConfigDict, axes: list[Axis]) -> list[Trial]:
    """The product of the axes, the last one fastest; no two trials are the same."""
    points = itertools.product(*(range(len(axis.points)) for axis in axes))
    trials = [_make_trial(config, axes, point) for point in points]
    _check_distinct(trials)
    return trials


def read_trials(config: ConfigDict, path: pathlib.Path) -> list[Trial]:
    """The trials of a file in the order of its lines; empty lines are skipped."""
    try:
        lines = read_text(path).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--trials: cannot read {path}: {error}.") from error
    trials = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                trials.append(_read_trial(config, line))
            except InputError as error:
                where = f"--trials: line {number} of {path}"
                raise InputError(f"{where}: {error}") from error
    if not trials:
        raise InputError(f"--trials: {path} is empty; expected a JSON object a line.")
    _check_distinct(trials)
    return trials


def in_common(trials: list[Trial]) -> dict:
    """What processes must share: a config, and what the other trials change in it."""
    configs = {}
    for trial in trials:
        values = flat(resolved(trial.config)).items()
        configs[trial.name] = {k: v for k, v in values if not k.endswith(OF_HOST)}
    first = configs[trials[0].name]
    others = {
        f"trial {name}": {k: v for k, v in c.items() if k not in first or v != first[k]}
        for name, c in configs.items()
    }
    return others | {f"config.{key}": value for key, value in first.items()}


def _check_distinct(trials: list[Trial]) -> None:
    """Raises InputError where two trials are the same, or a name is reserved."""
    names, configs = {}, {}
    for trial in trials:
        config = json.dumps(resolved(trial.config), sort_keys=True)
        for earlier, key in ((names, trial.name.lower()), (configs, config)):
            if key in earlier:
                raise InputError(
                    f"grid: {earlier[key]} and {trial.name} are the same trial; "
                    "expected values that differ, or short names for them."
                )
            earlier[key] = trial.name
        if trial.name in RESERVED:
            raise InputError(f"grid: a trial cannot be called {trial.name}.")


def _read_trial(config: ConfigDict, line: str) -> Trial:
    try:
        values = parse_json(line.encode())
    except ValueError as error:
        raise InputError(f"{error}; expected one JSON object.") from error
    if not isinstance(values, dict):
        raise InputError(f"{line.strip()!r} is no JSON object.")
    name = values.pop("name", None)
    if name is not None and not (isinstance(name, str) and LABEL.fullmatch(name)):
        raise InputError(f"name is {name!r}; expected {OF_LABEL}.")
    if not values:
        raise InputError("it changes no key of the config; expected one at least.")
    axes = read_axes({key: (plain(value),) for key, value in values.items()}, [])
    (trial,) = make_trials(config, axes)
    check_same_code(trial.config, config)  # the file may be anyone's
    if name is None:
        return trial
    # The axis is called "row" in results.json.
    return trial._replace(name=name, cells={"row": name} | trial.cells)


def _make_trial(config: ConfigDict, axes: list[Axis], point: tuple[int, ...]) -> Trial:
    config = copy.deepcopy(config)  # what refers to an axis, such as a seed, follows
    parts, cells, labels = [], {}, {}
    for axis, i in zip(axes, point, strict=True):
        values = dict(zip(axis.keys, axis.points[i], strict=True))
        for key, value in values.items():
            _put(config, key, value)
        label, keys = axis.labels[i], ",".join(axis.keys)
        if label:
            parts.append(label if axis.keys[1:] else f"{keys}-{label}")
            labels |= dict.fromkeys(axis.keys, label)
            cells[keys] = label
            continue
        for key, value in values.items():
            # A single value as the config holds it: 3 is 3.0 where a float belongs.
            is_section = isinstance(value, Mapping)
            cells[key] = _describe(value if is_section else plain(_lookup(config, key)))
            parts.append(f"{key}-{_slug(cells[key])}")
    name = "__".join(parts)
    if len(name) > LONGEST:
        name = f"{name[:LONGEST]}--{digest(name)}"
    return Trial(name, cells, ConfigDict(_fill(plain(config), labels)))


def _put(config: ConfigDict, key: str, value: Any) -> None:
    """Sets a dotted key as an override does; a section without a name key by key."""
    if isinstance(value, Mapping):
        is_builder = key.rpartition(".")[2] in BUILDERS and "name" in value
        if not (is_builder or key.split(".")[0] in OPEN):
            for inner, part in value.items():
                _put(config, f"{key}.{inner}", part)
            return
    is_text = isinstance(value, Text) or (
        isinstance(value, str) and isinstance(_lookup(config, key), str)
    )
    # NumPy's scalars and arrays as Python writes them.
    value = _each(lambda x: x.tolist() if hasattr(x, "tolist") else x, value)
    set_override(config, key, str(value) if is_text else repr(value))


def _each(function: Callable[[Any], Any], value: Any) -> Any:
    """The function of every value in nested dicts and tuples."""
    if isinstance(value, Mapping):
        return {key: _each(function, inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(_each(function, inner) for inner in value)
    return function(value)


def _lookup(config: Any, key: str) -> Any:
    """The value of a dotted key, or None."""
    for part in key.split("."):
        if not isinstance(config, Mapping | ConfigDict) or part not in config:
            return None
        config = config[part]
    return config


def _slug(words: str) -> str:
    """The words as part of a file's name; a digest stands for what that loses."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", words)[:LONGEST_VALUE]
    return safe if safe == words else f"{safe}-{digest(words)}"


def digest(text: str) -> str:
    """Eight letters that stand for a longer text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]


def _describe(value: Any) -> str:
    """A value in words: kd_temperature-4.0, 16x32x64, true."""
    if isinstance(value, Mapping):
        rest = [f"{key}-{_describe(v)}" for key, v in value.items() if key != "name"]
        value = "_".join([str(value["name"]), *rest] if "name" in value else rest)
    elif isinstance(value, list | tuple):
        value = "x".join(map(_describe, value))
    elif isinstance(value, bool):
        value = str(value).lower()
    return str(value) or "empty"


def _fill(config: dict, labels: Mapping[str, str]) -> dict:
    """A plain config with values for "{dotted.key}"; `labels`, by key, come first."""
    leaves = {k: v for k, v in flat(config).items() if v not in (None, "", (), {})}
    words = {key: _describe(value) for key, value in leaves.items()}
    words = {k: v for k, v in words.items() if not PLACEHOLDER.search(v)} | labels

    def value_of(match):
        if match.group(1) not in words:
            raise InputError(
                f"config: {match.string!r} refers to {match.group(1)}; expected a "
                "dotted key that holds one value." + nearest(match.group(1), words)
            )
        return words[match.group(1)]

    def filled(value):
        return PLACEHOLDER.sub(value_of, value) if isinstance(value, str) else value

    return _each(filled, config)
