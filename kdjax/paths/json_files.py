"""Reads the JSON files that users' directories hold; what came is never trusted.

A file may be cut, flipped, emptied or another one. Whatever it is, `read_json` returns
what was written, or says in one sentence which file is damaged and what to do.
"""

import hashlib
import json
import pathlib
from typing import Any

from kdjax.contracts import InputError

CHECKSUM = "checksum"  # of the rest of an object, its last key


class DamagedError(InputError):
    """A file holds something else than what was written into it."""


def read_json(path: pathlib.Path, what: str, form: Any = dict, advice: str = "") -> Any:
    """The content of a JSON file, without the checksum that `sealed` gave it.

    `what` names it in errors, and `advice` ends them; `form` is as in `check_form`.
    DamagedError where it holds something else, OSError where it cannot be read now.
    """
    try:
        return parse_json(path.read_bytes(), form)
    except ValueError as error:
        text = f"{path}: {what} is damaged: {error}. {advice}".rstrip()
        raise DamagedError(text) from error


def parse_json(content: bytes, form: Any = object) -> Any:
    """What bytes hold, its checksum compared and left out; ValueError says why not."""
    if not content.strip():
        raise ValueError("it is empty")
    try:
        value = json.loads(content.decode("utf-8-sig"))
        if isinstance(value, dict) and CHECKSUM in value:
            seal = value.pop(CHECKSUM)
            if seal != _digest(value):
                raise ValueError(
                    f"its {CHECKSUM} does not belong to the rest of it (without that "
                    "key it is taken as it is)"
                )
        check_form(value, form)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def sealed(record: dict) -> dict:
    """A record with the checksum that `read_json` compares, as its last key.

    >>> sealed({"step": 2})["checksum"][:8]
    'cf5954a1'
    """
    return record | {CHECKSUM: _digest(json.loads(json.dumps(record)))}


def _digest(record: dict) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def check_form(value: Any, form: Any, key: str = "") -> None:
    """Raises ValueError at the first part of a value that is not of the form.

    A form is a type (float takes whole numbers), None, a tuple of forms, one of which
    has to fit, [form] of lists, {str: form} of objects with any keys, or the keys that
    there have to be, with their forms; those with a question mark may be missing.

    >>> check_form({"a": [1.5]}, {"a": [int]})
    Traceback (most recent call last):
    ValueError: a.0 is 1.5; expected int
    """
    if isinstance(form, dict):
        _check_keys(value, form, key)
    elif isinstance(form, list):
        _check_type(value, list, key)
        for number, inner in enumerate(value):
            check_form(inner, form[0], _joined(key, number))
    elif isinstance(form, tuple):
        for one in form[:-1]:
            try:
                return check_form(value, one, key)
            except ValueError:
                continue
        check_form(value, form[-1], key)
    else:
        _check_type(value, form, key)


def _check_keys(value: Any, form: dict, key: str) -> None:
    _check_type(value, dict, key)
    for name, inner in form.items():
        if name is str:
            for own in value:
                check_form(value[own], inner, _joined(key, own))
            continue
        plain = name.removesuffix("?")
        if plain in value:
            check_form(value[plain], inner, _joined(key, plain))
        elif plain == name:
            raise ValueError(f"{_joined(key, name)} is missing")


def _check_type(value: Any, kind: type | None, key: str) -> None:
    kind = type(None) if kind is None else kind
    kinds = (int, float) if kind is float else kind
    is_flag = isinstance(value, bool) and kind in (int, float)
    if is_flag or not isinstance(value, kinds):
        text = repr(value)
        text = text if len(text) <= 40 else f"{text[:40]}..."
        raise ValueError(f"{key or 'it'} is {text}; expected {kind.__name__}")


def _joined(key: str, inner: Any) -> str:
    return f"{key}.{inner}" if key else str(inner)
