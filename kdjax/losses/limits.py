"""The two limits of distillation in the temperature, and distances between logits.

Kim et al., "Comparing Kullback-Leibler Divergence and Mean Squared Error Loss in
Knowledge Distillation", IJCAI 2021 (arXiv:2105.08919). d = s - t throughout.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses.numerics import Logits, PerSample, as_float32, difference


def logit_matching(student_logits: Logits, teacher_logits: Logits) -> PerSample:
    """Exact limit of tau^2 KL(teacher || student) for tau -> infinity.

        1/(2K) sum_k (d_k - mean(d))^2,   gradient (d_k - mean(d)) / K

    Half the population variance over classes of the difference: the mean of the logits
    is free. In logits squared, >= 0. arXiv:2105.08919, Theorem 1, first limit,
    integrated; the constant is 0.

    >>> import numpy as np
    >>> print(logit_matching(np.float32([[3, 1]]), np.float32([[7, 7]])))
    [0.5]
    """
    _same_shape("logit_matching", student_logits, teacher_logits)
    d = difference(student_logits, teacher_logits)
    centred = d - jnp.mean(d, axis=-1, keepdims=True)
    return 0.5 * jnp.mean(centred**2, axis=-1)


def label_matching(student_logits: Logits, teacher_logits: Logits) -> PerSample:
    """Exact limit of tau KL(teacher || student), or (tau^2 KL) / tau, for tau -> 0.

        max_j s_j - s_c,  c = argmax_j t_j,   gradient 1[argmax s = k] - 1[argmax t = k]

    In logits, >= 0; of equal logits the lowest index is the largest. arXiv:2105.08919,
    Theorem 1, second limit. Without the factor 1/tau there is nothing to learn: tau^2
    KL itself tends to 0, and so does its gradient.

    >>> import numpy as np
    >>> print(label_matching(np.float32([[3, 1]]), np.float32([[7, 8]])))
    [2.]
    """
    _same_shape("label_matching", student_logits, teacher_logits)
    student = as_float32(student_logits)

    def at_top(logits):
        # Not max(): its derivative is shared between ties.
        top = jnp.argmax(logits, axis=-1)[:, None]
        return jnp.take_along_axis(student, top, axis=-1)[:, 0]

    return at_top(student) - at_top(as_float32(teacher_logits))


def squared_error(student_logits: Logits, teacher_logits: Logits) -> PerSample:
    """Squared distance between logits, summed over the classes: sum_k d_k^2.

    arXiv:2105.08919, L_MSE as the paper writes it. Unlike `logit_matching` it also
    aligns the mean of the logits.

    >>> import numpy as np
    >>> print(squared_error(np.float32([[3, 1]]), np.float32([[7, 7]])))
    [52.]
    """
    return jnp.sum(
        _difference("squared_error", student_logits, teacher_logits) ** 2, -1
    )


def mean_squared_error(student_logits: Logits, teacher_logits: Logits) -> PerSample:
    """Squared distance between logits, averaged over the classes: 1/K sum_k d_k^2.

    arXiv:2105.08919, L_MSE as the authors' code computes it (https://github.com/
    jhoon-oh/kd_data): K times smaller than `squared_error`; learning rates follow it.


    >>> import numpy as np
    >>> print(mean_squared_error(np.float32([[3, 1]]), np.float32([[7, 7]])))
    [26.]
    """
    d = _difference("mean_squared_error", student_logits, teacher_logits)
    return jnp.mean(d**2, axis=-1)


def smooth_l1(student_logits: Logits, teacher_logits: Logits) -> PerSample:
    """Mean over classes of d^2 / 2 where |d| < 1, of |d| - 1/2 elsewhere.

    Girshick 2015 (arXiv:1504.08083), equation 3; an option of the code of
    arXiv:2105.08919.

    >>> import numpy as np
    >>> print(smooth_l1(np.float32([[3, 1]]), np.float32([[7, 0.5]])))
    [1.8125]
    """
    d = _difference("smooth_l1", student_logits, teacher_logits)
    size = jnp.abs(d)
    return jnp.mean(jnp.where(size < 1, 0.5 * d**2, size - 0.5), axis=-1)


def _same_shape(where: str, student_logits: Logits, teacher_logits: Logits) -> None:
    contracts.shapes(
        where,
        student_logits=(student_logits, "batch classes"),
        teacher_logits=(teacher_logits, "batch classes"),
    )


def _difference(
    where: str, student_logits: Logits, teacher_logits: Logits
) -> Float[Array, "batch classes"]:
    _same_shape(where, student_logits, teacher_logits)
    return as_float32(student_logits) - as_float32(teacher_logits)
