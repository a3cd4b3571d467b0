"""Losses for noisy labels: a label that the network does not believe counts less.

Early-learning regularisation needs earlier predictions; remembering them is the
caller's business.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from kdjax import contracts
from kdjax.losses.logits import cross_entropy
from kdjax.losses.numerics import (
    AnyArray,
    Logits,
    Number,
    PerSample,
    Where,
    as_float32,
    as_number,
    counted,
    exists,
    hide,
    one_hot,
)

Labels = Integer[AnyArray, "*batch"]

_SMALLEST = 1e-7  # the SCE authors' floor under a probability
_MARGIN = 1e-4  # the ELR authors' distance of a probability from 0 and 1


def generalized_cross_entropy(
    student_logits: Logits,
    labels: Labels,
    q: Number | Float[AnyArray, ""],
    where: Where = None,
) -> PerSample:
    """Generalised cross entropy, between cross entropy and mean absolute error.

        GCE_i = (1 - p_iy^q) / q,   p = softmax(s),   dGCE_i / ds_i = p_iy^q (p_i - y_i)

    Zhang, Sabuncu 2018 (arXiv:1805.07836), the L_q loss. q -> 0 is cross entropy; q = 1
    is half the absolute error. The gradient is that of cross entropy times p_y^q: a
    label that is not believed counts little. Computed as -expm1(q log p_y) / q, which
    keeps its digits at every q.

    Args:
      student_logits: unnormalised log-probabilities.
      labels: in 0..classes-1; NaN where a traced one is out of range.
      q: above 0, up to 1.
      where: as in `cross_entropy`.

    >>> import numpy as np
    >>> print(generalized_cross_entropy(np.float32([[0, 0]]), np.array([1]), 1.0))
    [0.5]
    """
    name = "generalized_cross_entropy"
    _same_batch(name, student_logits, labels)
    contracts.positive(name, "q", q)
    contracts.fraction(name, "q", q)
    q = as_float32(q)
    loss = cross_entropy(student_logits, labels, where=where)
    return -jnp.expm1(-q * loss) / q


def reverse_cross_entropy(
    student_logits: Logits,
    labels: Labels,
    log_zero: Number = -4.0,
    where: Where = None,
) -> PerSample:
    """Cross entropy with the roles of label and prediction exchanged.

        RCE_i = - sum_k p_ik log clip(y_ik, exp(A), 1) = -A sum_{k != y} p_ik

    Wang et al. 2019 (arXiv:1908.06112). p is taken to be at least 1e-7, as in the
    authors' code; a class below that has no gradient.

    Args:
      student_logits: unnormalised log-probabilities.
      labels: in 0..classes-1; NaN, gradient too, where a traced one is out of range.
      log_zero: A, what log 0 is taken to be; below 0, finite, nats.
      where: as in `cross_entropy`; where the label is masked, -A times what is left.

    >>> import numpy as np
    >>> print(reverse_cross_entropy(np.float32([[0, 0]]), np.array([1])))
    [2.]
    """
    name = "reverse_cross_entropy"
    _same_batch(name, student_logits, labels)
    contracts.shapes(name, log_zero=(log_zero, ""))
    log_zero = as_number(log_zero)
    contracts.positive(name, "-log_zero", -log_zero)
    (logits,) = hide(name, where, student_logits)
    mask = counted(name, student_logits, where)
    return -log_zero * _mass_of_others(logits, labels, mask)


@functools.partial(jax.jit, inline=True)
def _mass_of_others(logits, labels, mask) -> PerSample:
    """The probability of all classes but the label; NaN where it names no class."""
    p = jnp.maximum(jax.nn.softmax(as_float32(logits)), _SMALLEST)
    label = one_hot(labels, p.shape[-1])
    # Without 1 - p_y, which has no digit left where the label is believed.
    others = jnp.where(mask & ~label, p, 0.0)
    # A product and not a choice: the gradient is NaN too.
    return jnp.sum(others, axis=-1) * exists(labels, p.shape[-1])


def early_learning_regularization(
    student_logits: Logits, remembered: Float[AnyArray, "*batch classes"]
) -> PerSample:
    """Keeps predictions near the network's earlier ones for the sample.

        ELR_i = log(1 - <t_i, p_i>),   p = clip(softmax(s), 1e-4, 1 - 1e-4)

    Liu et al. 2020 (arXiv:2007.00151). Beside cross entropy it keeps the gradient of
    samples whose label agrees with t and cancels that of the others. A clipped class
    has no gradient. In nats, <= 0 and above -10.

    Args:
      student_logits: unnormalised log-probabilities.
      remembered: t: a mean of `clipped_probabilities`, >= 0, rows sum to at most 1. A
        constant as a rule; it has a gradient here.

    >>> import numpy as np
    >>> logits, remembered = np.float32([[0, 0]]), np.float32([[0.9, 0.1]])
    >>> print(early_learning_regularization(logits, remembered).round(4))
    [-0.6931]
    """
    contracts.shapes(
        "early_learning_regularization",
        student_logits=(student_logits, "*batch classes"),
        remembered=(remembered, "*batch classes"),
    )
    p = _clipped(student_logits)
    return jnp.log1p(-jnp.sum(as_float32(remembered) * p, axis=-1))


def clipped_probabilities(student_logits: Logits) -> Float[Array, "*batch classes"]:
    """What early-learning regularisation remembers of a prediction.

        clip(softmax(s), 1e-4, 1 - 1e-4), divided by its sum over the classes

    By the authors' code of Liu et al. 2020 (arXiv:2007.00151). Above 0, rows sum to 1.

    >>> import numpy as np
    >>> print(clipped_probabilities(np.float32([[1e5, 0]])).round(4))
    [[9.999e-01 1.000e-04]]
    """
    name = "clipped_probabilities"
    contracts.shapes(name, student_logits=(student_logits, "*batch classes"))
    p = _clipped(student_logits)
    return p / jnp.sum(p, axis=-1, keepdims=True)


def _clipped(student_logits: Logits) -> Float[Array, "*batch classes"]:
    return jnp.clip(jax.nn.softmax(as_float32(student_logits)), _MARGIN, 1 - _MARGIN)


def _same_batch(name: str, student_logits: Logits, labels: Labels) -> None:
    axes = contracts.shapes(
        name,
        student_logits=(student_logits, "*batch classes"),
        labels=(labels, "*batch"),
    )
    contracts.labels_in_range(name, labels, axes["classes"])
