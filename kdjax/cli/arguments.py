"""Reads `--config=FILE[:ARG]` and `--config.a.b=value` into a ConfigDict.

A config file is Python and runs as such: treat it like code, from people you trust.
Overrides are data: they are parsed as literals, never evaluated.
"""

import argparse
import ast
import contextlib
import importlib.util
import inspect
import sys
import traceback
from typing import Any

from ml_collections import ConfigDict

from kdjax import paths
from kdjax.contracts import InputError, nearest
from kdjax.distributed import runtime

OVERRIDE = "--config."


def add_config(parser: argparse.ArgumentParser) -> None:
    """The options of every command that reads a config."""
    parser.add_argument("--config", required=True, help="Python file with get_config")
    parser.add_argument("--data_dir", help="TFDS data; default $TFDS_DATA_DIR")
    parser.add_argument("--devices", type=int, help="of each process, on CPUs only")
    runtime.add_flags(parser)


def parse(parser: argparse.ArgumentParser, argv: list[str]):
    """Parses argv, overrides included: (options, config)."""
    rest, overrides = split_overrides(argv)
    options = parser.parse_args(rest)
    config = load_config(options.config, overrides)
    if options.data_dir:
        data_dir = str(paths.local(options.data_dir, "--data_dir").resolve())
        set_override(config, "data.data_dir", data_dir)
    return options, config


def split_overrides(
    argv: list[str], prefix: str = OVERRIDE
) -> tuple[list[str], list[str]]:
    """Parts argv into (rest, "a.b=value" overrides); takes "--config.a.b value" too.

    Raises:
      InputError: an override without a value.
    """
    rest, overrides = [], []
    words = iter(argv)
    for word in words:
        if not word.startswith(prefix):
            rest.append(word)
            continue
        if "=" not in word:
            value = next(words, None)
            if value is None or value.startswith("--"):
                raise InputError(f"{word} has no value; expected {word}=VALUE.")
            word = f"{word}={value}"
        overrides.append(word.removeprefix(prefix))
    return rest, overrides


def load_config(spec: str, overrides: list[str]) -> ConfigDict:
    """Runs `get_config(ARG)` of the file and applies the overrides, in order.

    Raises:
      InputError: no such file, no get_config, or an override that does not fit.
    """
    name, module, argument = _load_module(spec)
    with _running(name, "get_config(arg='') -> ConfigDict"):
        config = module.get_config(argument)
    if not isinstance(config, ConfigDict):
        raise InputError(
            f"--config: get_config of {name} returned {type(config).__name__}; "
            "expected a ConfigDict, such as kdjax.experiment.defaults.base() with changes."
        )
    for override in overrides:
        key, _, text = override.partition("=")
        set_override(config, key, text)
    return config


def load_grid(spec: str) -> Any:
    """What `get_grid(ARG)` of the file returns; {} where it has none.

    Raises:
      InputError: no such file, or get_grid fails.
    """
    name, module, argument = _load_module(spec)
    with _running(name, "get_grid(arg='') -> {dotted key: values}"):
        return module.get_grid(argument) if hasattr(module, "get_grid") else {}


def _load_module(spec: str) -> tuple[str, Any, str]:
    """Runs a config file: (its name, the module, ARG)."""
    name, _, argument = spec.partition(":")
    path = paths.local(name, "--config").resolve()
    if not path.is_file():
        raise InputError(f"--config: there is no file {name}; expected a Python file.")
    for parent in path.parents:
        # Configs share defaults by `from configs import ...`, wherever we are.
        if parent.name == "configs" and str(parent.parent) not in sys.path:
            sys.path.insert(0, str(parent.parent))
    module_spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    module = importlib.util.module_from_spec(module_spec)
    with _running(name, "get_config(arg='') -> ConfigDict"):
        module_spec.loader.exec_module(module)
    return name, module, argument


@contextlib.contextmanager
def _running(name: str, expected: str):
    """Tells where in a config file something failed."""
    try:
        yield
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"--config: {name} failed at {line.filename}:{line.lineno}: "
            f"{type(error).__name__}: {error}. Expected a function {expected}."
        ) from error


def set_override(config: ConfigDict, key: str, text: str) -> None:
    """Sets one dotted key to a value of the type that is there.

    Sections with a `name` (model, method, optimizer, schedule) and students take new
    keys too; `build` checks them. A new `name` drops the keys that its builder does not
    take.
    """
    *sections, last = key.split(".")
    place, path = config, "config"
    for section in sections:
        place = _existing(place, section, path)
        path = f"{path}.{section}"
        if not isinstance(place, ConfigDict):
            raise InputError(f"{path} is a value, not a section: {key} goes too deep.")
    is_open = "name" in place or sections[:1] in (["students"], ["stages"], ["select"])
    if last not in place and is_open:
        value = _literal(text)
    else:
        value = _convert(_existing(place, last, path), text, f"config.{key}")
    with place.unlocked(), place.ignore_type():
        place[last] = ConfigDict(value) if isinstance(value, dict) else value
        if last == "name":
            for foreign in _foreign_keys(sections[-1:], place):
                del place[foreign]


def _foreign_keys(section: list[str], place: ConfigDict) -> list[str]:
    """Keys that the builder called `place.name` does not take."""
    from kdjax.data.noise import NOISES
    from kdjax.experiment.selection import SELECTIONS
    from kdjax.methods import METHODS
    from kdjax.models import MODELS
    from kdjax.training.optimizers import OPTIMIZERS, SCHEDULES

    tables = {
        "model": MODELS,
        "method": METHODS,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
        "noise": NOISES,
        "selection": SELECTIONS,
    }
    entry = tables.get(section[0], {}).get(place.name) if section else None
    if section == ["model"] and ":" in str(place.name):
        return [key for key in place if key != "name"]  # somebody's own network
    if entry is None:  # unknown: `build` says so
        return []
    build = entry if callable(entry) else entry.build
    takes = inspect.signature(build).parameters
    return [key for key in place if key != "name" and key not in takes]


def _existing(place: ConfigDict, key: str, path: str) -> Any:
    if key not in place:
        known = sorted(place.keys())
        raise InputError(
            f"{path}.{key} does not exist; {path} has {', '.join(known) or 'no keys'}."
            + nearest(key, known)
        )
    return place[key]


def _literal(text: str) -> Any:
    if text.strip().lower() in ("true", "false"):
        return text.strip().lower() == "true"
    try:
        tree = _Infinities().visit(ast.parse(text.strip(), mode="eval"))
        return ast.literal_eval(ast.fix_missing_locations(tree))
    except (ValueError, SyntaxError):
        return text


class _Infinities(ast.NodeTransformer):
    """Lets literals hold inf and nan, which Python writes as names."""

    def visit_Name(self, node):
        known = node.id.lower() in ("inf", "infinity", "nan")
        return ast.Constant(float(node.id)) if known else node


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
        section = isinstance(old, ConfigDict)
        expected = "section, such as {'name': ...}" if section else type(old).__name__
        raise InputError(f"{where} is {text!r}; expected {expected}.")
    return float(value) if isinstance(old, float) else value
