"""Config files and `--config.a.b=value`, which give a ConfigDict.

A config file is Python and runs as such: treat it like code, from people you trust.
Overrides are data: they are parsed as literals, never evaluated.
"""

import ast
import contextlib
import importlib.util
import inspect
import pkgutil
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from kdjax import paths
from kdjax.contracts import InputError, nearest, shown
from kdjax.experiment import schema

OVERRIDE = "--config."
# Of any method or optimizer, whatever its builder takes.
ATTACHED = ("supervisor", "connector_rate", "head_rate")
_LONGEST_KEY = 1000  # letters
TABLES = {  # of builders, by section; imported where a name in it is changed
    "model": "kdjax.models:MODELS",
    "method": "kdjax.methods:METHODS",
    "optimizer": "kdjax.training.optimizers:OPTIMIZERS",
    "schedule": "kdjax.training.schedules:SCHEDULES",
    "noise": "kdjax.data.noise:NOISES",
    "selection": "kdjax.experiment.selection:SELECTIONS",
    "supervisor": "kdjax.methods:METHODS",
}


class ArgumentError(InputError):
    """A config file takes no such ARG."""


def split_overrides(
    argv: list[str], prefix: str = OVERRIDE
) -> tuple[list[str], list[str]]:
    """Splits argv into (rest, overrides "a.b=value"), of "--config.a.b value" too."""
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
    """Runs `get_config(ARG)` of FILE[:ARG] and applies the overrides, in order."""
    name, module, argument = _load_module(spec)
    with _running(name, "get_config(arg='') -> ConfigDict"):
        config = _called(module.get_config, argument)
    if not isinstance(config, ConfigDict):
        raise InputError(
            f"--config: get_config of {name} returned {type(config).__name__}; "
            "expected a ConfigDict: kdjax.experiment.schema.base() with changes."
        )
    for override in overrides:
        key, _, text = override.partition("=")
        set_override(config, key, text)
    schema.check_keys(schema.plain(config))
    return config


def check_argument(argument: str, *words: str) -> None:
    """Refuses an ARG of --config=FILE:ARG that is none of these; "" is the default.

    For config files, where an `else` would train another thing than was meant.
    """
    if argument not in ("", *words):
        expected = " or ".join(map(repr, words)) or "none: the file takes no ARG"
        raise ArgumentError(
            f"ARG is {argument!r}; expected {expected}.{nearest(argument, words)}"
        )


def _called(get_config: Callable, argument: str) -> Any:
    """What it returns; one without a parameter takes no ARG."""
    if inspect.signature(get_config).parameters:
        return get_config(argument)
    check_argument(argument)
    return get_config()


def describe_config(spec: str) -> str:
    """The docstring of FILE[:ARG], and what its `get_help(ARG)` adds, if it has one."""
    name, module, argument = _load_module(spec)
    text = (module.__doc__ or "").strip()
    if hasattr(module, "get_help"):
        with _running(name, "get_help(arg='') -> text"):
            text += f"\n\n{module.get_help(argument)}"
    return f"{spec}: {text}"


def load_grid(spec: str) -> Any:
    """What `get_grid(ARG)` of FILE[:ARG] returns; {} where it has none."""
    name, module, argument = _load_module(spec)
    with _running(name, "get_grid(arg='') -> {dotted key: values}"):
        return module.get_grid(argument) if hasattr(module, "get_grid") else {}


def _load_module(spec: str) -> tuple[str, Any, str]:
    """Runs a config file: (its name, the module, ARG)."""
    # Folders may have colons, and so may ARG.
    names = [spec[: match.end()] for match in re.finditer(r"\.py(?=:|$)", spec)]
    files = {name: paths.local(name, "--config") for name in names or [spec]}
    name = next((name for name in names if files[name].is_file()), None)
    if name is None:
        raise InputError(
            f"--config: there is no file {next(iter(files))}; expected a Python file."
            + paths.nearest(next(iter(files.values())))
        )
    path = files[name].resolve()
    for parent in path.parents:
        # Configs share defaults by `from configs import ...`, wherever we are.
        if parent.name == "configs" and str(parent.parent) not in sys.path:
            sys.path.insert(0, str(parent.parent))
    module_spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    module = importlib.util.module_from_spec(module_spec)
    with _running(name, "get_config(arg='') -> ConfigDict"):
        module_spec.loader.exec_module(module)
    return name, module, spec[len(name) + 1 :]


@contextlib.contextmanager
def _running(name: str, expected: str):
    """Says where in a config file something failed."""
    try:
        yield
    except ArgumentError as error:
        raise InputError(f"--config: {name}:ARG: {error}") from error
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"--config: {name} failed at {line.filename}:{line.lineno}: "
            f"{type(error).__name__}: {error}. Expected a function {expected}."
        ) from error


def set_override(config: ConfigDict, key: str, text: str) -> None:
    """Sets one dotted key to a value of the type that it has.

    Students and sections with a `name` (model, method, selection, optimizer, schedule,
    noise) take new keys too; `build` checks them. A new `name` drops the keys that its
    builder does not take.
    """
    if len(key) > _LONGEST_KEY:
        raise InputError(
            f"--config.{key[:40]}... has {len(key):,} letters; expected a key of the "
            "config."
        )
    *sections, last = key.split(".")
    section, path = config, "config"
    for name in sections:
        if name == "supervisor" and "name" in section and name not in section:
            section.supervisor = ConfigDict({"name": ""})  # of a method, which few have
        section = _existing(section, name, path)
        path = f"{path}.{name}"
        if not isinstance(section, ConfigDict):
            raise InputError(f"{path} is a value, not a section: {key} goes too deep.")
    is_open = "name" in section or (sections and sections[0] in schema.OPEN)
    if is_open and last and last not in section:
        value = _literal(text)
    else:
        value = _convert(_existing(section, last, path), text, f"config.{key}")
    with section.unlocked(), section.ignore_type():
        try:
            section[last] = ConfigDict(value) if isinstance(value, dict) else value
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"config.{key} is {shown(text)}, which no config holds: {error}. "
                "Expected keys without dots."
            ) from error
        if last == "name":
            for foreign in _foreign_keys(sections[-1:], section):
                del section[foreign]


def _foreign_keys(names: list[str], section: ConfigDict) -> list[str]:
    """Keys that the builder called `section.name` does not take."""
    kept = ("name", *ATTACHED)
    if names in (["model"], ["optimizer"]) and ":" in str(section.name):
        return [key for key in section if key not in kept]  # a function of the user's
    if not names or names[0] not in TABLES:
        return []
    table = pkgutil.resolve_name(TABLES[names[0]])
    if section.name not in table:  # the checks say so
        return []
    entry = table[section.name]
    takes = inspect.signature(getattr(entry, "build", entry)).parameters
    return [key for key in section if key not in kept and key not in takes]


def _existing(section: ConfigDict, key: str, path: str) -> Any:
    if key not in section:
        keys = sorted(section.keys())
        from kdjax.experiment import aliases  # no training needs it

        raise InputError(
            f"{path}.{key} does not exist; {path} has {', '.join(keys) or 'no keys'}."
            + aliases.nearest_key(path, key, section)
        )
    return section[key]


def _literal(text: str) -> Any:
    """The value that a text writes down; the text itself where it writes none."""
    if text.strip().lower() in ("true", "false"):
        return text.strip().lower() == "true"
    try:
        tree = _Infinities().visit(ast.parse(text.strip(), mode="eval"))
        value = ast.literal_eval(ast.fix_missing_locations(tree))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return text
    return value if _is_json(value) else text


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(value[key]) for key in value)
    if isinstance(value, tuple | list):
        return all(map(_is_json, value))
    if isinstance(value, int):
        return abs(value) < 2**63
    return value is None or isinstance(value, float | str)


class _Infinities(ast.NodeTransformer):
    """Lets literals hold inf and nan, which Python writes as names."""

    def visit_Name(self, node):
        is_number = node.id.lower() in ("inf", "infinity", "nan")
        return ast.Constant(float(node.id)) if is_number else node


def _convert(old: Any, text: str, where: str) -> Any:
    """Parses `text` as the type of `old`."""
    if isinstance(old, str):
        return text
    value = _literal(text)
    if isinstance(old, tuple | list):
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        return tuple(value) if isinstance(value, tuple | list) else (value,)
    takes = {bool: bool, int: int, float: int | float, ConfigDict: dict}
    fits = isinstance(value, takes.get(type(old), object))
    if not fits or (isinstance(value, bool) and type(old) in (int, float)):
        from kdjax.experiment import aliases  # no training needs it

        kind = aliases.described(where, old)
        raise InputError(f"{where} is {shown(text)}; expected {kind}.")
    return float(value) if isinstance(old, float) else value
