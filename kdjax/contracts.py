"""Checks of arguments. Errors say where, what came and what was expected."""

import contextlib
import difflib
import json
import math
import numbers
import re
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import jax
import numpy as np

import kdjax


class InputError(ValueError):
    """What the user gave cannot work. Commands print the message and exit with 2."""

    exit_code = 2


_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
    "\ud800-\udfff]"
)
_LEADING = re.compile(r"[*#]+\w+")
# What they raise is an error of the storage, and not always an OSError.
BUCKET_CLIENTS = ("gcsfs", "google", "s3fs", "botocore", "aiohttp")


def versions(*packages: str) -> dict[str, str]:
    """Of kdjax and of those packages, which numbers depend on, that are installed."""
    installed = {"kdjax": kdjax.__version__}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            installed[name] = metadata.version(name)
    return installed


def exit_code_of(error: BaseException) -> int | None:
    """The exit code of a command that ends with this error; None for a bug of ours."""
    if isinstance(error, ModuleNotFoundError):
        return None if (error.name or "").startswith("kdjax") else 2
    if type(error).__module__.partition(".")[0] in BUCKET_CLIENTS:
        return 4
    return 4 if isinstance(error, OSError) else getattr(error, "exit_code", None)


def json_text(value: Any, **how: Any) -> str:
    """JSON as its standard has it: a number that is not finite is null.

    >>> json_text({"loss": float("nan"), "top1": 1.5})
    '{"loss": null, "top1": 1.5}'
    """
    return json.dumps(without_nan(value), allow_nan=False, **how)


def without_nan(value: Any) -> Any:
    """The same nested dicts and lists, None for numbers that are not finite."""
    if isinstance(value, Mapping):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def nearest(word: str, names) -> str:
    """Returns " Did you mean x?", or "" where nothing is close; it ends an error."""
    close = difflib.get_close_matches(word, [str(n) for n in names], n=1, cutoff=0.5)
    return f" Did you mean {close[0]}?" if close else ""


def printable(text: str) -> str:
    """A text with nothing in it that a terminal obeys; tabs and line breaks stay.

    Names of runs, classes and files may come from anyone. Control characters, marks
    that turn the direction of text, and bytes that were no UTF-8 are shown as Python
    writes them.

    >>> printable("run \\x1b[2J"), printable("Größe")
    ('run \\\\x1b[2J', 'Größe')
    """
    return _OBEYED.sub(lambda match: ascii(match[0])[1:-1], str(text))


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Dotted key -> value, of nested dicts.

    >>> flat({"seed": 0, "model": {"name": "wrn", "width": 2}})
    {'seed': 0, 'model.name': 'wrn', 'model.width': 2}
    """
    if not isinstance(value, Mapping) or not value:
        return {path: value}
    values = {}
    for key, inner in value.items():
        values |= flat(inner, f"{path}.{key}" if path else str(key))
    return values


def shapes(where: str, /, **named) -> dict[str, Any]:
    """Checks arrays against axis patterns and returns {axis name: size}.

    Runs while tracing, so it costs nothing in a compiled program. Arrays are of real
    numbers or truth values; only `batch` and `samples` may be 0.

    Args:
      where: the function that checks; it opens the message of the ValueError.
      **named: argument name -> (array, pattern, pattern, ...). A pattern is axis names
        separated by blanks; "" is a scalar. "*batch" before them stands for any number
        of leading axes, whose size is a tuple; "*#batch" for as many, each of them of
        that size or 1. The first pattern of the array's rank counts.

    >>> logits, tau = np.zeros((8, 5, 10)), np.ones((8, 1))
    >>> shapes("f", logits=(logits, "*batch classes"), tau=(tau, "", "*#batch"))
    {'batch': (8, 5), 'classes': 10}
    """
    bound: dict[str, tuple[Any, str]] = {}
    for name, (array, *patterns) in named.items():
        wanted = " or ".join(f"[{', '.join(p.split())}]" for p in patterns)
        wanted = _LEADING.sub("...", wanted)
        shape = _shape_of_numbers(where, name, array, wanted)
        fits = (_axes(p.split(), shape, bound) for p in patterns)
        if (fit := next((f for f in fits if f is not None), None)) is None:
            if bound and "..." in wanted:
                first = next(iter(named))
                wanted += f" beside {first} of shape {np.shape(named[first][0])}"
            raise ValueError(f"{where}: {name} has shape {shape}; expected {wanted}.")
        for axis, size in fit:
            _bind(where, name, shape, axis, size, bound)
    return {axis: size for axis, (size, _) in bound.items()}


def _axes(pattern: list[str], shape: tuple, bound: dict) -> list[tuple] | None:
    """(axis name, size) of each axis of the pattern; None for another rank."""
    if not pattern or not pattern[0].startswith("*"):
        return [*zip(pattern, shape)] if len(pattern) == len(shape) else None  # noqa: B905
    leading, axis = len(shape) - len(pattern) + 1, pattern[0].lstrip("*#")
    sizes = shape[: max(leading, 0)]
    before = bound[axis][0] if axis in bound else sizes
    if leading < 0 or leading != len(before):
        return None
    if pattern[0].startswith("*#"):
        sizes = tuple(k if n == 1 else n for n, k in zip(sizes, before, strict=True))
    return [(axis, sizes), *zip(pattern[1:], shape[leading:], strict=True)]


def _bind(where: str, name: str, shape: tuple, axis: str, size, bound: dict) -> None:
    first, owner = bound.setdefault(axis, (size, name))
    if isinstance(size, tuple) and len(size) == len(first) == 1:
        size, first = size[0], first[0]
    given = f"{axis}={size} (shape {shape})"
    if size != first:
        other = f"{owner} has {axis}={first}"
        raise ValueError(f"{where}: {name} has {given}, but {other}.")
    if size == 0 and axis not in ("batch", "samples"):
        raise ValueError(f"{where}: {name} has {given}; expected at least one.")


def _shape_of_numbers(where: str, name: str, array, wanted: str) -> tuple[int, ...]:
    dtype = _dtype(array)
    if dtype is None or not (np.dtype(bool) == dtype or _is_real(dtype)):
        unknown = dtype is None or np.dtype(object) == dtype
        what = f"{shown(array) if unknown else f'of {dtype}'}; expected real numbers"
        raise ValueError(f"{where}: {name} is {what} of shape {wanted}.")
    return np.shape(array)


def _dtype(value):
    """The type of the entries; None of what is no array, such as ragged lists."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return value.dtype
    try:
        return np.asarray(value).dtype
    except Exception:  # of whatever class the value is
        return None


def _is_real(dtype) -> bool:
    """Of whole or floating-point numbers, those of accelerators too; not of bools."""
    issubdtype = jax.dtypes.issubdtype
    return issubdtype(dtype, np.integer) or issubdtype(dtype, np.floating)


def shown(value) -> str:
    """A value in a message: what it is, in one short line."""
    if getattr(value, "shape", ()) != ():
        return f"{getattr(value, 'dtype', 'an array')} of shape {value.shape}"
    try:
        text = repr(value)
    except Exception as error:  # a number of 5,000 digits, or a class of the user's
        return f"{type(value).__name__}: it cannot be shown ({error})"
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= 200 else f"{text[:180]}..."


def is_traced(value) -> bool:
    """True inside jit, grad or vmap, where a value cannot be looked at."""
    return isinstance(value, jax.core.Tracer)


def positive(where: str, name: str, value, infinity: bool = False) -> None:
    """`all_positive` for one number; rules clip what they compute inside jit."""
    all_positive(where, name, value, infinity)
    if np.shape(value) != ():
        raise ValueError(f"{where}: {name} is {shown(value)}; expected one number.")


def all_positive(where: str, name: str, value, infinity: bool = False) -> None:
    """Raises ValueError unless all are > 0 and, unless allowed, finite; or traced."""
    if is_traced(value):
        return
    limit = "or infinity" if infinity else "and finite"
    expected = f"expected a number above 0 {limit}"
    host = _real(where, name, value, expected)
    bad = ~(host > 0) if infinity else ~((host > 0) & np.isfinite(host))
    if bad.any():
        raise ValueError(f"{where}: {name} is {host[bad].flat[0]:g}; {expected}.")


def fraction(where: str, name: str, value) -> None:
    """Raises ValueError unless `value` is one number in [0, 1]. Traced ones pass."""
    number(where, name, value, 0.0, 1.0)


def not_negative(where: str, name: str, value) -> None:
    """Raises ValueError unless `value` is a finite number >= 0. Traced ones pass."""
    number(where, name, value, 0.0)


def number(
    where: str, name: str, value, low: float = -np.inf, high: float = np.inf
) -> None:
    """Raises ValueError unless `value` is one finite number in those limits."""
    ends = f"from {low:g} to {high:g}" if high < np.inf else f">= {low:g}"
    expected = f"expected a {'number ' + ends if low > -np.inf else 'finite number'}"
    if not is_traced(value):
        host = _real(where, name, value, expected)
        if not host.ndim and not (low <= host <= high and np.isfinite(host)):
            raise ValueError(f"{where}: {name} is {host:g}; {expected}.")
    if np.shape(value) != ():
        raise ValueError(f"{where}: {name} is {shown(value)}; {expected}.")


def whole(where: str, name: str, value, low: int, high: int = 2**31 - 1) -> None:
    """Raises ValueError unless `value` is a whole number from `low` to `high`."""
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or not low <= value <= high:
        wanted = f"a whole number from {low} on"
        if high < 2**31 - 1:
            wanted = f"{low} to {high}, a whole number"
        raise ValueError(f"{where}: {name} is {shown(value)}; expected {wanted}.")


def _real(where: str, name: str, value, expected: str) -> np.ndarray:
    """The value in float64; ValueError unless it is of real numbers."""
    dtype = _dtype(value)
    if dtype is None or not _is_real(dtype):
        raise ValueError(f"{where}: {name} is {shown(value)}; {expected}.")
    return np.asarray(value).astype(np.float64)


def integers(where: str, /, **named) -> None:
    """Raises TypeError unless all arrays, traced ones too, are of whole numbers."""
    for name, array in named.items():
        dtype = _dtype(array)
        if dtype is None or not jax.dtypes.issubdtype(dtype, np.integer):
            what = f"is {shown(array)}" if dtype is None else f"has dtype {dtype}"
            raise TypeError(f"{where}: {name} {what}; expected integers.")


def flag(where: str, name: str, value) -> None:
    """Raises ValueError unless `value` is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{where}: {name} is {shown(value)}; expected True or False.")


def labels_in_range(where: str, labels, classes: int) -> None:
    """Raises ValueError at the first label outside 0..classes-1. Traced labels pass.

    As NumPy indexes, -1 would train as the last class. TypeError unless of integers.
    """
    in_range(where, "labels", labels, classes)


def in_range(where: str, name: str, array, size: int) -> None:
    """The same of any integers that point into `size` rows."""
    integers(where, **{name: array})
    if is_traced(array):
        return
    host = np.asarray(array)
    bad = np.flatnonzero((host < 0) | (host >= size))
    if bad.size:
        at = ", ".join(map(str, np.unravel_index(bad[0], host.shape)))
        raise ValueError(
            f"{where}: {name}[{at}] is {host.flat[bad[0]]}; expected 0 to {size - 1} "
            f"({bad.size} of {host.size} {name} are out of range)."
        )
