"""Logits adjustment: corrects the teacher where it names another class than the label.

T. Wen, S. Lai, X. Qian, "Preparing Lessons: Improve Knowledge Distillation with Better
Supervision", Neurocomputing 454, 2021 (arXiv:1911.07471, where it is called knowledge
adjustment). The teacher's class is that of its largest logit; among equal logits, the
one with the lowest index.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from kdjax import contracts
from kdjax.losses.numerics import AnyArray, Number, as_float32, as_number, one_or_nan
from kdjax.supervision.pipeline import TargetRule, reads
from kdjax.types import Signals


@reads("label")
def probability_shift(signals: Signals) -> Float[Array, "batch classes"]:
    """The teacher's logits, those of the label and of the teacher's class swapped.

        t'_y = t_m,  t'_m = t_y,  m = argmax t;  t' = t where m = y

    Swapping logits swaps the probabilities at any temperature, so this is a rule of the
    first stage: a temperature rule after it sees the adjusted logits. For one that
    shall see the teacher's own there is `shift_probabilities`.

    NaN where a traced label is out of range; a concrete one is a ValueError.
    """
    label, top = _label_and_top("probability_shift", signals)
    return _swapped(as_float32(signals.teacher_logits), label, top)


@reads("label")
def shift_probabilities(
    target: Float[AnyArray, "batch classes"], signals: Signals
) -> Float[Array, "batch classes"]:
    """The same swap on the target: for a temperature that saw the teacher's own logits.

        q'_y = q_m,  q'_m = q_y,  m = argmax t;  q' = q where m = y

    m is taken from the logits: at a high temperature all of q round to one number.
    Labels out of range as in `probability_shift`.
    """
    label, top = _label_and_top("shift_probabilities", signals)
    return _swapped(as_float32(target), label, top)


def smoothed_label(epsilon: Number) -> TargetRule:
    """Smoothed labels instead of the target wherever the teacher is wrong.

        q' = (1 - eps) e_y + eps / K   where argmax t != y;   q' = q elsewhere

    These rows are not softened while the student's prediction is, so with tau^2 they
    outweigh the others: in the worked example of the tests, 12.3 and 11.5 against 0.25
    at temperature 4. Their gradient is up to tau times that of cross entropy.

    NaN where a traced label is out of range or the teacher's logits are NaN, so that
    neither trains as a label.
    """
    contracts.fraction("smoothed_label", "epsilon", epsilon)
    epsilon = as_number(epsilon)

    @reads("label")
    def rule(target: AnyArray, signals: Signals) -> Array:
        label, top = _label_and_top("smoothed_label", signals)
        spread = epsilon / target.shape[-1]
        smooth = jnp.where(label, 1.0 - epsilon + spread, spread)
        broken = jnp.any(jnp.isnan(signals.teacher_logits), axis=-1, keepdims=True)
        smooth = as_float32(smooth) * one_or_nan(_exists(label) & ~broken)
        right = jnp.any(label & top, axis=-1, keepdims=True)
        return jnp.where(right, as_float32(target), smooth)

    return rule


def _label_and_top(
    where: str, signals: Signals
) -> tuple[Bool[Array, "batch classes"], Bool[Array, "batch classes"]]:
    """Where the label is, and where the largest logit; a label out of range: nowhere.

    Masks and not indices: indexed as NumPy indexes, -1 would be the last class.
    """
    classes = jnp.shape(signals.teacher_logits)[-1]
    contracts.labels_in_range(where, signals.labels, classes)
    labels = jnp.asarray(signals.labels).astype(jnp.int32)  # 300 does not fit a uint8
    top = jnp.argmax(signals.teacher_logits, axis=-1)
    return tuple(jax.nn.one_hot(i, classes, dtype=bool) for i in (labels, top))


def _swapped(
    values: Float[Array, "batch classes"],
    first: Bool[Array, "batch classes"],
    second: Bool[Array, "batch classes"],
) -> Float[Array, "batch classes"]:
    def at(mask):  # a choice and not a product: 0 * -inf would be NaN
        return jnp.sum(jnp.where(mask, values, 0.0), axis=-1, keepdims=True)

    swapped = jnp.where(first, at(second), jnp.where(second, at(first), values))
    return swapped * one_or_nan(_exists(first))


def _exists(label: Bool[Array, "batch classes"]) -> Bool[Array, "batch 1"]:
    return jnp.any(label, axis=-1, keepdims=True)
