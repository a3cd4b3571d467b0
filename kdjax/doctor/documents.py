"""JSON that lies in users' directories: read whole, or refused with a sentence."""

import json
import math
import pathlib
from typing import Any

from kdjax.contracts import InputError, flat


def read_object(path: pathlib.Path) -> dict:
    """The object in a JSON file; InputError where it holds none."""
    try:
        text = path.read_bytes().decode()
        if not text.strip():
            raise InputError("is empty")
        record = json.loads(text)
    except UnicodeDecodeError as error:
        raise InputError(f"is not text: {error}") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"is cut or damaged: {error}") from error
    if not isinstance(record, dict):
        raise InputError(f"holds a {type(record).__name__}, not an object")
    return record


def not_finite(record: Any) -> list[str]:
    """The dotted keys of numbers that are NaN, infinite or missing (null).

    >>> not_finite({"a": {"loss": float("nan"), "top1": 1.0}, "b": None})
    ['a.loss', 'b']
    """
    return [
        key
        for key, value in flat(record).items()
        if value is None or (isinstance(value, float) and not math.isfinite(value))
    ]


def different(old: Any, new: Any) -> list[str]:
    """A clause for each dotted key that two documents have different values of."""
    old, new = flat(old), flat(new)
    return [
        f"{key} is {str(old.get(key))[:60]} and {str(new.get(key))[:60]}"
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    ]
