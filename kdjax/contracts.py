"""Checks of arguments. Errors say where, what came and what was expected."""

import contextlib
import difflib
import json
import math
import numbers
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import jax
import numpy as np

import kdjax


class InputError(ValueError):
    """What the user gave cannot work. Commands print the message and exit with 2."""

    exit_code = 2


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


def shapes(where: str, **named) -> dict[str, int]:
    """Checks arrays against axis patterns and returns {axis name: size}.

    Runs while tracing, so it costs nothing in a compiled program.

    Args:
      where: the function that checks; it opens the message of the ValueError.
      **named: argument name -> (array, pattern, pattern, ...). A pattern is axis names
        separated by blanks; "" is a scalar. The first one of the array's rank counts.

    >>> import numpy as np
    >>> logits = np.zeros((8, 10))
    >>> shapes("f", logits=(logits, "batch classes"), temperature=(4.0, "", "batch"))
    {'batch': 8, 'classes': 10}
    """
    bound: dict[str, tuple[int, str]] = {}
    for name, (array, *patterns) in named.items():
        shape = np.shape(array)
        fits = [p.split() for p in patterns if len(p.split()) == len(shape)]
        if not fits:
            wanted = " or ".join(f"[{', '.join(p.split())}]" for p in patterns)
            raise ValueError(f"{where}: {name} has shape {shape}; expected {wanted}.")
        for axis, size in zip(fits[0], shape, strict=True):
            first, owner = bound.setdefault(axis, (size, name))
            if size != first:
                raise ValueError(
                    f"{where}: {name} has {axis}={size} (shape {shape}), but "
                    f"{owner} has {axis}={first}."
                )
    return {axis: size for axis, (size, _) in bound.items()}


def is_traced(value) -> bool:
    """True inside jit, grad or vmap, where a value cannot be looked at."""
    return isinstance(value, jax.core.Tracer)


def positive(where: str, name: str, value, infinity: bool = False) -> None:
    """Raises ValueError unless all of `value` is > 0 and, unless allowed, finite.

    Traced values pass: what a rule computes inside jit is clipped by the rule.
    """
    if is_traced(value):
        return
    host = np.asarray(value, np.float64)
    bad = ~(host > 0) if infinity else ~((host > 0) & np.isfinite(host))
    if bad.any():
        limit = "or infinity" if infinity else "and finite"
        raise ValueError(
            f"{where}: {name} is {host[bad].flat[0]:g}; "
            f"expected a number above 0 {limit}."
        )


def fraction(where: str, name: str, value) -> None:
    """Raises ValueError unless `value` is one number in [0, 1]."""
    if is_traced(value):
        return
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not 0 <= value <= 1:
        text = f"{value:g}" if real else repr(value)
        raise ValueError(f"{where}: {name} is {text}; expected a number from 0 to 1.")


def not_negative(where: str, name: str, value) -> None:
    """Raises ValueError unless `value` is a finite number >= 0."""
    if not 0 <= value < float("inf"):
        raise ValueError(f"{where}: {name} is {value!r}; expected a number >= 0.")


def labels_in_range(where: str, labels, classes: int) -> None:
    """Raises ValueError at the first label outside 0..classes-1. Traced labels pass.

    Indexed as NumPy indexes, label -1 would train as the last class.
    """
    if is_traced(labels):
        return
    host = np.asarray(labels)
    bad = np.flatnonzero((host < 0) | (host >= classes))
    if bad.size:
        raise ValueError(
            f"{where}: labels[{bad[0]}] is {host[bad[0]]}; expected 0 to {classes - 1} "
            f"({bad.size} of {host.size} labels are out of range)."
        )
