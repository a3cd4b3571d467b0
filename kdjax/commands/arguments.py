"""Reads `--config=FILE[:ARG]` and `--config.a.b=value` into a ConfigDict.

A config file is Python and runs as such: treat it like code, from people you trust.
Overrides are data: they are parsed as literals, never evaluated.
"""

import ast
import importlib.util
import pathlib
import sys
from typing import Any

from ml_collections import ConfigDict

from kdjax.contracts import InputError, nearest

OVERRIDE = "--config."


def split_overrides(argv: list[str]) -> tuple[list[str], list[str]]:
    """Parts argv into (rest, "a.b=value" overrides); takes "--config.a.b value" too.

    Raises:
      InputError: an override without a value.
    """
    rest, overrides = [], []
    words = iter(argv)
    for word in words:
        if not word.startswith(OVERRIDE):
            rest.append(word)
            continue
        if "=" not in word:
            value = next(words, None)
            if value is None or value.startswith("--"):
                raise InputError(f"{word} has no value; expected {word}=VALUE.")
            word = f"{word}={value}"
        overrides.append(word.removeprefix(OVERRIDE))
    return rest, overrides


def load_config(spec: str, overrides: list[str]) -> ConfigDict:
    """Runs `get_config(ARG)` of the file and applies the overrides, in order.

    Raises:
      InputError: no such file, no get_config, or an override that does not fit.
    """
    name, _, argument = spec.partition(":")
    path = pathlib.Path(name).expanduser().resolve()
    if not path.is_file():
        raise InputError(f"--config: there is no file {name}; expected a Python file.")
    for parent in path.parents:
        # Configs share defaults by `from configs import ...`, wherever we are.
        if parent.name == "configs" and str(parent.parent) not in sys.path:
            sys.path.append(str(parent.parent))
    module_spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise InputError(f"--config: {name} has no function get_config(arg='').")
    config = module.get_config(argument)
    for override in overrides:
        key, _, text = override.partition("=")
        set_override(config, key, text)
    return config


def set_override(config: ConfigDict, key: str, text: str) -> None:
    """Sets one dotted key to a value of the type that is there.

    Sections with a `name` (model, method, optimizer, schedule) take new keys too: they
    are the builder's keyword arguments, which `build` checks against its signature.
    """
    *sections, last = key.split(".")
    place, path = config, "config"
    for section in sections:
        place = _existing(place, section, path)
        path = f"{path}.{section}"
        if not isinstance(place, ConfigDict):
            raise InputError(f"{path} is a value, not a section: {key} goes too deep.")
    where = f"config.{key}"
    if last not in place and "name" in place:
        with place.unlocked():
            place[last] = _literal(text)
        return
    old = _existing(place, last, path)
    value = _convert(old, text, where)
    with place.unlocked(), place.ignore_type():
        place[last] = ConfigDict(value) if isinstance(value, dict) else value


def _existing(place: ConfigDict, key: str, path: str) -> Any:
    if key not in place:
        known = sorted(place.keys())
        raise InputError(
            f"{path}.{key} does not exist; {path} has {', '.join(known) or 'no keys'}."
            + nearest(key, known)
        )
    return place[key]


def _literal(text: str) -> Any:
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if lowered in ("inf", "nan", "-inf", "infinity"):
        return float(lowered)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _convert(old: Any, text: str, where: str) -> Any:
    """Parses `text` as the type of `old`."""
    if isinstance(old, str):
        return text
    value = _literal(text)
    if isinstance(old, tuple | list):
        value = tuple(value) if isinstance(value, tuple | list) else (value,)
        return value
    fits = {
        bool: isinstance(value, bool),
        int: isinstance(value, int) and not isinstance(value, bool),
        float: isinstance(value, int | float) and not isinstance(value, bool),
        ConfigDict: isinstance(value, dict),
        type(None): True,
    }.get(type(old), True)
    if not fits:
        expected = "section" if isinstance(old, ConfigDict) else type(old).__name__
        raise InputError(f"{where} is {text!r}; expected a {expected}, such as {old}.")
    return float(value) if isinstance(old, float) else value
