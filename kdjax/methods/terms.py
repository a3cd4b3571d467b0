"""Terms that many methods share: labels, and the teacher's softened logits.

Only here, and in methods with a loss of their own, is the squared temperature
multiplied in.
"""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Schedule, Term
from kdjax.methods.denominators import normalise_weights
from kdjax.supervision.pipeline import Supervisor
from kdjax.types import LossInputs, Supervision


def hard_label(coefficient: float | Schedule, label_smoothing: float = 0.0) -> Term:
    """Cross entropy with the labels.

    Of mixtures of two images, with share and the rest of the two labels:
    share CE(own) + (1 - share) CE(other).
    """

    def values(inputs):
        student, mixture = inputs.student.logits, inputs.label_mixture
        own = losses.cross_entropy(student, inputs.labels, label_smoothing)
        if mixture is None:
            return own
        other = losses.cross_entropy(student, mixture.other, label_smoothing)
        return mixture.share * own + (1.0 - mixture.share) * other

    return Term("hard_label", coefficient, values, mixed_labels=True)


def on_selected(term: Term, denominator: str = "sets") -> Term:
    """The same term averaged over the selected samples: for methods without a teacher.

    values times selection * batch / sum(selection); with nothing selected it is 0. With
    the denominator "batch", values times selection.
    """

    def values(inputs):
        if inputs.selection is None:
            return term.values(inputs)
        weight = normalise_weights(inputs.selection, denominator)
        return weight * term.values(inputs)

    return dataclasses.replace(term, values=values)


def soft_logits(coefficient: float | Schedule, scale: Callable = jnp.square) -> Term:
    """weight * scale(tau) KL against the adjusted teacher logits, at any finite tau."""

    def values(inputs):
        s = supervision_of("soft_logits", inputs)
        kl = losses.kl_divergence(student_logits(inputs), s.logits, s.temperature)
        return s.weight * scale(s.temperature) * kl

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
