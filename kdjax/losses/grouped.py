"""Divergences between parts of two predictions: within a group of classes, and between
the group and the rest. KL of all classes = between + sum of probability * within.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Integer

from kdjax import contracts
from kdjax.losses.divergence import (
    Column,
    ColumnOf1,
    Comparison,
    Rows,
    compare,
    log_mean_exp,
    softened,
    softened_pair,
    softmax_divergence,
    tangent_of,
)
from kdjax.losses.numerics import (
    LOWEST,
    AnyArray,
    Logits,
    PerSample,
    Temperature,
    as_float32,
    as_number,
    beside,
    check_temperature,
    exists,
    hide,
    one_hot,
    top_of,
)

Group = Bool[Array, "*batch classes"]


def check_pair(
    name: str,
    student_logits: Logits,
    teacher_logits: Logits,
    temperature: Temperature = 1.0,
) -> int:
    """The number of classes; ValueError unless logits agree and are of two or more."""
    axes = contracts.shapes(
        name,
        student_logits=(student_logits, "*batch classes"),
        teacher_logits=(teacher_logits, "*batch classes"),
        temperature=(temperature, "", "*#batch"),
    )
    check_temperature(name, temperature)
    if axes["classes"] < 2:
        raise ValueError(f"{name}: logits of 1 class; expected 2 or more.")
    return axes["classes"]


def at_label(
    name: str, labels: Integer[AnyArray, "*batch"], logits: Logits
) -> tuple[Group, PerSample]:
    """(True at the label, 1): a traced label out of range has no True, and NaN for 1.

    Multiplied onto a loss, the second spoils the value and gradient of such a row.
    """
    axes = contracts.shapes(
        name, logits=(logits, "*batch classes"), labels=(labels, "*batch")
    )
    contracts.labels_in_range(name, labels, axes["classes"])
    classes = axes["classes"]
    return one_hot(labels, classes), exists(labels, classes)


def divergence_within(
    student_logits: Logits,
    teacher_logits: Logits,
    temperature: Temperature,
    group: Group,
) -> PerSample:
    """KL(teacher || student), both renormalised over the group; 0 where it is empty.

    Classes outside have no probability at all: the limit of subtracting ever more from
    their logits. A group of one class gives 0. Nothing is checked.
    """
    hidden = hide("divergence_within", group, student_logits, teacher_logits)
    return softmax_divergence(*hidden, as_number(temperature))


@functools.partial(jax.jit, inline=True)
def cross_entropy_within(
    student_logits: Logits,
    teacher_logits: Logits,
    temperature: Temperature,
    group: Group,
) -> PerSample:
    """`divergence_within` plus the teacher's entropy, whose derivative it has."""
    hidden = hide("cross_entropy_within", group, student_logits, teacher_logits)
    s, t = map(as_float32, hidden)
    loss = _cross_entropy(s, t, beside(temperature, s.ndim - 1))
    return jnp.where(jnp.any(group, axis=-1), loss, 0.0)


@jax.custom_jvp
def _cross_entropy(s: Rows, t: Rows, tau: ColumnOf1) -> PerSample:
    a = softened(s, tau)
    p = jax.nn.softmax(softened(t, tau))
    return jnp.log(jnp.sum(jnp.exp(a), axis=-1)) - jnp.sum(p * a, axis=-1)


@functools.partial(_cross_entropy.defjvp, symbolic_zeros=True)
def _cross_entropy_jvp(primals, tangents):
    a, b, d = softened_pair(*primals)
    both = compare(a, b, d)
    mean = jnp.sum(both.p * a, axis=-1, keepdims=True)
    slopes = (both.residual, both.p * (mean - a))
    cooling = jnp.sum(slopes[0] * a + slopes[1] * b, axis=-1)
    loss = jnp.log(jnp.sum(jnp.exp(a), axis=-1)) - mean[..., 0]
    return loss, tangent_of(slopes, cooling, primals[-1], tangents)


@functools.partial(jax.jit, inline=True, static_argnames="single")
def divergence_between(
    student_logits: Logits,
    teacher_logits: Logits,
    temperature: Temperature,
    group: Group,
    single: bool = False,
) -> PerSample:
    """KL(teacher || student) of two outcomes: a class of the group, or one of the rest.

    With all digits at every temperature, as `kl_divergence`: the log-ratio of a group's
    probabilities comes from the differences of its logits. Nothing is checked; `single`
    says that no group has more than one class, which is faster.
    """
    s, t = as_float32(student_logits), as_float32(teacher_logits)
    return _between(single, group, s, t, beside(temperature, s.ndim - 1))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _between(single: bool, group: Group, s: Rows, t: Rows, tau: ColumnOf1) -> PerSample:
    return _two_outcomes(single, group, *softened_pair(s, t, tau))[0].divergence


@functools.partial(_between.defjvp, symbolic_zeros=True)
def _between_jvp(single, primals, tangents):
    group, *pair, tau = primals
    a, b, d = softened_pair(*pair, tau)
    both, q, p = _two_outcomes(single, group, a, b, d)

    def slope(outcomes, within):
        """Through log sum exp of each side, whose derivative is `within`."""
        return within * jnp.where(group, outcomes[..., :1], outcomes[..., 1:])

    student, teacher = slope(both.residual, q), slope(both.teacher_slope, p)
    cooling = jnp.sum(student * d + (student + teacher) * b, axis=-1)
    return both.divergence, tangent_of((student, teacher), cooling, tau, tangents[1:])


def _two_outcomes(
    single: bool, group: Group, a: Rows, b: Rows, d: Rows
) -> tuple[Comparison, Rows, Rows]:
    """Both sides' probabilities compared, and q and p renormalised within each side."""
    below_a, tops_a = _below_sides(single, group, a)
    below_b, tops_b = _below_sides(single, group, b)
    e_a, e_b = jnp.exp(below_a), jnp.exp(below_b)
    d = d - jnp.where(group, *(x - y for x, y in zip(tops_a, tops_b, strict=True)))
    rest = _of_group(~group, d, e_a, e_b, tops_a[1], tops_b[1])
    of_top = _of_class if single else _of_group
    sides = of_top(group, d, e_a, e_b, tops_a[0], tops_b[0]), rest
    *outcomes, z_a, z_b = zip(*sides, strict=True)
    both = compare(*(jnp.concatenate(x, axis=-1) for x in outcomes))
    return both, e_a / jnp.where(group, *z_a), e_b / jnp.where(group, *z_b)


def _of_group(side: Group, d: Rows, e_a: Rows, e_b: Rows, top_a: Column, top_b: Column):
    """Of one side: log sum exp of both, their difference, the sums without the tops."""
    own_a, own_b = jnp.where(side, e_a, 0.0), jnp.where(side, e_b, 0.0)
    z_a, z_b = (jnp.sum(e, axis=-1, keepdims=True) for e in (own_a, own_b))
    ratio = top_a - top_b + log_mean_exp(d, own_a, own_b, z_a, z_b)
    return top_a + jnp.log(z_a), top_b + jnp.log(z_b), ratio, z_a, z_b


def _of_class(side: Group, d: Rows, e_a: Rows, e_b: Rows, top_a: Column, top_b: Column):
    """`_of_group` of a side of one class."""
    one = jnp.ones_like(top_a)
    # What the difference of the tops has lost is in d.
    return top_a, top_b, top_a - top_b + _at(side, d), one, one


def _below_sides(
    single: bool, group: Group, z: Rows
) -> tuple[Rows, tuple[Column, Column]]:
    """Below the side's own largest: exp() overflows where a side is far below.

    That of a single class is its logit, and has a derivative.
    """
    top = _at(group, z) if single else top_of(jnp.where(group, z, LOWEST))
    tops = top, top_of(jnp.where(group, LOWEST, z))
    return z - jnp.where(group, *tops), tops


def _at(group: Group, x: Rows) -> Column:
    return jnp.sum(jnp.where(group, x, 0.0), axis=-1, keepdims=True)
