"""An optimizer that a function of one's own returns, or one of Optax's."""

import inspect
from collections.abc import Callable
from typing import Any

import optax

from kdjax.lazy_import import imported
from kdjax.training.schedules import Schedule


def from_function(name: str) -> Callable[..., optax.GradientTransformation]:
    """A builder of the optimizer that the function "package.module:function" returns.

    The function gets the schedule as `schedule` or, as Optax's do, as `learning_rate`,
    and the builder takes its other parameters by keyword.

    Raises:
      ValueError: there is no such function, or it takes no schedule.
      TypeError: when called, it returned something else.

    >>> build = from_function("optax:lion")
    >>> optimizer = build(schedule=optax.constant_schedule(1e-4), weight_decay=0.1)
    """
    function = imported("optimizer", name)
    parameters = inspect.signature(function).parameters
    takes = [name for name in ("schedule", "learning_rate") if name in parameters]
    if not takes:
        raise ValueError(
            f"optimizer: {name} takes {', '.join(parameters) or 'nothing'}; expected a "
            "parameter `schedule`, or `learning_rate`, for the learning rate by step."
        )

    def build(*, schedule: Schedule, **rest):
        optimizer = function(**{takes[0]: schedule}, **rest)
        if not isinstance(optimizer, optax.GradientTransformation):
            raise TypeError(
                f"optimizer: {name} returned {type(optimizer).__name__}; expected an "
                "optax.GradientTransformation."
            )
        return optimizer

    build.__signature__ = _of_keywords(parameters.values(), takes[0])
    return build


def _of_keywords(parameters, rate: str) -> inspect.Signature:
    """The signature by keyword, with `rate` called schedule; no annotation is Any."""
    keywords = []
    for one in parameters:
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            kind = Any if one.annotation is one.empty else one.annotation
            name = "schedule" if one.name == rate else one.name
            changes = {"name": name, "annotation": kind, "kind": one.KEYWORD_ONLY}
            keywords.append(one.replace(**changes))
    return inspect.Signature(keywords)
