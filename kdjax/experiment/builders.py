"""Sections with a `name` as calls: of a builder, with its keyword arguments.

What a builder does not take, or refuses, is reported under the section's dotted path.
A name "package.module:function" is called only where the user wrote it: what a workdir
says of itself may come from anyone, and must not run.
"""

import contextlib
import contextvars
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kdjax.contracts import InputError, flat, nearest
from kdjax.experiment.fields import ANY, LARGEST_SEED, Limits, check_value, plain
from kdjax.models import PROVIDED
from kdjax.training.optimizers import OPTIMIZERS

# Of what builders take, by the name of the argument; the rest is for them to refuse.
ARGUMENTS = dict.fromkeys(
    "learning_rate learning_rates factor milestones start_epoch warmup_epochs "
    "first_epoch every_epochs gradual_epochs agreement_steps unlabelled_weight".split(),
    Limits(low=0),
)
ARGUMENTS |= dict.fromkeys(("b1", "b2"), Limits(0, 0.999999))
ARGUMENTS |= dict.fromkeys(("power", "div_factor"), Limits(low=0, above=True))
ARGUMENTS |= {"final_fraction": Limits(0, 1), "seed": Limits(0, LARGEST_SEED)}
# Infinity stands for the exact limit of a softened loss, which is logit matching.
INFINITE = ("temperature",)

# Keys of a config that name a function of the user's own.
FUNCTIONS = ("model.name", "optimizer.name", "teacher.network")
ALLOWED = "allow_code"
HEAD_RATE = "head_rate"  # of any optimizer, whatever its builder takes
_allowed: contextvars.ContextVar[frozenset[str]] = contextvars.ContextVar(
    "allowed functions", default=frozenset()
)


@contextlib.contextmanager
def allow_code(*names: str) -> Iterator[None]:
    """While active, functions of these names, "package.module:function", are called.

    A name may be several with commas between.
    """
    given = (one.strip() for name in names for one in name.split(","))
    token = _allowed.set(_allowed.get() | frozenset(filter(None, given)))
    try:
        yield
    finally:
        _allowed.reset(token)


def allows_its_code(function: Callable) -> Callable:
    """Decorates what takes a config first: it may call what that names or allows."""

    @functools.wraps(function)
    def run(config: Mapping, *args, **kwargs):
        with allow_code(*code_of(config)):
            return function(config, *args, **kwargs)

    return run


def code_of(config: Mapping) -> list[str]:
    """What a config, of several stages too, names of the user's own, and allows."""
    return [name for _, name in _code_of(config)]


def check_same_code(config: Mapping, base: Mapping) -> None:
    """Raises InputError where a config names or allows code that its base does not."""
    with allow_code(*code_of(base)):
        for key, names in _code_of(config):
            for name in names.split(","):
                check_code(f"config.{key}", name.strip())


def _code_of(config: Mapping) -> Iterator[tuple[str, str]]:
    """Dotted keys of a config and of its stages, each with a name that may be code."""
    for key, value in flat(plain(config)).items():
        if key.endswith((*FUNCTIONS, ALLOWED)):
            names = value if isinstance(value, list | tuple) else (value,)
            yield from ((key, name) for name in names if isinstance(name, str))


def check_code(path: str, name: Any) -> None:
    """Raises InputError for a function that no config and no option here names."""
    if not isinstance(name, str) or name.startswith(PROVIDED):  # an object, at hand
        return
    if ":" in name and name not in _allowed.get():
        raise UnnamedCodeError(
            f"{path} is {name!r}, a function: what a file names so is called only "
            f"where you name it too. If you know and trust it: --allow_code={name}, "
            f"network={name!r} in Python, or config.allow_code = ({name!r},).",
            name,
        )


class UnnamedCodeError(InputError):
    """A file names a function that the user has not named."""

    def __init__(self, message: str, code: str = ""):
        super().__init__(message)
        self.code = code  # "package.module:function"


def named(path: str, table: Mapping[str, Any], section: Mapping) -> Callable:
    """The builder that `section["name"]` names: an entry of `table`, or its `build`."""
    check_value(f"{path}.name", str, section.get("name"), choices=tuple(table))
    entry = table[section["name"]]
    return entry if callable(entry) else entry.build


def optimizers(path: str, section: Mapping) -> Mapping[str, Callable]:
    """OPTIMIZERS, or a table of the user's own function that a section names."""
    name = section.get("name")
    if isinstance(name, str) and ":" in name:
        check_code(f"{path}.name", name)
        from kdjax.training.own_optimizer import from_function

        return {name: guarded(f"{path}.name", from_function, name)}
    return OPTIMIZERS


def build_optimizer(path: str, section: Mapping, schedule: Callable) -> tuple:
    """(the optimizer of a section, how many times the schedule's rate the head has)."""
    own, rate = split_head_rate(path, section)
    return call_named(path, optimizers(path, own), own, schedule=schedule), rate


def split_head_rate(path: str, section: Mapping) -> tuple[dict, float]:
    """(what the builder of an optimizer is given, head_rate), checked."""
    rate = section.get(HEAD_RATE, 1.0)
    check_value(f"{path}.{HEAD_RATE}", float, rate, Limits(low=0))
    return {key: value for key, value in section.items() if key != HEAD_RATE}, rate


def call_named(path: str, table: Mapping[str, Any], section: dict, **facts: Any) -> Any:
    """Calls the builder that a section names with the section's other keys.

    Of the facts, which the config does not choose, it gets those that it takes.
    """
    build = named(path, table, section)
    takes = inspect.signature(build).parameters
    fixed = {name: fact for name, fact in facts.items() if name in takes}
    arguments = check_arguments(path, build, section, fixed)
    _check_warmup(path, takes, arguments, facts)
    return guarded(path, build, **fixed, **arguments)


def check_arguments(path: str, build: Callable, section: dict, fixed: dict) -> dict:
    """The arguments in a section, compared with the signature before it is called."""
    parameters = inspect.signature(build).parameters
    name = section["name"]
    arguments = {key: value for key, value in section.items() if key != "name"}
    takes = [key for key in parameters if key not in fixed]
    for key, value in arguments.items():
        if key not in takes:
            every = takes + [HEAD_RATE] * (build in OPTIMIZERS.values())
            raise InputError(
                f"{path}.{key} is not a parameter of {name}; it takes "
                f"{', '.join(every) or 'nothing'}." + nearest(key, every)
            )
        if not (key in INFINITE and value == float("inf")):
            limits = ARGUMENTS.get(key, ANY)
            check_value(f"{path}.{key}", parameters[key].annotation, value, limits)
        if isinstance(value, Mapping):  # arguments of what the builder calls itself
            for inner, one in value.items():
                check_value(f"{path}.{key}.{inner}", Any, one)
    for key in takes:
        if parameters[key].default is inspect.Parameter.empty and key not in arguments:
            raise InputError(f"{path}.{key} is missing; {name} needs it.")
    _check_warmup(path, parameters, arguments, fixed)
    return arguments


def _check_warmup(path: str, parameters, arguments: dict, run: Mapping) -> None:
    """A run that ends within a warm-up, its default too, has never its full weight."""
    steps, per_epoch = run.get("total_steps"), run.get("steps_per_epoch")
    default = getattr(parameters.get("warmup_epochs"), "default", 0)
    warmup = arguments.get("warmup_epochs", default)
    if steps and per_epoch and warmup * per_epoch > steps:
        raise InputError(
            f"{path}.warmup_epochs is {warmup:g} and the run has {steps / per_epoch:g} "
            "epochs; expected a warm-up that is no longer than the run: a longer run, "
            f"or --{path}.warmup_epochs=0."
        )


def guarded(path: str, function: Callable, /, *args: Any, **kwargs: Any) -> Any:
    """Calls, and puts the config's path before what the callee complains of.

    An error of a user's own code says where that is.
    """
    try:
        return function(*args, **kwargs)
    except Exception as error:
        from kdjax.user_code import described, is_at_fault

        is_complaint = isinstance(error, ValueError | TypeError | ArithmeticError)
        if is_complaint or is_at_fault(error):
            raise InputError(f"{path}: {described(error)}") from error
        raise
