"""Keys of a section as fields of a dataclass, and the check of values against them."""

import dataclasses
import math
import numbers
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from kdjax.contracts import InputError, nearest, shown

LARGEST = 1e6  # of what is not whole; at that temperature a softmax is uniform
LARGEST_WHOLE = 2**31 - 1  # steps are counted in int32
LONGEST_NAME = 255  # bytes, of a file
LARGEST_SEED = 2**32 - 1


class Limits(NamedTuple):
    """Bounds of a number, and of every number of a tuple; NaN is outside of any."""

    low: float = -LARGEST
    high: float | None = None  # LARGEST, or LARGEST_WHOLE
    above: bool = False  # `low` itself is outside

    def highest(self, number: Any) -> float:
        largest = LARGEST_WHOLE if isinstance(number, numbers.Integral) else LARGEST
        return largest if self.high is None else self.high

    def hold(self, number: Any) -> bool:
        low = self.low < number if self.above else self.low <= number
        return low and number <= self.highest(number)

    def __str__(self):
        if self == ANY:
            return ""
        end = "" if self.high is None else f", at most {self.high:.10g}"
        return f" {'above' if self.above else '>='} {self.low:g}{end}"


ANY = Limits()


def check_value(
    path: str, kind: Any, value: Any, limits: Limits = ANY, choices: tuple = ()
) -> None:
    """Refuses a value of another type, out of its limits or none of its choices.

    `kind` is its annotation; where that is no plain type, anything passes.
    """
    inner = value if isinstance(value, list | tuple) else (value,)
    given = [_of_python(one) for one in inner if _is(one, numbers.Real)]
    held = all(map(limits.hold, given))
    others = [one for one in inner if not _is(one, str) or one not in choices]
    others = others if choices else []
    allowed = not others
    if not fits(kind, value) or not held or not allowed:
        for one in given:
            if one > limits.highest(one):
                limits = limits._replace(high=limits.highest(one))
        expected = f"one of {', '.join(choices)}" if choices else describe(kind, limits)
        if isinstance(value, str) and len(value) > LONGEST_NAME:
            expected += f", of names of at most {LONGEST_NAME} bytes"
        hint = nearest(others[0], choices) if others and _is(others[0], str) else ""
        raise InputError(f"{path} is {shown(value)}; expected {expected}.{hint}")


def fits(kind: Any, value: Any) -> bool:
    """Whether a value is of an annotated type; whole numbers are numbers too."""
    arguments = typing.get_args(kind)
    if kind in (float, int):
        return _is(value, numbers.Real if kind is float else numbers.Integral)
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return any(fits(one, value) for one in arguments)
    if kind is str and isinstance(value, str):
        names = value.replace(",", "/").split("/")  # of paths, if it is one or several
        return all(len(one.encode(errors="replace")) <= LONGEST_NAME for one in names)
    if kind is tuple or typing.get_origin(kind) is tuple:
        return isinstance(value, list | tuple) and all(
            fits(arguments[0], one) for one in value if arguments
        )
    return kind is Any or not isinstance(kind, type) or isinstance(value, kind)


def describe(kind: Any, limits: Limits = ANY) -> str:
    """A type and its limits in words."""
    words = {int: f"a whole number{limits}", float: f"a number{limits}"}
    words |= {bool: "True or False", str: "a string", dict: "a section"}
    words |= {tuple: "a tuple", Any: f"a finite number{limits}", types.NoneType: "None"}
    arguments = [describe(one, limits) for one in typing.get_args(kind) if one != ...]
    if typing.get_origin(kind) is tuple:
        return f"a tuple, each item {arguments[0]}"
    return " or ".join(arguments) or words.get(kind, str(kind))


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _of_python(number: Any) -> Any:
    """NumPy's as Python's, which compare with numbers of any size."""
    return number.item() if hasattr(number, "item") else number


section = dataclasses.dataclass(frozen=True, kw_only=True)


def key(default: Any, text: str, *, choices=(), free=False, marks="", **limits) -> Any:
    """A key of a section; its default is a class where it is a section itself.

    Args:
      text: its meaning, one line.
      free: whether it may change between two starts of a run, as it moves results by
        rounding at most; a tuple names the arguments of a builder that may.
      marks: "builder": a name and the arguments that it takes. "variant": each student
        may have its own. "open": its keys are not listed here. "partial": a config may
        leave keys of it out.
    """
    free = ("",) if free is True else free or ()
    metadata = {"text": text, "choices": choices, "free": free, "marks": marks}
    default = default.copy if isinstance(default, dict) else default
    how = {"default_factory" if callable(default) else "default": default}
    return dataclasses.field(**how, metadata=metadata | {"limits": Limits(**limits)})


def check_section(
    path: str, kind: type, values: Mapping, partial: bool = False
) -> None:
    """Refuses keys that are missing or not read, and values that do not fit."""
    fields = {one.name: one for one in dataclasses.fields(kind)}
    for name in values:
        if name not in fields:
            raise InputError(
                f"{path}.{name[:LONGEST_NAME]} is not read; {path} has "
                f"{', '.join(fields)}.{nearest(name[:LONGEST_NAME], fields)}"
            )
    for name, one in fields.items():
        inner, facts = f"{path}.{name}", one.metadata
        if name not in values:
            if not partial:
                raise InputError(f"{inner} is missing; every config sets it.")
        elif dataclasses.is_dataclass(one.type):
            check_value(inner, dict, values[name])
            check_section(inner, one.type, values[name], "partial" in facts["marks"])
        else:
            limits, choices = facts["limits"], facts["choices"]
            check_value(inner, one.type, values[name], limits, choices)


def keys(kind: type, path: str = "") -> Iterator[tuple[str, dataclasses.Field, Any]]:
    """(dotted path, field, default) of every key that is no section."""
    defaults = kind()
    for one in dataclasses.fields(kind):
        if dataclasses.is_dataclass(one.type):
            yield from keys(one.type, f"{path}{one.name}.")
        else:
            yield f"{path}{one.name}", one, getattr(defaults, one.name)


def plain(value: Any) -> Any:
    """ConfigDicts to dicts and lists to tuples, all the way down."""
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return tuple(plain(inner) for inner in value)
    return value


def check_json(path: str, value: Any) -> None:
    """Refuses what a run cannot store of its config, such as functions and arrays."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            check_json(f"{path}.{name}", inner)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            check_json(f"{path}[{number}]", inner)
    elif isinstance(value, bool | float | str | None):
        return
    elif not isinstance(value, int) or abs(value) >= 2**63:
        raise InputError(
            f"{path[:LONGEST_NAME]} is {shown(value)}; expected what JSON holds: a "
            "number, a text, True, False or None, or tuples and sections of them."
        )


def jsonable(value: Any) -> Any:
    """The same as JSON holds it: tuples are lists, infinity is the string "inf"."""
    if isinstance(value, Mapping):
        return {name: jsonable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def of_json(value: Any) -> Any:
    """What `jsonable` was given: lists are tuples, "inf" is infinity."""
    if isinstance(value, Mapping):
        return {name: of_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return tuple(of_json(inner) for inner in value)
    return float(value) if value in ("inf", "-inf", "nan") else value
