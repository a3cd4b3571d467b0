"""Cross entropy and the Kullback-Leibler divergence of softened predictions."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Float, Integer

from kdjax import contracts
from kdjax.losses.divergence import softmax_divergence, target_divergence
from kdjax.losses.numerics import (
    AnyArray,
    Logits,
    Number,
    PerSample,
    Temperature,
    Where,
    as_float32,
    as_number,
    check_temperature,
    counted,
    hide,
    mean_of,
    one_or_nan,
    top_of,
)


def cross_entropy(
    student_logits: Logits,
    labels: Integer[AnyArray, "*batch"] | Float[AnyArray, "*batch classes"],
    label_smoothing: Number | Float[AnyArray, ""] = 0.0,
    where: Where = None,
) -> PerSample:
    """Cross entropy with labels or with probabilities, one value per sample.

        CE_i = - sum_k y'_ik log softmax(s_i)_k,   y' = (1 - eps) y + eps / K

    Label smoothing: Szegedy et al. 2016 (arXiv:1512.00567), section 7.

    Args:
      student_logits: unnormalised log-probabilities.
      labels: [...] integers in 0..classes-1 (TypeError for others; NaN, gradient too,
        where a traced one is out of range), or [..., classes] probabilities.
      label_smoothing: eps, from 0 to 1.
      where: True for the classes that count, [classes] or [..., classes]; K is their
        number. A label that is masked adds nothing: 0 without label smoothing, and else
        what eps gives to the classes that count, as in Optax.

    >>> import numpy as np
    >>> print(cross_entropy(np.float32([[0, 0], [2, 0]]), np.array([1, 0])).round(4))
    [0.6931 0.1269]
    """
    name = "cross_entropy"
    axes = contracts.shapes(
        name,
        student_logits=(student_logits, "*batch classes"),
        labels=(labels, "*batch", "*batch classes"),
    )
    contracts.fraction(name, "label_smoothing", label_smoothing)
    if jnp.ndim(labels) == len(axes["batch"]):
        contracts.labels_in_range(name, labels, axes["classes"])
    (logits,) = hide(name, where, student_logits)
    mask = None if where is None else counted(name, student_logits, where)
    traced = contracts.is_traced(label_smoothing)
    smoothing = as_number(label_smoothing) if traced or label_smoothing else None
    return _cross_entropy(logits, labels, smoothing, mask)


@functools.partial(jax.jit, inline=True)
def _cross_entropy(logits, labels, smoothing, mask) -> PerSample:
    z, labels = as_float32(logits), jnp.asarray(labels)
    top = top_of(z)
    log_sum = jnp.log(jnp.sum(jnp.exp(z - top), axis=-1))
    if labels.ndim < z.ndim:
        loss = _at_label(z, top, log_sum, labels, mask)
    else:
        y = as_float32(labels)
        y = y if mask is None else jnp.where(mask, y, 0.0)
        # A masked class that y does not name is not there: 0 * -inf would be NaN.
        absent = (y == 0) & jnp.isneginf(z)
        given = y * jnp.where(absent, 0.0, z - top - log_sum[..., None])
        loss = -jnp.sum(given, axis=-1)
    if smoothing is not None:
        below = z - top
        mean = jnp.mean(below, axis=-1) if mask is None else mean_of(below, mask)
        mean = log_sum - mean
        if mask is not None:
            mean = jnp.where(jnp.any(mask, axis=-1), mean, 0.0)
        loss += smoothing * (mean - loss)
    return loss


def _at_label(z, top, log_sum, labels, mask) -> PerSample:
    """-log q at an integer label; NaN where it names no class, 0 where it is masked."""
    labels = labels.astype(jnp.int32)  # 300 does not fit a uint8
    valid = (labels >= 0) & (labels < z.shape[-1])
    at = jnp.where(valid, labels, 0)[..., None]
    # Taken from the logits and not from log q, so that log q need not be stored.
    loss = log_sum - (jnp.take_along_axis(z, at, axis=-1) - top)[..., 0]
    if mask is not None:
        loss = jnp.where(jnp.take_along_axis(mask, at, axis=-1)[..., 0], loss, 0.0)
    # A product and not a choice: the gradient is NaN too.
    return loss * one_or_nan(valid)


def kl_divergence(
    student_logits: Logits,
    teacher_logits: Logits,
    temperature: Temperature,
    where: Where = None,
) -> PerSample:
    """KL(teacher || student) between softened predictions, one value per sample.

        p_i = softmax(t_i / tau_i),  q_i = softmax(s_i / tau_i)
        KL_i = sum_k p_ik (log p_ik - log q_ik),   dKL_i / ds_ik = (q_ik - p_ik) / tau_i

    Hinton, Vinyals, Dean 2015 (arXiv:1503.02531), section 2. Nats, not times tau^2.

    Keeps its relative precision at every temperature and near equality, where the sum
    above has no digit left in float32, and so does its gradient: see
    `kdjax.losses.divergence`. Above tau ~ 1e18 the value underflows.

    Args:
      student_logits: a class masked with -inf on both sides plays no part.
      teacher_logits: of the same classes in the same order.
      temperature: a number, a scalar array or [...], an axis of 1 being shared; > 0,
        finite.
      where: True for the classes that count, [classes] or [..., classes]; the others
        are as masked with -inf on both sides, and 0 where none counts.

    >>> import numpy as np
    >>> student, teacher = np.float32([[1, 0, 0]]), np.float32([[0, 2, 0]])
    >>> print(f"{kl_divergence(student, teacher, 1e4)[0]:.4g}")
    7.778e-09
    """
    name = "kl_divergence"
    contracts.shapes(
        name,
        student_logits=(student_logits, "*batch classes"),
        teacher_logits=(teacher_logits, "*batch classes"),
        temperature=(temperature, "", "*#batch"),
    )
    check_temperature(name, temperature)
    student, teacher = hide(name, where, student_logits, teacher_logits)
    return softmax_divergence(student, teacher, as_number(temperature))


def kl_to_target(
    student_logits: Logits,
    target: Float[AnyArray, "*batch classes"],
    temperature: Temperature,
    where: Where = None,
) -> PerSample:
    """KL(target || softened student) for a given probability vector, one per sample.

        q_i = softmax(s_i / tau_i),   KL_i = sum_k target_ik (log target_ik - log q_ik)

    For targets that no logits give, such as revised labels. Zeros in the target are
    fine. Where the target is a softmax of logits prefer `kl_divergence`: probabilities
    in float32 have lost the digits that matter above tau ~ 1e2.

    Args:
      student_logits: unnormalised log-probabilities.
      target: >= 0, rows sum to 1; already softened.
      temperature: of the student, as in `kl_divergence`.
      where: as in `kl_divergence`; the target's rows sum to 1 over what counts.

    >>> import numpy as np
    >>> print(kl_to_target(np.float32([[0, 0]]), np.float32([[0, 1]]), 4.0).round(4))
    [0.6931]
    """
    name = "kl_to_target"
    contracts.shapes(
        name,
        student_logits=(student_logits, "*batch classes"),
        target=(target, "*batch classes"),
        temperature=(temperature, "", "*#batch"),
    )
    check_temperature(name, temperature)
    (student,) = hide(name, where, student_logits)
    if where is not None:
        mask = counted(name, student_logits, where)
        target = jnp.where(mask, as_float32(target), 0.0)
    loss = target_divergence(student, target, as_number(temperature))
    if where is not None:
        loss = jnp.where(jnp.any(mask, axis=-1), loss, 0.0)
    return loss
