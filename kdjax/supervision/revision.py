"""Label revision: a target in which the label comes out on top.

W. Lan, Y.-m. Cheung, Q. Xu, B. Liu, Z. Hu, M. Li, Z. Chen, "Improve Knowledge
Distillation via Label Revision and Data Selection", 2024 (arXiv:2404.03693).
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from kdjax import contracts
from kdjax.losses.numerics import (
    AnyArray,
    Number,
    PerSample,
    as_float32,
    below_top,
    one_hot,
)
from kdjax.supervision.pipeline import Supervisor, TargetRule, reads
from kdjax.types import SAMPLE_FIELDS, Signals


def revision_weight(
    probabilities: Float[AnyArray, "batch classes"],
    labels: Integer[AnyArray, " batch"],
    eta: Number,
) -> PerSample:
    """How much of the teacher stays in the revised target, one value per sample.

        beta = eta / (max_k p_k - p_y + 1)

    The label has the largest entry of beta p + (1 - beta) e_y exactly when beta < 1 /
    (max_k p_k - p_y + 1), so eta says how far below that bound to stay. From eta / 2 to
    eta, which it is where the teacher is right.

    Args:
      probabilities: of the teacher; rows sum to 1.
      labels: in 0..classes-1; NaN where a traced one is out of range.
      eta: above 0 and below 1; near 1 revises least.

    >>> import numpy as np
    >>> p = np.float32([[0.625, 0.25, 0.125]])
    >>> print(revision_weight(p, np.array([2]), 0.75))
    [0.5]
    """
    where = "revision_weight"
    axes = contracts.shapes(
        where, probabilities=(probabilities, "batch classes"), labels=(labels, "batch")
    )
    contracts.labels_in_range(where, labels, axes["classes"])
    eta = _checked_eta(where, eta)
    return eta / (_gap(as_float32(probabilities), labels) + 1.0)


def label_revision(eta: Number, *, softened: bool = False) -> TargetRule:
    """Mixes just enough of the label into every target to put it on top.

        p' = beta p + (1 - beta) e_y,   beta of the teacher's softmax at temperature 1

    For temperatures of 1 and above the label's entry is then the largest of p', or ties
    with it where 1 - eta is below float32's resolution; the odds among the other
    classes stay as they were. Below 1 that holds with `softened` only, and then at any
    temperature, one per sample too.

    With `softened` beta is of the softened target itself.
    """
    eta = _checked_eta("label_revision", eta)
    contracts.flag("label_revision", "softened", softened)

    @reads("label")
    def rule(target: Array, signals: Signals) -> Array:
        plain = jax.nn.softmax(below_top(signals.teacher_logits))
        probabilities = target if softened else plain
        beta = revision_weight(probabilities, signals.labels, eta)[:, None]
        top = jnp.max(target, axis=-1, keepdims=True)
        gaps = _gap(probabilities, signals.labels) - _gap(target, signals.labels)
        # beta p_y + 1 - beta, written so that rounding cannot put it below beta * top:
        # 1 - beta is 1 - eta + beta gap.
        at_label = beta * top + (1.0 - eta) + beta * gaps[:, None]
        label = one_hot(signals.labels, target.shape[-1])
        return jnp.where(label, at_label, beta * target)

    rule.lowest = 0.0 if softened else 1.0
    return rule


def where_wrong(rule: TargetRule) -> TargetRule:
    """The same rule, applied only where the teacher predicts another class.

    Among equal logits the lowest index counts as the teacher's class.
    """

    @reads("label", *getattr(rule, "reads", SAMPLE_FIELDS))
    def revise(target: Array, signals: Signals) -> Array:
        right = jnp.argmax(signals.teacher_logits, axis=-1) == signals.labels
        return jnp.where(right[:, None], target, rule(target, signals))

    revise.lowest = getattr(rule, "lowest", 0.0)
    return revise


def with_revision(supervisor: Supervisor, eta: Number | None) -> Supervisor:
    """The same stages and label revision after them, its beta of the target itself.

        p'_y - max_{k != y} p'_k >= 1 - eta,   equal where p has another class on top

    This holds for any probabilities p, at every temperature and after any target rules.
    It has to be the last: a swap after it would take the label from the top again.
    Where the label is on top already, as after logits adjustment, beta = eta.

    Without eta the supervisor comes back as it is.
    """
    if eta is None:
        return supervisor
    rule = label_revision(eta, softened=True)
    return dataclasses.replace(supervisor, target=(*supervisor.target, rule))


def _gap(p: Float[Array, "batch classes"], labels: Integer[AnyArray, " batch"]):
    """max_k p_k - p_y, [batch]; at 0 the label is on top."""
    label = one_hot(labels, p.shape[-1]).astype(jnp.float32)
    # 0/0 where the label names no class: NaN, so that it does not train unnoticed.
    at_label = jnp.sum(p * label, axis=-1) / jnp.sum(label, axis=-1)
    return jnp.max(p, axis=-1) - at_label


def _checked_eta(where: str, eta: Number) -> Number:
    """Of Python, unless it is traced."""
    contracts.fraction(where, "eta", eta)
    if contracts.is_traced(eta):
        return eta
    eta = float(eta)
    if eta in (0, 1):
        raise ValueError(
            f"{where}: eta is {eta:g}; expected a number above 0 and below 1: at 0 "
            "nothing of the teacher is left, at 1 the label need not be on top."
        )
    return eta
