"""What the functions take: one list of settings, and errors that name arguments."""

import ast
import contextlib
import functools
import inspect
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Required, TypedDict, get_type_hints

from kdjax.contracts import exit_code_of, nearest
from kdjax.experiment import aliases, schema
from kdjax.user_code import named

KD = {"name": "kd", "alpha": 0.9, "temperature": 4.0}


class Settings(TypedDict, total=False):
    """Of `train`, `distill` and `sweep`, beside networks, data and workdir."""

    epochs: Required[float]
    method: str | Mapping[str, Any]
    batch_size: int | None
    learning_rate: float | None
    seed: int
    data_dir: str | pathlib.Path
    config: Mapping[str, Any] | None


DEFAULTS = {"method": KD, "batch_size": None, "learning_rate": None, "seed": 0}
DEFAULTS |= {"data_dir": "", "config": None}
# Key of the config -> arguments that have its value, the first that a function takes.
ARGUMENTS = {"model.name": "network student", "teacher.workdir": "teacher"}
ARGUMENTS |= {"data.name": "data", "data.data_dir": "data_dir", "method.name": "method"}
ARGUMENTS |= {"schedule.learning_rate": "learning_rate", "total_epochs": "epochs"}
ARGUMENTS |= {"batch_size": "batch_size"}
# Options of commands that a message may name, and functions here take.
TAKEN = "workdir epochs seed data_dir split data student checkpoint weights network "
TAKEN += "feed short_side subset allow retry_failed students_per_program"
_OPTION = re.compile(r"(?<![\w-])--([a-z]\w*(?:\.\w+)*)(=\S*?(?=[,;:.)]*(?:\s|$)))?")
_COMMAND = re.compile(r"`[^`]*`|python -m kdjax .*?(?=\.\s|\.?$|\n)", re.MULTILINE)


def with_settings(**defaults: Any) -> Callable:
    """Lists `Settings` in the signature of a function that takes them as **settings.

    Calls get all of them. `defaults` are those that are others than `DEFAULTS`.
    """

    def decorate(function: Callable) -> Callable:
        own, given = inspect.signature(function), DEFAULTS | defaults
        *parameters, _ = own.parameters.values()
        for name, kind in get_type_hints(Settings).items():
            default = given.get(name, inspect.Parameter.empty)
            how = {"default": default, "annotation": kind}
            parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, **how)
            parameters.append(parameter)
        parameters.sort(key=_is_optional)
        signature = own.replace(parameters=parameters)

        @functools.wraps(function)
        def call(*args, **keywords):
            try:
                bound = signature.bind(*args, **keywords)
            except TypeError as error:
                unknown = next(
                    (k for k in keywords if k not in signature.parameters), ""
                )
                text = f"{error}."
                if unknown:
                    text = f"got an unexpected keyword argument {unknown!r}."
                    text += _meant(unknown, signature.parameters)
                raise TypeError(f"{function.__name__}(): {text}") from None
            bound.apply_defaults()
            return function(*bound.args, **bound.kwargs)

        call.__signature__ = signature
        return call

    return decorate


def _meant(unknown: str, parameters: Mapping) -> str:
    """A hint at the argument, or the key of `method` or `config`, that a word means."""
    key = aliases.key_of(unknown, schema.nested())
    if aliases.is_workdir(unknown):
        return " Did you mean workdir?"
    names = [name for name in ARGUMENTS.get(key, "").split() if name in parameters]
    if not key or names:
        return f" Did you mean {names[0]}?" if names else nearest(unknown, parameters)
    if key == "teacher.workdir":
        return " kdjax.distill takes a teacher."
    section, _, argument = key.rpartition(".")
    if section == "method":
        return f' Did you mean method={{"name": ..., "{argument}": ...}}?'
    return f' Did you mean config={{"{key}": ...}}?'


def _is_optional(parameter: inspect.Parameter) -> bool:
    is_keyword = parameter.kind is inspect.Parameter.KEYWORD_ONLY
    return is_keyword and parameter.default is not inspect.Parameter.empty


@contextlib.contextmanager
def errors_of_arguments() -> Iterator[None]:
    """Errors name what a function takes, not the options of a command.

    Those of a user's own code become InputErrors that say where it is.
    """
    try:
        with named():
            yield
    except Exception as error:
        text = error.args[0] if error.args else None
        if isinstance(text, str) and exit_code_of(error) is not None:
            error.args = (as_arguments(text), *error.args[1:])
        raise


def as_arguments(text: str) -> str:
    """A message with arguments in place of options; whole commands stay as they are.

    >>> as_arguments("--workdir: a is full; expected --data=NAME, a new --workdir")
    'workdir: a is full; expected data=NAME, a new workdir'
    >>> as_arguments("give --config.data.padding=0: python -m kdjax train --seed=1")
    'give config={"data.padding": 0}: python -m kdjax train --seed=1'
    >>> as_arguments("another run, --config.initial.workdir=runs/a, and more")
    'another run, config={"initial.workdir": "runs/a"}, and more'
    >>> as_arguments("saved. The same command goes on from there.")
    'saved. The same call goes on from there.'
    """
    text = re.sub(r"\b([Tt]he same) command\b", r"\1 call", text)
    parts, start = [], 0
    for command in _COMMAND.finditer(text):
        parts += [_OPTION.sub(_as_argument, text[start : command.start()]), command[0]]
        start = command.end()
    return "".join([*parts, _OPTION.sub(_as_argument, text[start:])])


def _as_argument(option: re.Match) -> str:
    name, value = option[1], (option[2] or "")
    if name == "allow_code" and value:
        return f'config={{"allow_code": ("{value[1:]}",)}}'
    if name in TAKEN.split():
        return f"{name}{value}"
    if not name.startswith("config."):
        return option[0]  # of a command alone
    key = name.removeprefix("config.")
    return f'config={{"{key}": {_literal(value[1:])}}}' if value else f'config["{key}"]'


def _literal(text: str) -> str:
    """A value of the command line as Python writes it."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return f'"{text}"'
    return text
