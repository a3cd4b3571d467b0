"""The method of a section, and the rules of another one that are attached to it."""

import dataclasses
import inspect
from collections.abc import Mapping

from kdjax.contracts import InputError
from kdjax.experiment.builders import call_named, guarded, named
from kdjax.experiment.fields import Limits, check_value
from kdjax.methods import METHODS
from kdjax.methods.base import Method

STANDARDISE = "standardise"  # rules that are no method
RATE = "connector_rate"  # of the student's learning rate, for what the method trains


def split_supervisor(path: str, section: Mapping) -> tuple[dict, dict, float]:
    """(a method's own arguments, the rules attached to it or {}, their weight).

    Raises:
      InputError: a supervisor that is no section of a method.
    """
    own = {k: v for k, v in section.items() if k not in ("supervisor", RATE)}
    rules = section.get("supervisor") or {}
    where = f"{path}.supervisor"
    if rules and (not isinstance(rules, Mapping) or "name" not in rules):
        raise InputError(
            f"{where} is {rules!r}; expected a section, such as {{'name': 'ka_ps', "
            "'temperature': 4.0}."
        )
    rules, weight = dict(rules), 1.0
    if rules.get("name") == STANDARDISE and len(rules) > 1:
        raise InputError(f"{where}: {STANDARDISE} has no other keys.")
    if "weight" in rules and not _takes(where, rules, "weight"):
        weight = rules.pop("weight")
        check_value(f"{where}.weight", float, weight, Limits(low=0))
    return own, rules, weight


def build_method(path: str, section: Mapping, **facts) -> Method:
    """The method of a section, under the rules of its `supervisor` where it has one."""
    own, rules, weight = split_supervisor(path, section)
    method, where = call_named(path, METHODS, own, **facts), f"{path}.supervisor"
    if RATE in section:
        method = _with_rate(path, method, section[RATE])
    if not rules:
        return method
    from kdjax.methods import attach  # few trainings attach one

    if rules["name"] == STANDARDISE:
        return guarded(where, attach.standardised, method)
    shared = attach.shared_arguments(method)
    shared = {key: shared[key] for key in shared if _takes(where, rules, key)}
    attached = build_method(where, shared | rules, **facts)
    return guarded(where, attach.attach, method, attached, weight)


def _with_rate(path: str, method: Method, rate: float) -> Method:
    """The method whose connectors train at so many times their own rate."""
    check_value(f"{path}.{RATE}", float, rate, Limits(low=0, above=True))
    if not method.connectors:
        raise InputError(
            f"{path}.{RATE} is {rate:g}, and this method has no connectors; expected "
            "it left out."
        )
    connectors = {
        name: one._replace(rate=one.rate * rate)
        for name, one in method.connectors.items()
    }
    return dataclasses.replace(method, connectors=connectors)


def _takes(path: str, section: Mapping, argument: str) -> bool:
    build = named(path, METHODS, section)
    return argument in inspect.signature(build).parameters


def is_checked(method: Method) -> bool:
    """Whether `shapes.check_shapes` can say anything of a method.

    It cannot where a step computes more than the outputs on a batch: a mixture, a
    second view or gradients of images.
    """
    others = method.mixture or method.second_view or "image_gradients" in method.needs
    compares = method.teacher_features or "teacher_variables" in method.needs
    return bool(compares and not others)
