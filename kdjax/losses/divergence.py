"""KL between softmaxes: all digits at every temperature, derivatives in closed form.

With u = log q - log p, sum_k p_k exp(u_k) = 1, so KL = sum_k p_k (exp(u_k) - 1 - u_k),
a sum without negative terms; u follows from d = (s - t) / tau as d - log sum_k p_k
exp(d_k). Where an exponent is small its series is used, elsewhere q and p, which are
there anyway: two exponentials an element, as in the textbook form. The derivative in s
is (q - p) / tau and needs no second pass. Compiled, also when called outside jit.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Bool, Float

from kdjax.losses.numerics import (
    LOWEST,
    AnyArray,
    Logits,
    PerSample,
    Temperature,
    as_float32,
    below_top,
    beside,
    difference,
)

Rows = Float[Array, "*batch classes"]
Column = Float[Array, "*batch 1"]
ColumnOf1 = Float[Array, "*#batch 1"]
# (exp(x) - 1) / x and (exp(x) - 1 - x) / x^2 by powers of x, right to 1e-7 up to that
# |x|; beyond, the difference of q and p has lost a digit at most.
_EXPM1, _EXPM1_TO = tuple(1 / math.factorial(n) for n in range(1, 7)), 0.25
_EXCESS, _EXCESS_TO = tuple(1 / math.factorial(n) for n in range(2, 11)), 1.0


class Comparison(NamedTuple):
    """Two predictions p and q, class by class."""

    terms: Rows  # p (exp(u) - 1 - u), whose sum is KL(p || q)
    residual: Rows  # q - p
    p: Rows
    log_ratio: Rows  # u = log q - log p

    @property
    def divergence(self) -> PerSample:
        return jnp.sum(self.terms, axis=-1)

    @property
    def teacher_slope(self) -> Rows:
        """The derivative of the divergence in the logits of p."""
        return -self.p * (self.log_ratio + self.divergence[..., None])


@functools.partial(jax.jit, inline=True)
def softmax_divergence(
    student_logits: Logits, teacher_logits: Logits, temperature: Temperature
) -> PerSample:
    """KL(softmax(t / tau) || softmax(s / tau)); nothing is checked."""
    s, t = as_float32(student_logits), as_float32(teacher_logits)
    return _divergence(s, t, beside(temperature, s.ndim - 1))


@jax.custom_jvp
def _divergence(s: Rows, t: Rows, tau: ColumnOf1) -> PerSample:
    return compare(*softened_pair(s, t, tau)).divergence


@functools.partial(_divergence.defjvp, symbolic_zeros=True)
def _divergence_jvp(primals, tangents):
    a, b, d = softened_pair(*primals)
    both = compare(a, b, d)
    # Summed so that the digits stay: residual = p u + terms, and a = b + d.
    rest = both.terms - both.p * both.divergence[..., None]
    slopes = (both.residual, both.teacher_slope)
    cooling = jnp.sum(both.residual * d + rest * b, axis=-1)
    return both.divergence, tangent_of(slopes, cooling, primals[-1], tangents)


def tangent_of(slopes, cooling, tau, tangents) -> PerSample:
    """(sum over classes of slope * tangent - cooling * tau's) / tau."""
    total = jnp.zeros_like(cooling)
    for slope, tangent in zip(slopes, tangents[:-1], strict=True):
        if not isinstance(tangent, SymbolicZero):
            total += jnp.sum(slope * tangent, axis=-1)
    if not isinstance(tangents[-1], SymbolicZero):
        total -= cooling * tangents[-1][..., 0]
    return total / tau[..., 0]


def softened_pair(s: Rows, t: Rows, tau: ColumnOf1) -> tuple[Rows, Rows, Rows]:
    """(s / tau, t / tau, their difference), each up to a constant of the row.

    The first two are at most 0, and 0 at the row's largest.
    """
    d = jnp.clip(difference(s, t) * (1.0 / tau), LOWEST, -LOWEST)
    return softened(s, tau), softened(t, tau), d


def softened(z: Rows, tau: ColumnOf1) -> Rows:
    """`numerics.soften` by a product, which is faster than a quotient by element."""
    return jnp.maximum(below_top(z) * (1.0 / tau), LOWEST)


def compare(a: Rows, b: Rows, d: Rows) -> Comparison:
    """q = softmax(a) beside p = softmax(b); d is a - b with more digits.

    Nothing is subtracted from a and b before their exponentials.
    """
    e_a, e_b = jnp.exp(a), jnp.exp(b)
    z_a, z_b = (jnp.sum(e, axis=-1, keepdims=True) for e in (e_a, e_b))
    u = d - log_mean_exp(d, e_a, e_b, z_a, z_b)
    return Comparison(*_parts(e_b * (1.0 / z_b), e_a * (1.0 / z_a), u))


def _parts(p: Rows, q: Rows, u: Rows) -> tuple[Rows, Rows, Rows, Rows]:
    """Comparison's fields from both predictions and the logarithm of their ratio."""
    small, z = _small(u, _EXCESS_TO)
    terms = jnp.where(small, p * z * z * _series(_EXCESS, z), q - p - p * u)
    small, z = _small(u, _EXPM1_TO)
    residual = jnp.where(small, p * z * _series(_EXPM1, z), q - p)
    return terms, residual, p, u


def log_mean_exp(d: Rows, e_a: Rows, e_b: Rows, z_a: Column, z_b: Column) -> Column:
    """log(sum e_b exp(d) / z_b), with all digits of a small d.

    Args:
      d: exponents.
      e_a: e_b exp(d), which the caller has without overflow.
      e_b: weights; d does not matter where both are 0.
      z_a, z_b: the sums of the two.
    """
    total = jnp.sum(minus_one(d, e_a, e_b), axis=-1, keepdims=True) / z_b
    near = jnp.abs(total) < 0.5
    # Double where: the branch not taken sees a harmless number.
    return jnp.where(near, jnp.log1p(jnp.where(near, total, 0.0)), jnp.log(z_a / z_b))


def minus_one(d: Rows, e_a: Rows, e_b: Rows | float) -> Rows:
    """e_b (exp(d) - 1), where the caller has e_a = e_b exp(d): digits of a small d."""
    small, z = _small(d, _EXPM1_TO)
    return jnp.where(small, e_b * z * _series(_EXPM1, z), e_a - e_b)


def _small(x: Rows, limit: float) -> tuple[Bool[Array, "*batch classes"], Rows]:
    """Where |x| is up to the limit, and x there."""
    z = jnp.clip(x, -limit, limit)
    return z == x, z


def _series(coefficients: tuple[float, ...], x: Rows) -> Rows:
    total = coefficients[-1]
    for c in coefficients[-2::-1]:
        total = c + x * total
    return total


@functools.partial(jax.jit, inline=True)
def target_divergence(
    student_logits: Logits,
    target: Float[AnyArray, "*batch classes"],
    temperature: Temperature,
) -> PerSample:
    """KL(target || softmax(s / tau)); nothing is checked."""
    s, target = as_float32(student_logits), as_float32(target)
    return _to_target(s, target, beside(temperature, s.ndim - 1))


@jax.custom_jvp
def _to_target(s: Rows, target: Rows, tau: ColumnOf1) -> PerSample:
    return _beside_target(s, target, tau)[1].divergence


@functools.partial(_to_target.defjvp, symbolic_zeros=True)
def _to_target_jvp(primals, tangents):
    target, tau = primals[1:]
    a, both = _beside_target(*primals)
    slopes = (both.residual, jnp.where(target <= 0, 0.0, -both.log_ratio * tau))
    cooling = jnp.sum(both.residual * a, axis=-1)
    return both.divergence, tangent_of(slopes, cooling, tau, tangents)


def _beside_target(s: Rows, target: Rows, tau: ColumnOf1) -> tuple[Rows, Comparison]:
    """The softened logits, and their prediction beside the target."""
    a = softened(s, tau)
    e = jnp.exp(a)
    z = jnp.sum(e, axis=-1, keepdims=True)
    absent = target <= 0  # NaN is there, and spoils the loss as it should
    p = jnp.where(absent, 0.0, target)
    u = a - jnp.log(z) - jnp.log(jnp.where(absent, 1.0, target))
    # With a u that is not small, q is what counts of a class that the target has not.
    u = jnp.where(absent, 2.0 * _EXCESS_TO, u)
    return a, Comparison(*_parts(p, e * (1.0 / z), u))
