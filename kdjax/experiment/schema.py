"""The shape of a config, and the one way in which a section becomes a call.

A section with a `name` is a builder and its keyword arguments. What a builder does not
take, or refuses, is reported under the section's dotted path.
"""

import inspect
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any

from kdjax.contracts import InputError, nearest

SECTIONS = {
    "data": (
        *("name", "data_dir", "train", "test", "padding", "flip", "mean", "std"),
        *("feed", "crops", "threads", "skip_at_most", "mixup", "noise", "keep"),
    ),
    "teacher": (
        *("workdir", "student", "checkpoint", "network", "cache"),
        *("input_size", "resize", "classes"),
    ),
    "initial": ("workdir", "student", "checkpoint"),
    "evaluation": ("every_epochs", "batch_size", "on_train", "keep_all"),
}
NAMED = ("model", "method", "selection", "optimizer", "schedule")
VALUES = (
    *("seed", "batch_size", "total_epochs", "total_steps", "log_every_steps"),
    *("stop_at_train_top1", "tensorboard", "stacked", "batch_norm"),
)
OPEN = ("students", "stages", "select")
TOP = (*SECTIONS, *NAMED, *VALUES, *OPEN, "order")
VARIANT = ("model", "method", "selection", "seed")


def plain(value: Any) -> Any:
    """ConfigDicts to dicts and lists to tuples, all the way down."""
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return tuple(plain(inner) for inner in value)
    return value


def jsonable(value: Any) -> Any:
    """The same as JSON holds it: tuples are lists, infinity is the string "inf"."""
    if isinstance(value, Mapping):
        return {key: jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def resolved(config: Any) -> dict:
    """A config as JSON holds it."""
    return jsonable(plain(config))


def check_keys(config: dict) -> None:
    """Refuses keys that are missing or that nobody reads."""
    _same_keys("config", config, TOP)
    for section, keys in SECTIONS.items():
        _section(config, section)
        _same_keys(f"config.{section}", config[section], keys)
    for section in (*NAMED, *OPEN):
        _section(config, section)
    for name, row in config["students"].items():
        if not isinstance(row, Mapping):
            raise InputError(f"config.students.{name} is {row!r}; expected a section.")
        for key in row:
            if key not in VARIANT:
                raise InputError(
                    f"config.students.{name}.{key} is not read; a student may set "
                    f"{', '.join(VARIANT)}." + nearest(key, VARIANT)
                )


def _section(config: dict, name: str) -> None:
    if not isinstance(config[name], Mapping):
        raise InputError(f"config.{name} is {config[name]!r}; expected a section.")


def _same_keys(path: str, section: Mapping, expected: tuple[str, ...]) -> None:
    for key in section:
        if key not in expected:
            raise InputError(
                f"{path}.{key} is not read; {path} has {', '.join(expected)}."
                + nearest(key, expected)
            )
    for key in expected:
        if key not in section:
            raise InputError(f"{path}.{key} is missing; every config sets it.")


def number(config: dict, path: str, low: float, integer: bool = False) -> Any:
    """Reads a finite number >= low at a dotted path."""
    value = config
    for key in path.split("."):
        value = value[key]
    kind = numbers.Integral if integer else numbers.Real
    right = isinstance(value, kind) and not isinstance(value, bool)
    if not right or not math.isfinite(value) or value < low:
        what = "whole number" if integer else "number"
        raise InputError(f"config.{path} is {value!r}; expected a {what} >= {low:g}.")
    return value


def call_named(path: str, table: Mapping[str, Any], section: dict, **fixed: Any) -> Any:
    """Calls the builder that `section["name"]` names in `table` with the other keys.

    Args:
      path: dotted path of the section, for errors.
      table: name -> callable, or module with `build`.
      section: name and keyword arguments.
      **fixed: arguments that the config does not choose.
    """
    name = section.get("name")
    if name not in table:
        raise InputError(
            f"{path}.name is {name!r}; expected one of {', '.join(table)}."
            + nearest(str(name), table)
        )
    entry = table[name]
    build = entry if callable(entry) else entry.build
    arguments = {key: value for key, value in section.items() if key != "name"}
    check_arguments(path, name, build, arguments, fixed)
    return guarded(path, build, **fixed, **arguments)


def call_with_facts(path: str, table: Mapping[str, Any], section: dict, facts: dict):
    """`call_named`, with those facts of a run that the builder has a parameter for."""
    entry = table.get(section.get("name"))
    build = getattr(entry, "build", entry)
    takes = inspect.signature(build).parameters if build else ()
    fixed = {name: fact for name, fact in facts.items() if name in takes}
    return call_named(path, table, section, **fixed)


def check_arguments(
    path: str, name: str, build: Callable, arguments: dict, fixed: dict
) -> None:
    """Compares keyword arguments with a signature before anything is called."""
    parameters = inspect.signature(build).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    takes = [key for key in parameters if key not in fixed]
    for key in arguments:
        if key not in takes:
            known = ", ".join(takes) or "nothing"
            raise InputError(
                f"{path}.{key} is not a parameter of {name}; it takes {known}."
                + nearest(key, takes)
            )
    for key in takes:
        if parameters[key].default is inspect.Parameter.empty and key not in arguments:
            raise InputError(f"{path}.{key} is missing; {name} needs it.")


def guarded(path: str, function: Callable, /, *args: Any, **kwargs: Any) -> Any:
    """Calls, and puts the config's path before what the callee complains of."""
    try:
        return function(*args, **kwargs)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: {error}") from error
