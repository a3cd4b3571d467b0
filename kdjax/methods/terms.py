"""Terms that many methods share: labels, and the teacher's softened logits.

Only here, and in methods with a loss of their own, is the squared temperature
multiplied in.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Schedule, Term
from kdjax.methods.fallback import on_selected
from kdjax.supervision.pipeline import Supervisor
from kdjax.types import LossInputs, Supervision


def hard_label(coefficient: float | Schedule, label_smoothing: float = 0.0) -> Term:
    """Cross entropy with the labels."""

    def values(inputs):
        student = inputs.student.logits
        return losses.cross_entropy(student, inputs.labels, label_smoothing)

    return Term("hard_label", coefficient, values)


def soft_logits(coefficient: float | Schedule) -> Term:
    """weight * tau^2 KL against the adjusted teacher logits, at any finite tau."""

    def values(inputs):
        s = supervision_of("soft_logits", inputs)
        kl = losses.kl_divergence(student_logits(inputs), s.logits, s.temperature)
        return s.weight * s.temperature**2 * kl

    return Term("soft_logits", coefficient, values, NOTHING, weighted=True)


def soft_target(coefficient: float | Schedule) -> Term:
    """weight * tau^2 KL against the softened, revised target: for target rules."""

    def values(inputs):
        s = supervision_of("soft_target", inputs)
        kl = losses.kl_to_target(student_logits(inputs), s.target, s.temperature)
        return s.weight * s.temperature**2 * kl

    return Term("soft_target", coefficient, values, NOTHING, weighted=True)


def match_logits(name: str, coefficient: float | Schedule, distance: Callable) -> Term:
    """weight * a distance between logits, such as `losses.mean_squared_error`.

    The temperature plays no part.
    """

    def values(inputs):
        s = supervision_of(name, inputs)
        return s.weight * distance(student_logits(inputs), s.logits)

    return Term(name, coefficient, values, NOTHING, weighted=True)


def labels_and_teacher(
    alpha: float, term: Term, supervisor: Supervisor, label_smoothing: float = 0.0
) -> Method:
    """(1 - alpha) cross entropy and the teacher's term; parts of weight 0 left out."""
    labels = hard_label(1.0 - alpha, label_smoothing)
    if alpha == 0:
        return Method(terms=(on_selected(labels),))
    terms = (term,) if alpha == 1 else (labels, term)
    return Method(terms=terms, supervisor=supervisor)


def soft_teacher(where: str, supervisor: Supervisor, label_weight: float) -> Method:
    """tau^2 KL against the supervision, and cross entropy with the label.

    Probabilities have fewer digits than logits, so the target is compared only where
    the supervisor has rules on targets.

    `where` names the method in errors; at a label_weight of 0 the label is left out.
    """
    contracts.not_negative(where, "label_weight", label_weight)
    terms = ((soft_target if supervisor.target else soft_logits)(1.0),)
    if label_weight:
        terms = (hard_label(label_weight), *terms)
    return Method(terms=terms, supervisor=supervisor)


def warmed(
    where: str, weight: float, warmup_epochs: float, steps_per_epoch: float
) -> float | Schedule:
    """weight min(epoch / warmup_epochs, 1), the epoch counted from 1 as it begins.

    Without a warm-up the weight itself. As in the public code of mdistiller the first
    epoch has weight / warmup_epochs, and all steps of an epoch have the same.
    """
    contracts.not_negative(where, "warmup_epochs", warmup_epochs)
    contracts.positive(where, "steps_per_epoch", steps_per_epoch)
    if not warmup_epochs:
        return weight

    def schedule(step):
        epoch = jnp.floor(jnp.asarray(step, jnp.float32) / steps_per_epoch) + 1.0
        return weight * jnp.minimum(1.0, epoch / warmup_epochs)

    return schedule


def feature_pairs(
    where: str, students: tuple[str, ...], teachers: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """(student's, teacher's) names of the features that a method compares.

    Raises:
      ValueError: none, or not as many of both.
    """
    if not students or len(students) != len(teachers):
        raise ValueError(
            f"{where}: student_features is {tuple(students)} and teacher_features "
            f"{tuple(teachers)}; expected as many names of both, one or more."
        )
    return tuple(zip(students, teachers, strict=True))


def student_logits(inputs: LossInputs) -> Float[Array, "batch classes"]:
    """What is compared with `Supervision.logits`: the student's, transformed alike."""
    transformed = inputs.supervision.student_logits
    return inputs.student.logits if transformed is None else transformed


def supervision_of(term: str, inputs: LossInputs) -> Supervision:
    if inputs.supervision is None:
        raise ValueError(
            f"{term}: inputs.supervision is None; expected the teacher's: give the "
            "Method a supervisor and the step a teacher."
        )
    return inputs.supervision
