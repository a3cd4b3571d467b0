"""Dynamic temperature rules: how soft the teacher's prediction is, per sample.

They are sharper on the samples that confuse the student: T. Wen, S. Lai,
X. Qian, "Preparing Lessons: Improve Knowledge Distillation with Better Supervision",
Neurocomputing 454, 2021 (arXiv:1911.07471).

    tau_x = base + (mean_j w_j - w_x) * spread,   at least `lowest`

w_x says how confusing sample x is, the mean is over the global batch, and where nothing
is clipped the mean of tau_x is the base. Here are three readings of w.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses.numerics import (
    Logits,
    Number,
    PerSample,
    as_float32,
    below_top,
)
from kdjax.supervision.pipeline import TemperatureRule, reads, stateless
from kdjax.types import Signals


def by_confusion(
    base: Number,
    spread: Number,
    gamma: Number = 1.0,
    lowest: Number = 1.0,
    epsilon: Number = 0.0,
) -> TemperatureRule:
    """Lower temperatures where the directions of the logits differ (FLSW).

        w = (1 - <s, t> / (||s|| ||t||))^gamma,   from 0 to 2^gamma

    A zero vector has cosine 0 with everything. Classes masked with -inf play no part.

    Args:
      base: tau_0, the mean temperature; > 0 and not below `lowest`.
      spread: beta, >= 0; at 0 every temperature is the base.
      gamma: > 0; below 1 small differences count for more.
      lowest: floor of the temperatures, > 0. The step logs how often it acts.
      epsilon: added to each length, >= 0; 1e-4 in TextBrewer.

    >>> by_confusion(4.0, 2.0, gamma=0.5).lowest
    1.0
    """
    where = "by_confusion"
    contracts.positive(where, "gamma", gamma)
    contracts.not_negative(where, "epsilon", epsilon)

    def weight(signals: Signals) -> Array:
        return _misdirection(signals, epsilon) ** float(gamma)

    return _around(where, base, spread, lowest, weight)


def by_confusion_of_probabilities(
    base: Number, spread: Number, gamma: Number = 1.0, lowest: Number = 1.0
) -> TemperatureRule:
    """Lower temperatures where samples of student and teacher would seldom agree.

        w = (1 - <softmax(s), softmax(t)>)^gamma,   from 0 to 1

    Unlike `by_confusion` it is above 0 between equals, as long as they are unsure.
    Arguments as there.
    """
    where = "by_confusion_of_probabilities"
    contracts.positive(where, "gamma", gamma)

    def weight(signals: Signals) -> Array:
        p = jax.nn.softmax(below_top(signals.student_logits))
        return jnp.sum(p * _complement(signals.teacher_logits), -1) ** float(gamma)

    return _around(where, base, spread, lowest, weight)


def by_confidence(
    base: Number, spread: Number, lowest: Number = 1.0, epsilon: Number = 1e-3
) -> TemperatureRule:
    """Lower temperatures where the student is unsure (CWSM).

        w = 1 / (max_k softmax(s)_k + eps),   from 1 / (1 + eps) to about K

    The teacher plays no part. w reaches the number of classes K, so spreads have to be
    far smaller than in `by_confusion`: nothing is clipped up to (base - lowest) / K.

    Args:
      base, spread, lowest: as in `by_confusion`.
      epsilon: >= 0; 1e-3 in TextBrewer.
    """
    where = "by_confidence"
    contracts.not_negative(where, "epsilon", epsilon)

    def weight(signals: Signals) -> Array:
        largest = jnp.max(jax.nn.softmax(below_top(signals.student_logits)), axis=-1)
        return 1.0 / (largest + float(epsilon))

    return _around(where, base, spread, lowest, weight)


def _around(
    where: str,
    base: Number,
    spread: Number,
    lowest: Number,
    weight: Callable[[Signals], Array],
) -> TemperatureRule:
    """base + (mean(w) - w) * spread, at least `lowest`."""
    contracts.positive(where, "base", base)
    contracts.positive(where, "lowest", lowest)
    contracts.not_negative(where, "spread", spread)
    if base < lowest:
        raise ValueError(
            f"{where}: base is {base:g}; expected at least lowest, {lowest:g}."
        )

    @reads()
    def rule(signals: Signals) -> Array:
        w = weight(signals)
        temperature = float(base) + (jnp.mean(w) - w) * float(spread)
        return jnp.maximum(temperature, float(lowest))

    return stateless(rule, lowest=float(lowest))


def _misdirection(signals: Signals, epsilon: Number) -> PerSample:
    """1 - cosine, with all digits where student and teacher nearly agree.

    1 - <u, v> of unit vectors is ||u - v||^2 / 2, which does not cancel; a power below
    1 would make much of what cancelled. Each length is short by length / (length +
    epsilon), together c, and 1 - c <u, v> = (1 - c) + c (1 - <u, v>).
    """
    u, u_share = _direction(signals.student_logits, epsilon)
    v, v_share = _direction(signals.teacher_logits, epsilon)
    share = u_share * v_share
    return (1.0 - share) + share * 0.5 * jnp.sum((u - v) ** 2, axis=-1)


def _direction(
    logits: Logits, epsilon: Number
) -> tuple[Float[Array, "batch classes"], PerSample]:
    """(unit vectors, length / (length + epsilon)); both 0 for a zero vector."""
    z = as_float32(logits)
    z = jnp.where(jnp.isneginf(z), 0.0, z)
    largest = jnp.max(jnp.abs(z), axis=-1, keepdims=True)
    # Divided by the largest entry first: squares of 1e20 are not float32 numbers.
    scale = jnp.where(largest == 0, 1.0, largest)
    z = z / scale
    length = jnp.sqrt(jnp.sum(z**2, axis=-1, keepdims=True))
    none = length == 0
    share = length / jnp.where(none, 1.0, length + float(epsilon) / scale)
    return z / jnp.where(none, 1.0, length), share[:, 0]


def _complement(logits: Logits) -> Float[Array, "batch classes"]:
    """1 - softmax(logits), with all digits where one class has nearly everything."""
    e = jnp.exp(below_top(logits))
    top = jax.nn.one_hot(jnp.argmax(e, axis=-1), e.shape[-1], dtype=bool)
    rest = jnp.sum(jnp.where(top, 0.0, e), axis=-1, keepdims=True)
    return jnp.where(top, rest, 1.0 + rest - e) / (1.0 + rest)
