"""Losses on logits. `from kdjax.losses import logits` finds all of them, limits too."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from kdjax import contracts
from kdjax.losses.limits import (
    label_matching,
    logit_matching,
    mean_squared_error,
    smooth_l1,
    squared_error,
)
from kdjax.losses.numerics import (
    LOWEST,
    AnyArray,
    Logits,
    Number,
    PerSample,
    Temperature,
    as_float32,
    column,
    difference,
    excess,
    log_mean_exp,
    one_or_nan,
    soften,
)

__all__ = [
    "cross_entropy",
    "kl_divergence",
    "kl_to_target",
    "label_matching",
    "logit_matching",
    "mean_squared_error",
    "smooth_l1",
    "squared_error",
]


def cross_entropy(
    student_logits: Logits,
    labels: Integer[AnyArray, " batch"] | Float[AnyArray, "batch classes"],
    label_smoothing: Number | Float[AnyArray, ""] = 0.0,
) -> PerSample:
    """Cross entropy with labels or with probabilities, one value per sample.

        CE_i = - sum_k y'_ik log softmax(s_i)_k,   y' = (1 - eps) y + eps / K

    Label smoothing: Szegedy et al. 2016 (arXiv:1512.00567), section 7.

    Args:
      student_logits: unnormalised log-probabilities.
      labels: [batch] integers in 0..classes-1, or [batch, classes] probabilities. NaN,
        gradient too, where a traced one is out of range.
      label_smoothing: eps, from 0 to 1.

    Raises:
      TypeError: labels of shape [batch] are not integers.

    >>> import numpy as np
    >>> print(cross_entropy(np.float32([[0, 0], [2, 0]]), np.array([1, 0])).round(4))
    [0.6931 0.1269]
    """
    where = "cross_entropy"
    axes = contracts.shapes(
        where,
        student_logits=(student_logits, "batch classes"),
        labels=(labels, "batch", "batch classes"),
    )
    contracts.fraction(where, "label_smoothing", label_smoothing)
    log_q = jax.nn.log_softmax(as_float32(student_logits))
    if jnp.ndim(labels) == 1:
        loss = _at_label(where, log_q, labels, axes["classes"])
    else:
        y = as_float32(labels)
        # Where y is 0 the class is not there: 0 * -inf of a masked class would be NaN.
        loss = -jnp.sum(y * jnp.where(y == 0, 0.0, log_q), axis=-1)
    if contracts.is_traced(label_smoothing) or label_smoothing:
        loss += label_smoothing * (-jnp.mean(log_q, axis=-1) - loss)
    return loss


def _at_label(where: str, log_q: Array, labels, classes: int) -> PerSample:
    """-log q at an integer label; NaN where the label names no class."""
    labels = jnp.asarray(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"{where}: labels has dtype {labels.dtype} and shape [batch]; expected "
            "integers, or probabilities of shape [batch, classes]."
        )
    contracts.labels_in_range(where, labels, classes)
    labels = labels.astype(jnp.int32)  # 300 does not fit a uint8
    valid = (labels >= 0) & (labels < classes)
    at = jnp.where(valid, labels, 0)[:, None]
    picked = jnp.take_along_axis(log_q, at, axis=-1)[:, 0]
    # A product and not a choice: the gradient is NaN too.
    return -picked * one_or_nan(valid)


def kl_divergence(
    student_logits: Logits, teacher_logits: Logits, temperature: Temperature
) -> PerSample:
    """KL(teacher || student) between softened predictions, one value per sample.

        p_i = softmax(t_i / tau_i),  q_i = softmax(s_i / tau_i)
        KL_i = sum_k p_ik (log p_ik - log q_ik),   dKL_i / ds_ik = (q_ik - p_ik) / tau_i

    Hinton, Vinyals, Dean 2015 (arXiv:1503.02531), section 2. Nats, not times tau^2.

    Keeps its relative precision at every temperature (the sum above has no digit left
    at tau = 1e4 in float32): with u = log q - log p, sum_k p_k exp(u_k) = 1, so KL =
    sum_k p_k (exp(u_k) - 1 - u_k), a sum without negative terms; u follows from d = (s
    - t) / tau as d - log sum_k p_k exp(d_k). Above tau ~ 1e18 the value underflows.

    Args:
      student_logits: a class masked with -inf on both sides plays no part.
      teacher_logits: of the same classes in the same order.
      temperature: a number, a scalar array or [batch]; > 0, finite.

    >>> import numpy as np
    >>> student, teacher = np.float32([[1, 0, 0]]), np.float32([[0, 2, 0]])
    >>> print(f"{kl_divergence(student, teacher, 1e4)[0]:.4g}")
    7.778e-09
    """
    where = "kl_divergence"
    axes = contracts.shapes(
        where,
        student_logits=(student_logits, "batch classes"),
        teacher_logits=(teacher_logits, "batch classes"),
        temperature=(temperature, "", "batch"),
    )
    tau = column(where, temperature, axes["batch"])
    s, t = soften(student_logits, tau), soften(teacher_logits, tau)
    log_z_s = jax.nn.logsumexp(s, axis=-1, keepdims=True)
    log_z_t = jax.nn.logsumexp(t, axis=-1, keepdims=True)
    p = jnp.exp(t - log_z_t)
    d = jnp.clip(difference(student_logits, teacher_logits) / tau, LOWEST, -LOWEST)
    log_ratio = d - log_mean_exp(p, d, jnp.exp(s - log_z_t), log_z_s - log_z_t)
    return jnp.sum(excess(p, log_ratio, jnp.exp(s - log_z_s)), axis=-1)


def kl_to_target(
    student_logits: Logits,
    target: Float[AnyArray, "batch classes"],
    temperature: Temperature,
) -> PerSample:
    """KL(target || softened student) for a given probability vector, one per sample.

        q_i = softmax(s_i / tau_i),   KL_i = sum_k target_ik (log target_ik - log q_ik)

    For targets that no logits give, such as revised labels. Zeros in the target are
    fine. Where the target is a softmax of logits prefer `kl_divergence`: probabilities
    in float32 have lost the digits that matter above tau ~ 1e2.

    Args:
      student_logits: unnormalised log-probabilities.
      target: >= 0, rows sum to 1; already softened.
      temperature: of the student; a number, a scalar array or [batch]; > 0, finite.

    >>> import numpy as np
    >>> print(kl_to_target(np.float32([[0, 0]]), np.float32([[0, 1]]), 4.0).round(4))
    [0.6931]
    """
    where = "kl_to_target"
    axes = contracts.shapes(
        where,
        student_logits=(student_logits, "batch classes"),
        target=(target, "batch classes"),
        temperature=(temperature, "", "batch"),
    )
    tau = column(where, temperature, axes["batch"])
    target = as_float32(target)
    log_q = jax.nn.log_softmax(soften(student_logits, tau))
    present = ~(target <= 0)  # NaN is there, and spoils the loss as it should
    log_target = jnp.log(jnp.where(present, target, 1.0))
    q = jnp.exp(log_q)
    given = excess(target, jnp.where(present, log_q - log_target, 0.0), q)
    return jnp.sum(jnp.where(present, given, q), axis=-1)
