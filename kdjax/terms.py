"""Terms and methods: how losses and supervision become one objective.

Only here is the squared temperature multiplied in.
"""

import collections
import dataclasses
from collections.abc import Callable

from jaxtyping import Array, Float

from kdjax.losses import logits as losses
from kdjax.supervision.pipeline import Supervisor
from kdjax.types import Supervision, Views

Schedule = Callable[[Array], Array]


@dataclasses.dataclass(frozen=True)
class Term:
    """A named part of the objective: coefficient times the batch mean of `values`.

    Attributes:
      name: under which it is logged; unique within a method.
      coefficient: a number, or a schedule of the step.
      values: Views -> [batch].
    """

    name: str
    coefficient: float | Schedule
    values: Callable[[Views], Float[Array, " batch"]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """A way to train a student. `supervisor` is None where no teacher is needed.

    Raises:
      ValueError: no term, or two terms of one name.
    """

    terms: tuple[Term, ...]
    supervisor: Supervisor | None = None

    def __post_init__(self):
        if not self.terms:
            raise ValueError("Method: terms is empty; expected at least one Term.")
        names = collections.Counter(term.name for term in self.terms)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ValueError(
                f"Method: {twice} name more than one term; expected unique names, "
                "under which the terms are logged."
            )


def hard_label(coefficient: float | Schedule, label_smoothing: float = 0.0) -> Term:
    """Cross entropy with the labels."""

    def values(views):
        student = views.student.logits
        return losses.cross_entropy(student, views.labels, label_smoothing)

    return Term("hard_label", coefficient, values)


def soft_logits(coefficient: float | Schedule) -> Term:
    """weight * tau^2 KL against the adjusted teacher logits, at any finite tau."""

    def values(views):
        s = _supervision("soft_logits", views)
        kl = losses.kl_divergence(views.student.logits, s.logits, s.temperature)
        return s.weight * s.temperature**2 * kl

    return Term("soft_logits", coefficient, values)


def soft_target(coefficient: float | Schedule) -> Term:
    """weight * tau^2 KL against the softened, revised target: for target rules."""

    def values(views):
        s = _supervision("soft_target", views)
        kl = losses.kl_to_target(views.student.logits, s.target, s.temperature)
        return s.weight * s.temperature**2 * kl

    return Term("soft_target", coefficient, values)


def match_logits(name: str, coefficient: float | Schedule, distance: Callable) -> Term:
    """weight * a distance between logits, such as `losses.mean_squared_error`.

    The temperature plays no part.
    """

    def values(views):
        s = _supervision(name, views)
        return s.weight * distance(views.student.logits, s.logits)

    return Term(name, coefficient, values)


def _supervision(term: str, views: Views) -> Supervision:
    if views.supervision is None:
        raise ValueError(
            f"{term}: views.supervision is None; expected what a teacher said: "
            "give the Method a supervisor and the step a teacher."
        )
    return views.supervision
