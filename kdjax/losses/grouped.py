"""Divergences between parts of two predictions: within a group of classes, and between
the group and the rest. KL of all classes = between + sum of probability * within.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

from kdjax import contracts
from kdjax.losses.logits import kl_divergence
from kdjax.losses.numerics import (
    LOWEST,
    AnyArray,
    Logits,
    PerSample,
    Temperature,
    as_float32,
    column,
    difference,
    excess,
    log_mean_exp,
    one_hot,
    one_or_nan,
    soften,
)

Group = Bool[Array, "batch classes"]


def check_pair(
    where: str,
    student_logits: Logits,
    teacher_logits: Logits,
    temperature: Temperature = 1.0,
) -> int:
    """The number of classes; ValueError unless logits agree and are of two or more."""
    axes = contracts.shapes(
        where,
        student_logits=(student_logits, "batch classes"),
        teacher_logits=(teacher_logits, "batch classes"),
        temperature=(temperature, "", "batch"),
    )
    column(where, temperature, axes["batch"])
    if axes["classes"] < 2:
        raise ValueError(f"{where}: logits of 1 class; expected 2 or more.")
    return axes["classes"]


def at_label(
    where: str, labels: Integer[AnyArray, " batch"], logits: Logits
) -> tuple[Group, PerSample]:
    """(True at the label, 1): a traced label out of range has no True, and NaN for 1.

    Multiplied onto a loss, the second spoils the value and gradient of such a row.
    """
    axes = contracts.shapes(
        where, logits=(logits, "batch classes"), labels=(labels, "batch")
    )
    contracts.labels_in_range(where, labels, axes["classes"])
    label = one_hot(labels, axes["classes"])
    return label, one_or_nan(jnp.any(label, axis=-1))


def divergence_within(
    student_logits: Logits,
    teacher_logits: Logits,
    temperature: Temperature,
    group: Group,
) -> PerSample:
    """KL(teacher || student), both renormalised over the group; 0 where it is empty.

    Classes outside have no probability at all: the limit of subtracting ever more from
    their logits. A group of one class gives 0.
    """
    some = jnp.any(group, axis=-1)
    group = group | ~some[:, None]  # an empty row is computed whole, then left out
    student, teacher = (
        jnp.where(group, as_float32(z), -jnp.inf)
        for z in (student_logits, teacher_logits)
    )
    return jnp.where(some, kl_divergence(student, teacher, temperature), 0.0)


def divergence_between(
    student_logits: Logits,
    teacher_logits: Logits,
    temperature: Temperature,
    group: Group,
) -> PerSample:
    """KL(teacher || student) of two outcomes: a class of the group, or one of the rest.

    With all digits at every temperature, as `kl_divergence`: the log-ratio of a group's
    probabilities comes from the differences of its logits.
    """
    tau = column("divergence_between", temperature, len(group))
    s, t = soften(student_logits, tau), soften(teacher_logits, tau)
    d = jnp.clip(difference(student_logits, teacher_logits) / tau, LOWEST, -LOWEST)
    log_z_s = jax.nn.logsumexp(s, axis=-1, keepdims=True)
    log_z_t = jax.nn.logsumexp(t, axis=-1, keepdims=True)
    parts = [_unnormalised(s, t, d, part) for part in (group, ~group)]
    log_s, log_t, ratio = (jnp.concatenate(x, -1) for x in zip(*parts, strict=True))
    p = jnp.exp(log_t - log_z_t)
    ratio -= log_mean_exp(p, ratio, jnp.exp(log_s - log_z_t), log_z_s - log_z_t)
    return jnp.sum(excess(p, ratio, jnp.exp(log_s - log_z_s)), axis=-1)


def _unnormalised(
    s: Float[Array, "batch classes"],
    t: Float[Array, "batch classes"],
    d: Float[Array, "batch classes"],
    group: Group,
) -> tuple[Float[Array, "batch 1"], Float[Array, "batch 1"], Float[Array, "batch 1"]]:
    """log sum exp(s), log sum exp(t) over the group, and the first minus the second."""
    s, t = (jnp.where(group, z, LOWEST) for z in (s, t))
    # Below the group's own largest: else exp() overflows where a group is far below.
    top_s, top_t = (
        jax.lax.stop_gradient(jnp.max(z, axis=-1, keepdims=True)) for z in (s, t)
    )
    s, t, shift = s - top_s, t - top_t, top_s - top_t
    log_s = jax.nn.logsumexp(s, axis=-1, keepdims=True)
    log_t = jax.nn.logsumexp(t, axis=-1, keepdims=True)
    mean = log_mean_exp(
        jnp.exp(t - log_t), d - shift, jnp.exp(s - log_t), log_s - log_t
    )
    return top_s + log_s, top_t + log_t, shift + mean
