"""Distillation of the label's probability and of the other classes, as two losses.

DKD: Zhao et al., "Decoupled Knowledge Distillation", CVPR 2022 (arXiv:2203.08679).
NKD: Yang et al., "From Knowledge Distillation to Self-Knowledge Distillation", ICCV
2023 (arXiv:2303.13005). GDKD: public code of ZaberKo/GDKD. In all of them p is the
teacher's prediction, q the student's, y the label; nothing is multiplied by tau^2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Integer

from kdjax import contracts
from kdjax.losses.grouped import (
    at_label,
    check_pair,
    cross_entropy_within,
    divergence_between,
    divergence_within,
)
from kdjax.losses.logits import cross_entropy
from kdjax.losses.numerics import (
    AnyArray,
    Logits,
    PerSample,
    Temperature,
    Where,
    as_float32,
    as_number,
    below_top,
    counted,
    hide,
)

Labels = Integer[AnyArray, "*batch"]


class DecoupledParts(NamedTuple):
    """The three parts of generalised decoupled distillation, [...] each."""

    between: PerSample  # the teacher's k largest classes against the rest
    within_top: PerSample  # among the k largest
    within_rest: PerSample  # among the rest


def decoupled_target(
    student_logits: Logits,
    teacher_logits: Logits,
    labels: Labels,
    temperature: Temperature,
    where: Where = None,
) -> PerSample:
    """TCKD of DKD: KL between (p_y, 1 - p_y) and (q_y, 1 - q_y), one value per sample.

        p = softmax(t / tau),  q = softmax(s / tau)
        TCKD = p_y log(p_y / q_y) + (1 - p_y) log((1 - p_y) / (1 - q_y))

    Nats, >= 0, not times tau^2; relative precision as `kl_divergence`, which is TCKD +
    (1 - p_y) NCKD. arXiv:2203.08679, section 3.1. DKD weighs it by alpha = 1.

    Args:
      student_logits, teacher_logits: of two or more classes.
      labels: integers in 0..classes-1; NaN, gradient too, where a traced one is out of
        range, ValueError for a concrete one.
      temperature, where: as in `kl_divergence`.

    >>> import numpy as np
    >>> s, t = np.float32([[0, 0, 0]]), np.float32([[2, 0, 0]])
    >>> print(decoupled_target(s, t, np.array([0]), 1.0).round(4))
    [0.433]
    """
    name = "decoupled_target"
    check_pair(name, student_logits, teacher_logits, temperature)
    label, valid = at_label(name, labels, student_logits)
    pair = hide(name, where, student_logits, teacher_logits)
    tau = as_number(temperature)
    return valid * divergence_between(*pair, tau, label, single=True)


def decoupled_nontarget(
    student_logits: Logits,
    teacher_logits: Logits,
    labels: Labels,
    temperature: Temperature,
    where: Where = None,
) -> PerSample:
    """NCKD of DKD: KL between the classes other than the label, one value per sample.

        p' = softmax over k != y of t_k / tau,  q' of s_k / tau
        NCKD = sum_{k != y} p'_k log(p'_k / q'_k)

    Nats, >= 0, not times tau^2; 0 with two classes. The label is left out exactly; the
    authors' code subtracts 1000 from its logit after the division by tau, which gives
    the same unless the label is some 900 tau above all others. arXiv:2203.08679,
    section 3.1. DKD weighs it by beta, from 2 to 8 on CIFAR-100 by pair of networks.

    Arguments as in `decoupled_target`.

    >>> import numpy as np
    >>> s, t = np.float32([[0, 0, 0]]), np.float32([[9, 2, 0]])
    >>> print(decoupled_nontarget(s, t, np.array([0]), 1.0).round(4))
    [0.3278]
    """
    name = "decoupled_nontarget"
    check_pair(name, student_logits, teacher_logits, temperature)
    label, valid = at_label(name, labels, student_logits)
    others = ~label & counted(name, student_logits, where)
    return valid * divergence_within(
        student_logits, teacher_logits, temperature, others
    )


def normalised_target(
    student_logits: Logits,
    teacher_logits: Logits,
    labels: Labels,
    where: Where = None,
) -> PerSample:
    """The label's part of NKD: cross entropy weighed by the teacher's confidence in it.

        L = - p_y log q_y,   p = softmax(t),  q = softmax(s), both at temperature 1

    Nats, >= 0. arXiv:2303.13005, the loss as in the authors' code; the first part of
    WKD-L too. It stands beside the plain cross entropy. Arguments as there.

    >>> import numpy as np
    >>> s, t = np.float32([[0, 0]]), np.float32([[0, 0]])
    >>> print(normalised_target(s, t, np.array([0])).round(4))
    [0.3466]
    """
    name = "normalised_target"
    check_pair(name, student_logits, teacher_logits)
    label, valid = at_label(name, labels, student_logits)
    (teacher,) = hide(name, where, teacher_logits)
    p = jax.nn.softmax(below_top(teacher))
    at_y = jnp.sum(jnp.where(label, p, 0.0), axis=-1)
    return valid * at_y * cross_entropy(student_logits, labels, where=where)


def normalised_nontarget(
    student_logits: Logits,
    teacher_logits: Logits,
    labels: Labels,
    temperature: Temperature,
    where: Where = None,
) -> PerSample:
    """The other classes' part of NKD: cross entropy, both sides renormalised.

        L = - sum_{k != y} p'_k log q'_k,   p' and q' as in `decoupled_nontarget`

    That is `decoupled_nontarget` plus the entropy of p', so the student's gradient is
    the same, with as many digits near equality. Nats, >= 0; NKD multiplies by
    gamma tau^2, gamma = 1.5 and tau = 1 by default, which this does not.
    arXiv:2303.13005. Arguments as in `decoupled_target`.

    >>> import numpy as np
    >>> s, t = np.float32([[5, 0, 0]]), np.float32([[0, 1, 1]])
    >>> print(normalised_nontarget(s, t, np.array([0]), 1.0).round(4))
    [0.6931]
    """
    name = "normalised_nontarget"
    check_pair(name, student_logits, teacher_logits, temperature)
    label, valid = at_label(name, labels, student_logits)
    others = ~label & counted(name, student_logits, where)
    pair = (student_logits, teacher_logits)
    return valid * cross_entropy_within(*pair, as_number(temperature), others)


def generalised_decoupled(
    student_logits: Logits,
    teacher_logits: Logits,
    temperature: Temperature,
    k: int = 5,
    where: Where = None,
) -> DecoupledParts:
    """GDKD: the three parts of KL, the teacher's k largest in the label's place.

        between = KL((P, 1 - P) || (Q, 1 - Q)),  P and Q the probability of the k
        within_top = KL among the k,   within_rest = KL among the others
        KL = between + P within_top + (1 - P) within_rest

    Nats, >= 0 each, not times tau^2. No labels; of equal logits the first counts as the
    larger. As in the public code of ZaberKo/GDKD with its default, the forward KL,
    which adds w_0 between + w_1 within_top + w_2 within_rest; for CIFAR-100 w_0 = 1,
    k = 5 and (w_1, w_2) from (1, 1) to (2, 8) depending on the networks.

    Args:
      student_logits, teacher_logits: of two or more classes.
      temperature, where: as in `kl_divergence`.
      k: from 1 to classes - 1; ValueError for others.

    >>> import numpy as np
    >>> s, t = np.zeros((1, 4), np.float32), np.float32([[2, 1, 0, 0]])
    >>> print(*(x.round(2) for x in generalised_decoupled(s, t, 1.0, k=2)))
    [0.24] [0.11] [0.]
    """
    name = "generalised_decoupled"
    classes = check_pair(name, student_logits, teacher_logits, temperature)
    contracts.whole(name, "k", k, 1, classes - 1)
    mask = counted(name, student_logits, where)
    pair = hide(name, where, student_logits, teacher_logits)
    _, largest = jax.lax.top_k(as_float32(pair[1]), k)
    top = jnp.any(jax.nn.one_hot(largest, classes, dtype=bool), axis=-2)
    return DecoupledParts(
        divergence_between(*pair, as_number(temperature), top),
        divergence_within(*pair, temperature, top & mask),
        divergence_within(*pair, temperature, ~top & mask),
    )
