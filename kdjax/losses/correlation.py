"""Correlations of predictions (DIST, MLKD) and standardised logits (LSKD, LumiNet).

Those over the batch take [batch, classes], and a mask of samples `where` as in
`kdjax.losses.relations`. None multiplies by the squared temperature.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses.divergence import softened_pair
from kdjax.losses.numerics import (
    AnyArray,
    Logits,
    PerSample,
    Temperature,
    Where,
    as_float32,
    beside,
    check_temperature,
    column,
    counted,
    hide,
)
from kdjax.losses.pearson import (
    correlation_distance,
    gap_between,
    softmax_correlation_distance,
)
from kdjax.losses.subset import Samples, Subset, norms, subset

BatchLogits = Float[AnyArray, "batch classes"]
_EXACT = jax.lax.Precision.HIGHEST


def dist_between_classes(
    student_logits: Logits,
    teacher_logits: Logits,
    temperature: Temperature = 1.0,
    where: Where = None,
) -> PerSample:
    """DIST, inter-class: 1 - Pearson correlation of each sample's two predictions.

        a = p_s - mean(p_s), b = p_t - mean(p_t) over classes,   p = softmax(z / tau)
        v_i = 1 - <a, b> / (||a|| ||b|| + 1e-8)

    T. Huang et al., NeurIPS 2022 (arXiv:2205.10536), with the 1e-8 of the public code;
    published with tau^2 times this, weight 1. From 0 to 2. Where one side is uniform
    the value is 1, with a zero gradient. Value and gradient keep their digits near
    equality: see `kdjax.losses.pearson`.

    Args:
      student_logits: unnormalised log-probabilities.
      teacher_logits: of the same classes in the same order.
      temperature, where: as in `kl_divergence`.

    >>> import numpy as np
    >>> student, teacher = np.float32([[2, 0], [0, 1]]), np.float32([[1, 0], [1, 0]])
    >>> print(dist_between_classes(student, teacher).round(4))
    [0. 2.]
    """
    name = "dist_between_classes"
    axes = contracts.shapes(
        name,
        student_logits=(student_logits, "*batch classes"),
        teacher_logits=(teacher_logits, "*batch classes"),
        temperature=(temperature, "", "*#batch"),
    )
    check_temperature(name, temperature)
    pair = hide(name, where, student_logits, teacher_logits)
    mask = None if where is None else counted(name, student_logits, where)
    tau = beside(temperature, len(axes["batch"]))
    return softmax_correlation_distance(*map(as_float32, pair), tau, mask)


def dist_within_class(
    student_logits: BatchLogits,
    teacher_logits: BatchLogits,
    temperature: Temperature = 1.0,
    where: Samples = None,
) -> PerSample:
    """DIST, intra-class: 1 - Pearson correlation of each class's column of the batch.

        a = p_s - mean(p_s), b = p_t - mean(p_t) over the n samples of one class
        v = mean over classes of 1 - <a, b> / (||a|| ||b|| + 1e-8)

    T. Huang et al., NeurIPS 2022 (arXiv:2205.10536), as above. One number of the
    batch, given to each sample with where > 0; 0 for the others. From 0 to 2. A class
    that is constant over the samples counts as 1, with a zero gradient, so the value
    is 1 for one sample.

    Args:
      student_logits: unnormalised log-probabilities.
      teacher_logits: of the same classes in the same order.
      temperature: a number, a scalar array or [batch]; > 0, finite.
      where: > 0 for the samples that count; None for all.

    >>> import numpy as np
    >>> student, teacher = np.float32([[2, 0], [0, 1]]), np.float32([[5, 0], [1, 0]])
    >>> print(abs(dist_within_class(student, teacher)).round(4))
    [0. 0.]
    """
    samples, *soft = _soft(
        "dist_within_class", student_logits, teacher_logits, temperature, where
    )
    mask = jnp.broadcast_to(samples.mask[:, None], soft[0].shape)
    loss = correlation_distance(*(_centred(x, mask, 0) for x in soft), -2)
    return samples.share(jnp.mean(loss))


def batch_correlation(
    student_logits: BatchLogits,
    teacher_logits: BatchLogits,
    temperature: Temperature = 1.0,
    where: Samples = None,
) -> PerSample:
    """MLKD, batch level: squared distance of the samples' Gram matrices.

        v_i = sum_j ((P_t P_t^T)_ij - (P_s P_s^T)_ij)^2,   P = softmax(z / tau)

    The mean over i is ||P_t P_t^T - P_s P_s^T||^2 / n. Y. Jin et al., CVPR 2023,
    reduced as in its public code, which then multiplies the number by the
    mean of a mask of confident samples: not done here. >= 0.

    Args:
      student_logits: unnormalised log-probabilities.
      teacher_logits: of the same classes in the same order.
      temperature: a number, a scalar array or [batch]; > 0, finite.
      where: > 0 for the samples that count; None for all.

    >>> import numpy as np
    >>> student, teacher = np.float32([[0, 0], [0, 0]]), np.float32([[99, 0], [0, 99]])
    >>> print(batch_correlation(student, teacher))
    [0.5 0.5]
    """
    samples, s, t, gap = _soft(
        "batch_correlation", student_logits, teacher_logits, temperature, where
    )
    # The difference of the products, from that of the predictions: more digits.
    moved = _product(gap, t.T) + _product(s, gap.T)
    return jnp.sum(moved * moved, axis=1)


def class_correlation(
    student_logits: BatchLogits,
    teacher_logits: BatchLogits,
    temperature: Temperature = 1.0,
    where: Samples = None,
) -> PerSample:
    """MLKD, class level: squared distance of the classes' Gram matrices.

        v = ||P_t^T P_t - P_s^T P_s||^2 / classes,   P = softmax(z / tau)

    One number of the batch, given to each sample with where > 0; 0 for the others. The
    products are sums over the samples, so it grows with the square of their number. Y.
    Jin et al., CVPR 2023, reduced as in its public code, without the
    factor of its mask. >= 0.

    Args:
      student_logits: unnormalised log-probabilities.
      teacher_logits: of the same classes in the same order.
      temperature: a number, a scalar array or [batch]; > 0, finite.
      where: > 0 for the samples that count; None for all.

    >>> import numpy as np
    >>> student, teacher = np.float32([[0, 0], [0, 0]]), np.float32([[99, 0], [0, 99]])
    >>> print(class_correlation(student, teacher))
    [0.5 0.5]
    """
    samples, s, t, gap = _soft(
        "class_correlation", student_logits, teacher_logits, temperature, where
    )
    moved = _product(gap.T, t) + _product(s.T, gap)
    return samples.share(jnp.sum(moved * moved) / moved.shape[0])


def standardise(logits: Logits, where: Where = None) -> Float[Array, "*batch classes"]:
    """Logit standardisation (LSKD): each row to mean 0 and standard deviation 1.

        (z - mean(z)) / (std(z) + 1e-7),   std with classes - 1 in its denominator

    S. Sun et al., CVPR 2024 (arXiv:2403.01427); the 1e-7 and the sample
    standard deviation are those of the public code. For both sides, before any loss of
    logits; the gradient flows through mean and std. Constant logits give 0, with a
    zero gradient. A class masked with -inf makes its row NaN; classes for which `where`
    is False are left out of mean and std, and 0.

    >>> import numpy as np
    >>> print(standardise(np.float32([[1, 2, 3], [7, 7, 7]])))
    [[-1.  0.  1.]
     [ 0.  0.  0.]]
    """
    contracts.shapes("standardise", logits=(logits, "*batch classes"))
    mask = None if where is None else counted("standardise", logits, where)
    return _standardise(logits, mask)


@functools.partial(jax.jit, inline=True)
def _standardise(logits, mask) -> Float[Array, "*batch classes"]:
    centred = _centred(as_float32(logits), mask, -1)
    count = _count(centred, mask, -1)
    std = norms(centred) / jnp.sqrt(jnp.maximum(count - 1.0, 1.0))
    constant = std <= 0
    return jnp.where(constant, 0.0, centred / (jnp.where(constant, 1.0, std) + 1e-7))


def batch_standardise(
    logits: BatchLogits, where: Samples = None
) -> Float[Array, "batch classes"]:
    """LumiNet's perception: each class to mean 0 and variance 1 over the batch.

        (z - mean(z)) / sqrt(var(z) + 1e-5),   var with n in its denominator

    M. I. Hossain et al., 2023 (arXiv:2310.03669), in the form of its public code. Over
    the n samples with where > 0; rows of the others are 0. A class that is constant
    over them gives 0.

    >>> import numpy as np
    >>> print(batch_standardise(np.float32([[1, 5], [3, 5]])).round(4))
    [[-1.  0.]
     [ 1.  0.]]
    """
    samples = _samples_of("batch_standardise", where, logits=(logits, "batch classes"))
    z = samples.keep(logits)
    mask = jnp.broadcast_to(samples.mask[:, None], z.shape)
    centred = _centred(z, mask, 0)
    variance = jnp.sum(centred**2, axis=0, keepdims=True) / samples.mean_over
    return centred / jnp.sqrt(variance + 1e-5)


def _samples_of(name: str, where: Samples, **named) -> Subset:
    return subset(name, where, contracts.shapes(name, **named)["batch"])


def _soft(name: str, student, teacher, temperature, where: Samples):
    """The sub-batch, both predictions and student minus teacher; 0 in other rows."""
    samples = _samples_of(
        name,
        where,
        student_logits=(student, "batch classes"),
        teacher_logits=(teacher, "batch classes"),
        temperature=(temperature, "", "batch"),
    )
    tau = column(name, temperature, samples.mask.shape)
    tau = jnp.where(samples.mask[:, None], tau, 1.0)

    a, b, d = softened_pair(samples.keep(student), samples.keep(teacher), tau)
    s, t = jax.nn.softmax(a), jax.nn.softmax(b)
    # The digits of the one and the derivative of the other.
    exact = gap_between(d, jnp.exp(a), jnp.exp(b))
    gap = s - t + jax.lax.stop_gradient(exact - (s - t))
    return samples, *map(samples.keep, (s, t, gap))


def _product(left: Array, right: Array) -> Array:
    return jnp.matmul(left, right, precision=_EXACT)


def _centred(x: Array, mask: Array | None, axis: int) -> Array:
    """x minus its mean over what the mask selects, elsewhere 0; None selects all.

    Twice: the second mean takes off what rounding left, so that a constant is exactly
    0 and not a small vector with a large gradient.
    """
    count = jnp.maximum(_count(x, mask, axis), 1.0)

    def kept(x):
        return x if mask is None else jnp.where(mask, x, 0.0)

    x = kept(x)
    for _ in range(2):
        x = kept(x - jnp.sum(x, axis=axis, keepdims=True) / count)
    return x


def _count(x: Array, mask: Array | None, axis: int) -> Array:
    if mask is None:
        return jnp.full((1,) * x.ndim, x.shape[axis], jnp.float32)
    return jnp.sum(mask, axis=axis, keepdims=True, dtype=jnp.float32)
