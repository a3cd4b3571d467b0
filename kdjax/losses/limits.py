"""The two limits of distillation in the temperature, and distances between logits.

Kim et al., "Comparing Kullback-Leibler Divergence and Mean Squared Error Loss in
Knowledge Distillation", IJCAI 2021 (arXiv:2105.08919). d = s - t throughout. `where`
is True for the classes that count, [classes] or [..., classes], and K their number.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from kdjax import contracts
from kdjax.losses.numerics import (
    Logits,
    PerSample,
    Where,
    as_float32,
    counted,
    difference,
    hide,
    mean_of,
    one_or_nan,
)

Mask = Bool[Array, "*batch classes"] | None


def logit_matching(
    student_logits: Logits, teacher_logits: Logits, where: Where = None
) -> PerSample:
    """Exact limit of tau^2 KL(teacher || student) for tau -> infinity.

        1/(2K) sum_k (d_k - mean(d))^2,   gradient (d_k - mean(d)) / K

    Half the population variance over classes of the difference: the mean of the logits
    is free. In logits squared, >= 0. arXiv:2105.08919, Theorem 1, first limit,
    integrated; the constant is 0.

    >>> import numpy as np
    >>> print(logit_matching(np.float32([[3, 1]]), np.float32([[7, 7]])))
    [0.5]
    """
    name = "logit_matching"
    _same_shape(name, student_logits, teacher_logits)
    pair = hide(name, where, student_logits, teacher_logits)
    return _logit_matching(*pair, _mask(name, student_logits, where))


@functools.partial(jax.jit, inline=True)
def _logit_matching(student_logits, teacher_logits, mask) -> PerSample:
    pair = (as_float32(student_logits), as_float32(teacher_logits))
    return _half_variance(*pair, mask)


@jax.custom_jvp
def _half_variance(s: Array, t: Array, mask: Mask) -> PerSample:
    return 0.5 * _mean(_centred(s, t, mask) ** 2, mask)


@_half_variance.defjvp
def _half_variance_jvp(primals, tangents):
    centred, mask = _centred(*primals), primals[-1]
    slope = _mean(centred * (tangents[0] - tangents[1]), mask)
    return 0.5 * _mean(centred**2, mask), slope


def _centred(s: Array, t: Array, mask: Mask) -> Array:
    d = difference(s, t)
    return d - _mean(d, mask)[..., None]


def label_matching(
    student_logits: Logits, teacher_logits: Logits, where: Where = None
) -> PerSample:
    """Exact limit of tau KL(teacher || student), or (tau^2 KL) / tau, for tau -> 0.

        max_j s_j - s_c,  c = argmax_j t_j,   gradient 1[argmax s = k] - 1[argmax t = k]

    In logits, >= 0; of equal logits the lowest index is the largest. arXiv:2105.08919,
    Theorem 1, second limit. Without the factor 1/tau there is nothing to learn: tau^2
    KL itself tends to 0, and so does its gradient.

    >>> import numpy as np
    >>> print(label_matching(np.float32([[3, 1]]), np.float32([[7, 8]])))
    [2.]
    """
    name = "label_matching"
    _same_shape(name, student_logits, teacher_logits)
    student, teacher = hide(name, where, student_logits, teacher_logits)
    student, teacher = as_float32(student), as_float32(teacher)

    def at_top(logits):
        # Not max(): its derivative is shared between ties.
        top = jnp.argmax(logits, axis=-1)[..., None]
        return jnp.take_along_axis(student, top, axis=-1)[..., 0]

    # argmax names NaN's class, where the student's logit may be any number.
    valid = ~jnp.any(jnp.isnan(teacher), axis=-1)
    return (at_top(student) - at_top(teacher)) * one_or_nan(valid)


def squared_error(
    student_logits: Logits, teacher_logits: Logits, where: Where = None
) -> PerSample:
    """Squared distance between logits, summed over the classes: sum_k d_k^2.

    arXiv:2105.08919, L_MSE as the paper writes it. Unlike `logit_matching` it also
    aligns the mean of the logits.

    >>> import numpy as np
    >>> print(squared_error(np.float32([[3, 1]]), np.float32([[7, 7]])))
    [52.]
    """
    return _reduced(
        "squared_error", _square, _sum, student_logits, teacher_logits, where
    )


def mean_squared_error(
    student_logits: Logits, teacher_logits: Logits, where: Where = None
) -> PerSample:
    """Squared distance between logits, averaged over the classes: 1/K sum_k d_k^2.

    arXiv:2105.08919, L_MSE as the authors' code computes it (https://github.com/
    jhoon-oh/kd_data): K times smaller than `squared_error`; learning rates follow it.


    >>> import numpy as np
    >>> print(mean_squared_error(np.float32([[3, 1]]), np.float32([[7, 7]])))
    [26.]
    """
    return _reduced(
        "mean_squared_error", _square, _mean, student_logits, teacher_logits, where
    )


def smooth_l1(
    student_logits: Logits, teacher_logits: Logits, where: Where = None
) -> PerSample:
    """Mean over classes of d^2 / 2 where |d| < 1, of |d| - 1/2 elsewhere.

    Girshick 2015 (arXiv:1504.08083), equation 3; an option of the code of
    arXiv:2105.08919.

    >>> import numpy as np
    >>> print(smooth_l1(np.float32([[3, 1]]), np.float32([[7, 0.5]])))
    [1.8125]
    """
    return _reduced("smooth_l1", _huber, _mean, student_logits, teacher_logits, where)


def _same_shape(name: str, student_logits: Logits, teacher_logits: Logits) -> None:
    contracts.shapes(
        name,
        student_logits=(student_logits, "*batch classes"),
        teacher_logits=(teacher_logits, "*batch classes"),
    )


def _reduced(name: str, penalty, reduce, student, teacher, where: Where) -> PerSample:
    """The penalty of each class's difference, reduced over those that count."""
    _same_shape(name, student, teacher)
    mask = _mask(name, student, where)
    return _of_difference(penalty, reduce, student, teacher, mask)


@functools.partial(jax.jit, inline=True, static_argnames=("penalty", "reduce"))
def _of_difference(penalty, reduce, student, teacher, mask) -> PerSample:
    s, t = as_float32(student), as_float32(teacher)
    if mask is not None:  # before the difference: inf - inf has a gradient of NaN
        s, t = jnp.where(mask, s, 0.0), jnp.where(mask, t, 0.0)
    return reduce(penalty(s - t), mask)


def _square(d: Array) -> Array:
    return d**2


def _huber(d: Array) -> Array:
    size = jnp.abs(d)
    return jnp.where(size < 1, 0.5 * d**2, size - 0.5)


def _mask(name: str, logits: Logits, where: Where) -> Mask:
    return None if where is None else counted(name, logits, where)


def _sum(x: Float[Array, "*batch classes"], mask: Mask) -> PerSample:
    return jnp.sum(x, axis=-1, where=mask)


def _mean(x: Float[Array, "*batch classes"], mask: Mask) -> PerSample:
    return jnp.mean(x, axis=-1) if mask is None else mean_of(x, mask)
