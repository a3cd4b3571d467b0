"""The denominator of a student's objective where its run selects samples.

It is an argument of the methods that are made for selections, such as ds, and the key
`denominator` of the selection for any other method with a teacher. A run goes on with
the one that it began with, also where the default has changed since: its checkpoints
name it, and those of versions that had no choice mean "sets".
"""

import functools
import inspect
import pathlib
from collections.abc import Callable, Mapping

from kdjax.checkpoints import read_identity
from kdjax.contracts import InputError
from kdjax.experiment.builders import named
from kdjax.experiment.fields import check_value
from kdjax.methods import METHODS
from kdjax.methods.denominators import DENOMINATOR, DENOMINATORS

KEY = "denominator"
EARLIER = "sets"  # of versions that had no other


def takes_denominator(build: Callable) -> Callable:
    """Lists the key in the signature of a selection's builder, which does without it.

    What the samples are selected by does not depend on it.
    """
    signature = inspect.signature(build)
    key = inspect.Parameter(
        KEY, inspect.Parameter.KEYWORD_ONLY, default=DENOMINATOR, annotation=str
    )

    @functools.wraps(build)
    def wrapped(**arguments):
        return build(**{k: v for k, v in arguments.items() if k != KEY})

    parameters = [*signature.parameters.values(), key]
    wrapped.__signature__ = signature.replace(parameters=parameters)
    return wrapped


def check(path: str, student: Mapping, needs_teacher: bool = True) -> None:
    """Refuses a selection's key where the student's method does not take it."""
    selection, name = student["selection"], student["method"].get("name")
    if KEY not in selection:
        return
    check_value(f"{path}.selection.{KEY}", str, selection[KEY], choices=DENOMINATORS)
    if _default(path, student["method"]):
        raise InputError(
            f"{path}.selection.{KEY} is for methods without a denominator of their "
            f"own; expected {path}.method.{KEY}, which {name} has."
        )
    if not needs_teacher:
        raise InputError(
            f"{path}.selection.{KEY} is for methods with a teacher; {name} is trained "
            "on the selected samples alone, by their mean."
        )


def stored_in(directory: pathlib.Path) -> dict[str, str]:
    """Student -> denominator of the run whose checkpoints are here; {} of a new one."""
    identity = read_identity(directory)
    students = identity["students"] if identity else {}
    return {name: row.get(KEY, EARLIER) for name, row in students.items()}


def settle(path: str, student: Mapping, stored: str | None) -> tuple[dict, str]:
    """(the method's section, the denominator of its objective).

    What neither section of the student sets is as its run began, if it has, else the
    default.
    """
    method, selection = dict(student["method"]), student["selection"]
    default = _default(path, method)
    if default is None:
        return method, selection.get(KEY, stored or DENOMINATOR)
    method.setdefault(KEY, stored or default)
    return method, method[KEY]


def _default(path: str, method: Mapping) -> str | None:
    """Of the method's own argument; None without one."""
    parameters = inspect.signature(named(f"{path}.method", METHODS, method)).parameters
    return parameters[KEY].default if KEY in parameters else None
