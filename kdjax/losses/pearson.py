"""1 - Pearson correlation: all digits where two vectors nearly agree, closed slopes.

With a and b centred and c = a - b, their unit vectors differ by

    v = a / |a| - b / |b| = (c - (|a| - |b|) b / |b|) / |a|,   1 - cos = |v|^2 / 2,

where |a| - |b| = <c, a + b> / (|a| + |b|), and a and b may be exchanged on the right,
but for c: divided by the longer of the two, v is as good as c is. With L = 1 - <a, b> /
(|a| |b| + eps) the derivative in a is (v - L a / |a|) |b| / (|a| |b| + eps), which is 0
at equality without a difference of numbers near 1.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Bool

from kdjax.losses.divergence import (
    ColumnOf1,
    Rows,
    minus_one,
    softened_pair,
    tangent_of,
)
from kdjax.losses.numerics import PerSample
from kdjax.losses.subset import norms

_EPS = 1e-8  # of the public code of DIST


class Comparison(NamedTuple):
    """Two centred vectors along an axis, which all fields keep."""

    loss: Array  # 1 - <a, b> / (|a| |b| + eps); 1 where a or b is 0
    a_slope: Array  # its derivative in a; 0 where a or b is 0
    b_slope: Array


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def correlation_distance(a: Array, b: Array, c: Array, axis: int) -> Array:
    """1 - <a, b> / (|a| |b| + 1e-8) along an axis.

    Args:
      a, b: centred.
      c: a - b with more digits than a and b have; it has no derivative of its own.
      axis: of the vectors, from the end.
    """
    return jnp.squeeze(compare(a, b, c, axis).loss, axis)


@functools.partial(correlation_distance.defjvp, symbolic_zeros=True)
def _correlation_distance_jvp(axis, primals, tangents):
    both = compare(*primals, axis)
    total = jnp.zeros_like(both.loss)
    for slope, tangent in zip((both.a_slope, both.b_slope), tangents, strict=False):
        if not isinstance(tangent, SymbolicZero):
            total += jnp.sum(slope * tangent, axis=axis, keepdims=True)
    return tuple(jnp.squeeze(x, axis) for x in (both.loss, total))


def compare(a: Array, b: Array, c: Array, axis: int) -> Comparison:
    """The loss and its slopes; arguments as in `correlation_distance`."""
    length_a, length_b = norms(a, axis), norms(b, axis)
    product = length_a * length_b
    absent = product <= 0

    def inverse(x):
        return jnp.where(absent, 0.0, 1.0 / jnp.where(absent, 1.0, x))

    unit_a, unit_b = a * inverse(length_a), b * inverse(length_b)
    excess = jnp.sum(c * (a + b), axis, keepdims=True) * inverse(length_a + length_b)
    shorter = jnp.where(length_a > length_b, unit_b, unit_a)
    v = (c - excess * shorter) * inverse(jnp.maximum(length_a, length_b))
    distance = 0.5 * jnp.sum(v * v, axis=axis, keepdims=True)
    loss = jnp.where(absent, 1.0, (product * distance + _EPS) / (product + _EPS))
    scale = jnp.where(absent, 0.0, 1.0 / (product + _EPS))
    a_slope = length_b * scale * (v - loss * unit_a)
    b_slope = length_a * scale * (-v - loss * unit_b)
    return Comparison(loss, a_slope, b_slope)


@functools.partial(jax.jit, inline=True)
def softmax_correlation_distance(
    student: Rows, teacher: Rows, tau: ColumnOf1, mask: Bool[Array, "..."] | None
) -> PerSample:
    """That of softmax(student / tau) and of the teacher's; the mask says what counts.

    Logits are -inf where it does not, and nothing is checked.
    """
    return _of_softmax(student, teacher, tau, mask)


@jax.custom_jvp
def _of_softmax(s: Rows, t: Rows, tau: ColumnOf1, mask) -> PerSample:
    *centred, _, _ = _centred_softmaxes(*softened_pair(s, t, tau), mask)
    return compare(*centred, -1).loss[..., 0]


@functools.partial(_of_softmax.defjvp, symbolic_zeros=True)
def _of_softmax_jvp(primals, tangents):
    s, t, tau, mask = primals
    a, b, d = softened_pair(s, t, tau)
    *centred, q, p = _centred_softmaxes(a, b, d, mask)
    both = compare(*centred, -1)
    slopes = _through(q, both.a_slope), _through(p, both.b_slope)
    cooling = jnp.sum(slopes[0] * a + slopes[1] * b, axis=-1)
    return both.loss[..., 0], tangent_of(slopes, cooling, tau, tangents[:3])


def _through(p: Rows, slope: Rows) -> Rows:
    """The slope in the logits of which p is the softmax."""
    return p * (slope - jnp.sum(p * slope, axis=-1, keepdims=True))


def _centred_softmaxes(a: Rows, b: Rows, d: Rows, mask):
    """(q, p centred, their difference; q, p) of `softened_pair`."""
    classes = a.shape[-1]
    if mask is not None:
        classes = jnp.sum(mask, axis=-1, keepdims=True, dtype=jnp.float32)
        classes = jnp.maximum(classes, 1.0)

    def of_side(e):
        """Its softmax, centred and as it is."""
        z = jnp.sum(e, axis=-1, keepdims=True)
        # Of equal logits e is 1 and z the number of classes: this is exactly 0.
        centred = (e - z / classes) * (1.0 / z)
        kept = centred if mask is None else jnp.where(mask, centred, 0.0)
        return kept, e * (1.0 / z)

    e_a, e_b = jnp.exp(a), jnp.exp(b)
    (own_a, q), (own_b, p) = of_side(e_a), of_side(e_b)
    return own_a, own_b, gap_between(d, e_a, e_b), q, p


def gap_between(d: Rows, e_a: Rows, e_b: Rows) -> Rows:
    """q - p = e_a / z_a - e_b / z_b, with the digits of e_a / e_b = exp(d)."""
    z_a, z_b = (jnp.sum(e, axis=-1, keepdims=True) for e in (e_a, e_b))
    moved = minus_one(d, e_a, e_b)
    share = jnp.sum(moved, axis=-1, keepdims=True) * (1.0 / z_b)
    return (moved - e_b * share) * (1.0 / z_a)
