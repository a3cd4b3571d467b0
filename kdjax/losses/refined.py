"""Distillation with the label's help, where the teacher is wrong: RLD, and RC.

Sun et al., "Knowledge Distillation with Refined Logits", ICCV 2025 (arXiv:2408.07703);
facts from the public code of zju-SWJ/RLD. RLD = cross entropy + alpha tau_1^2 SCD +
beta tau^2 MCD, the last two warmed up; alpha = 1, tau_1 = 1. CIFAR-100: beta = 8, tau =
4 for all pairs, 20 epochs of warm-up. ImageNet, ResNet-34 -> ResNet-18: 0.5, 1, 1.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax.losses.decoupled import Labels
from kdjax.losses.grouped import (
    at_label,
    check_pair,
    divergence_between,
    divergence_within,
)
from kdjax.losses.logits import kl_divergence
from kdjax.losses.numerics import (
    Logits,
    PerSample,
    Temperature,
    as_float32,
    as_number,
    one_hot,
)


def sample_confidence(
    student_logits: Logits,
    teacher_logits: Logits,
    labels: Labels,
    temperature: Temperature,
) -> PerSample:
    """SCD of RLD: the teacher's largest probability is the student's one of the label.

        p = max_k softmax(t / tau)_k,   q = softmax(s / tau)_y
        SCD = p log(p / q) + (1 - p) log((1 - p) / (1 - q))

    Nats, >= 0, not times tau^2. It is `decoupled_target` after the swap of
    `supervision.probability_shift`: where the teacher is right both are the same.

    Args:
      student_logits, teacher_logits: of two or more classes.
      labels: integers in 0..classes-1; NaN, gradient too, where a traced one is out of
        range, ValueError for a concrete one.
      temperature: as in `kl_divergence`.

    >>> import numpy as np
    >>> s, t = np.float32([[0, 0, 0]]), np.float32([[2, 0, 0]])
    >>> print(sample_confidence(s, t, np.array([1]), 1.0).round(4))
    [0.433]
    """
    name = "sample_confidence"
    classes = check_pair(name, student_logits, teacher_logits, temperature)
    label, valid = at_label(name, labels, student_logits)
    t = as_float32(teacher_logits)
    top = one_hot(jnp.argmax(t, axis=-1), classes)
    swapped = jnp.where(top, _at(label, t), jnp.where(label, _at(top, t), t))
    swapped = jnp.where(label & top, t, swapped)
    return valid * divergence_between(
        student_logits, swapped, as_number(temperature), label, single=True
    )


def masked_correlation(
    student_logits: Logits,
    teacher_logits: Logits,
    labels: Labels,
    temperature: Temperature,
) -> PerSample:
    """MCD of RLD: KL among the classes that the teacher puts below the label.

        below = {k: t_k < t_y};   p' = softmax over below of t_k / tau,  q' of s_k / tau
        MCD = sum_{k in below} p'_k log(p'_k / q'_k)

    Nats, >= 0, not times tau^2; 0 where one class or none is below. Where the teacher
    is right, and no other logit equals its largest, it is `decoupled_nontarget`.
    Arguments as in `sample_confidence`.

    >>> import numpy as np
    >>> s, t = np.float32([[0, 0, 0, 0]]), np.float32([[9, 4, 2, 0]])
    >>> print(masked_correlation(s, t, np.array([1]), 1.0).round(4))
    [0.3278]
    """
    name = "masked_correlation"
    check_pair(name, student_logits, teacher_logits, temperature)
    label, valid = at_label(name, labels, student_logits)
    t = as_float32(teacher_logits)
    below = (t < _at(label, t)) | jnp.isnan(valid)[..., None]  # NaN needs classes
    return valid * divergence_within(student_logits, teacher_logits, temperature, below)


def raise_label(logits: Logits, labels: Labels) -> Float[Array, "*batch classes"]:
    """Logits with the label's raised by the largest: z'_y = z_y + max_k z_k.

    As in the public code of zju-SWJ/RLD, for RC. Not a function of the prediction: it
    depends on the mean of the logits, and where all of them are below 0 the label is
    lowered. Labels as in `sample_confidence`.

    >>> import numpy as np
    >>> print(raise_label(np.float32([[1, 3, 2]]), np.array([0])))
    [[4. 3. 2.]]
    """
    label, valid = at_label("raise_label", labels, logits)
    z = as_float32(logits)
    largest = jnp.max(z, axis=-1, keepdims=True)
    return jnp.where(label, z + largest, z) * valid[..., None]


def label_correction(
    student_logits: Logits,
    reference_logits: Logits,
    labels: Labels,
    temperature: Temperature,
) -> PerSample:
    """RC: KL to logits, as a rule the student's own, whose label is raised.

        RC = KL(softmax(raise_label(r, y) / tau) || softmax(s / tau))

    Nats, >= 0, not times tau^2. RC as published has r = `jax.lax.stop_gradient(s)`,
    weight 0.1, tau = 4 (1 on ImageNet), and stands beside cross entropy and KL to the
    teacher with weight 1 each.

    Args:
      student_logits: what is trained.
      reference_logits: what the label is raised in; losses stop no gradient by
        themselves.
      labels, temperature: as in `sample_confidence`.

    >>> import numpy as np
    >>> s = np.float32([[2, 2]])
    >>> print(label_correction(s, s, np.array([0]), 1.0).round(4))
    [0.3278]
    """
    name = "label_correction"
    check_pair(name, student_logits, reference_logits, temperature)
    at_label(name, labels, student_logits)
    raised = raise_label(reference_logits, labels)
    return kl_divergence(student_logits, raised, temperature)


def _at(mask: Array, values: Array) -> Float[Array, "*batch 1"]:
    """The one value where the mask is True; a choice, since 0 * -inf would be NaN."""
    return jnp.sum(jnp.where(mask, values, 0.0), axis=-1, keepdims=True)
