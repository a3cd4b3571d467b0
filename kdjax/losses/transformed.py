"""KL between predictions that are transformed first: powers, or smaller margins.

TTM and WTTM: Zheng, Yang, "Knowledge Distillation Based on Transformed Teacher
Matching", ICLR 2024 (arXiv:2402.11148). MKL: public code of lan-long/NTCE-KD.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses.decoupled import Labels
from kdjax.losses.grouped import at_label, check_pair
from kdjax.losses.logits import kl_divergence
from kdjax.losses.numerics import (
    Logits,
    PerSample,
    Scalar,
    Temperature,
    Where,
    as_float32,
    as_number,
    below_top,
    one_hot,
)

MKL_FACTORS = (2.0, 1.5, 1.0, 0.5, 0.0, -0.5, -1.0)


def transformed_teacher_matching(
    student_logits: Logits,
    teacher_logits: Logits,
    power: Scalar,
    where: Where = None,
) -> PerSample:
    """TTM: KL to a power of the teacher's prediction, the student at temperature 1.

        q_k = softmax(t)_k^g / sum_c softmax(t)_c^g = softmax(g t)_k
        TTM = sum_k q_k log(q_k / softmax(s)_k)

    A temperature of 1 / g on the teacher alone. Nats, >= 0; there is no tau^2 to
    multiply by. arXiv:2402.11148; its code's example has g = 0.1 and a weight of 45
    beside cross entropy.

    Args:
      student_logits, teacher_logits: of two or more classes.
      power: g, > 0.
      where: as in `kl_divergence`.

    >>> import numpy as np
    >>> s, t = np.float32([[0, 0]]), np.float32([[20, 0]])
    >>> print(transformed_teacher_matching(s, t, 0.1).round(4))
    [0.3278]
    """
    name = "transformed_teacher_matching"
    check_pair(name, student_logits, teacher_logits)
    contracts.positive(name, "power", power)
    teacher = as_number(power) * as_float32(teacher_logits)
    return kl_divergence(student_logits, teacher, 1.0, where)


def transformed_teacher_weight(teacher_logits: Logits, power: Scalar) -> PerSample:
    """WTTM's weight of each sample: how far the teacher's prediction is from sure.

        U = sum_c softmax(t)_c^g

    From 1, where one class has all of the probability, to C^(1 - g) for a uniform
    prediction, with g < 1. WTTM is U times `transformed_teacher_matching`, averaged
    over the batch without dividing by the weights' sum. arXiv:2402.11148.

    >>> import numpy as np
    >>> print(transformed_teacher_weight(np.float32([[0, 0], [99, 0]]), 0.5).round(4))
    [1.4142 1.    ]
    """
    name = "transformed_teacher_weight"
    contracts.shapes(name, teacher_logits=(teacher_logits, "*batch classes"))
    contracts.positive(name, "power", power)
    log_p = jax.nn.log_softmax(below_top(teacher_logits))
    return jnp.sum(jnp.exp(as_number(power) * log_p), axis=-1)


def shrink_margin(
    student_logits: Logits,
    teacher_logits: Logits,
    labels: Labels,
    factor: Scalar | Float[Array, ""],
) -> tuple[Float[Array, "*batch classes"], Float[Array, "*batch classes"]]:
    """(student, teacher) logits of MKL: less at the label, less at the teacher's class.

        m = t_(1) - t_(2),  the teacher's two largest logits
        t' = t - f m at the teacher's largest,   s' = s - f m at the label

    At f = 1 the teacher's two largest are equal, at f = 0 nothing changes. Both sides
    move by the teacher's margin, at different classes where the teacher is wrong. As in
    the public code of lan-long/NTCE-KD.

    Args:
      student_logits, teacher_logits: of two or more classes.
      labels: integers; NaN where a traced one is out of range, ValueError for a
        concrete one.
      factor: f, of any sign.

    >>> import numpy as np
    >>> s, t = np.float32([[1, 2, 3]]), np.float32([[7, 4, 0]])
    >>> print(*shrink_margin(s, t, np.array([2]), 2.0))
    [[ 1.  2. -3.]] [[1. 4. 0.]]
    """
    name = "shrink_margin"
    classes = check_pair(name, student_logits, teacher_logits)
    label, valid = at_label(name, labels, student_logits)
    s, t = as_float32(student_logits), as_float32(teacher_logits)
    contracts.number(name, "factor", factor)
    two, place = jax.lax.top_k(t, 2)
    margin = (as_number(factor) * (two[..., 0] - two[..., 1]))[..., None]
    top = one_hot(place[..., 0], classes)
    shrunk = jnp.where(label, s - margin, s) * valid[..., None]
    return shrunk, jnp.where(top, t - margin, t)


def magnitude_enhanced_kl(
    student_logits: Logits,
    teacher_logits: Logits,
    labels: Labels,
    temperature: Temperature,
    factors: tuple[float, ...] = MKL_FACTORS,
) -> PerSample:
    """MKL of NTCE-KD: the mean KL over several changes of the margin (`shrink_margin`).

        MKL = 1/F sum_f KL(softmax(t'_f / tau) || softmax(s'_f / tau))

    Nats, >= 0, not times tau^2. Factors above 0 raise the other classes' share. As in
    the public code of lan-long/NTCE-KD, whose published numbers belong to the default
    factors, tau = 4 and a weight of 8 (2 for resnet56 -> resnet20) on CIFAR-100.

    Args:
      student_logits, teacher_logits, labels: as in `shrink_margin`.
      temperature: as in `kl_divergence`.
      factors: one or more numbers of any sign; 0 is plain KL.

    >>> import numpy as np
    >>> s, t = np.float32([[0, 0]]), np.float32([[2, 0]])
    >>> print(magnitude_enhanced_kl(s, t, np.array([0]), 1.0, (0.0,)).round(4))
    [0.3278]
    """
    name = "magnitude_enhanced_kl"
    check_pair(name, student_logits, teacher_logits, temperature)
    at_label(name, labels, student_logits)
    if isinstance(factors, tuple | list) and not factors:
        raise ValueError(f"{name}: factors is empty; expected one or more numbers.")
    contracts.shapes(name, factors=(factors, "factors"))
    for factor in factors:
        contracts.number(name, "factors", factor)

    def at(factor):
        shrunk = shrink_margin(student_logits, teacher_logits, labels, factor)
        return kl_divergence(*shrunk, temperature)

    return jnp.mean(jax.vmap(at)(jnp.asarray(factors, jnp.float32)), axis=0)
