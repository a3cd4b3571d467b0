"""Weights from the entropy of both predictions: EA-KD (arXiv:2311.13621)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses.numerics import AnyArray, Scalar, as_number, below_top
from kdjax.supervision.pipeline import WeightRule, reads
from kdjax.types import Signals

SCALES = ("log_classes", "classes")


def by_entropy(temperature: Scalar = 3.0, scale: str = "log_classes") -> WeightRule:
    """Weighs a sample by how unsure the teacher is, and more so the student too.

        w = 1/2 H_t (1 + H_s / b),   H the entropy of softmax(z / T'), b = log K

    In nats; from 0 to log K, the first where the teacher is sure. T' is the entropies'
    own temperature and need not be that of the loss: 3 on CIFAR-100, 2 on ImageNet.
    The teacher's logits are those after the logits rules. The objective is the mean of
    weight times loss: normalising weights to a mean of 1 would change its scale.

    Args:
      temperature: T', > 0 and finite.
      scale: "log_classes", b = log K, is the paper's, and the public code's on
        ImageNet. "classes", b = K, is what the code of cpsu00/EA-KD divides by for KD
        and DKD on CIFAR-100; numbers that this code gave there belong to it.

    >>> by_entropy(2.0).reads
    frozenset()
    """
    where = "by_entropy"
    contracts.shapes(where, temperature=(temperature, ""))
    contracts.positive(where, "temperature", temperature)
    if not isinstance(scale, str) or scale not in SCALES:
        given = contracts.shown(scale)
        raise ValueError(f"{where}: scale is {given}; expected one of {SCALES}.")

    @reads()
    def rule(signals: Signals) -> Array:
        classes = signals.teacher_logits.shape[-1]
        if classes < 2:
            raise ValueError(f"{where}: logits of {classes} class; expected 2 or more.")
        bound = jnp.log(float(classes)) if scale == "log_classes" else float(classes)
        h_t = entropy(signals.teacher_logits / as_number(temperature))
        h_s = entropy(signals.student_logits / as_number(temperature))
        return 0.5 * h_t * (1.0 + h_s / bound)

    return rule


def entropy(logits: Float[AnyArray, "batch classes"]) -> Float[Array, " batch"]:
    """- sum_k p_k log p_k of p = softmax(logits), in nats; masked classes have none.

    >>> import numpy as np
    >>> print(entropy(np.float32([[0, 0], [2, 0]])).round(4))
    [0.6931 0.3653]
    """
    log_p = jax.nn.log_softmax(below_top(logits))
    return -jnp.sum(jnp.exp(log_p) * log_p, axis=-1)
