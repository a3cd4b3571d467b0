"""KDSVD: relations between the top singular vectors of consecutive feature maps."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses.maps import EXACT, MAPS, check_choice, l2_normalise
from kdjax.losses.numerics import AnyArray, PerSample, as_float32

# Of the squared singular values, relative to the largest one: a smaller gap bounds the
# derivative of the vectors, which is infinite where two values are equal.
_GAP = 1e-5
# Relative to the largest value: below, the direction is rounding and is left out.
_RANK = 1e-6
# The student's vectors from which the best aligned is taken: this many more than k.
_MORE = 3


def singular_vector_rbf(
    students: Sequence[Float[AnyArray, "batch _ _ _"]],
    teachers: Sequence[Float[AnyArray, "batch _ _ _"]],
    k: int = 1,
    form: str = "repdistiller",
) -> PerSample:
    """KDSVD: RBF relations of top singular vectors between levels, squared distance.

        R^l_ijm = exp(-(v^l_im - v^(l-1)_jm)^2 / 8)
        sum_{l>0} sum_ijm (R^l_ijm of the student - R^l_ijm of the teacher)^2

    v^l are the first k right singular vectors of level l times the teacher's singular
    values, normalised over the k: with k = 1 those are 1 and drop out. For each of the
    teacher's vectors the student has the one of its first k + 3 with the largest
    |cosine|, turned to the teacher's side.

    Two losses have this name. "repdistiller" decomposes [height * width, channels] of a
    sample and needs equal channels; "mdistiller" decomposes [channels * height, width]
    and needs equal widths. RepDistiller publishes no number; weight 1 is mdistiller's.
    Lee, Kim, Song 2018 (arXiv:1807.06819).

    The sign of a singular vector is free and the relation of two levels depends on it:
    here the teacher's largest entry is positive, where the public codes take what the
    decomposition gives. The derivative of the vectors is damped where squared singular
    values differ by less than 1e-5 of the largest; vectors below 1e-6 of the largest
    value are 0, and so is all of a map of zeros, with its gradient.

    Args:
      students: maps [batch, height, width, channels], first level to last, two or more.
      teachers: as many maps.
      k: vectors per level, from 1 to the smallest rank.
      form: "repdistiller" or "mdistiller".

    Raises:
      ValueError: fewer than two levels, counts that differ, k out of range, and, named
        by level, channels (or widths) that differ.

    >>> import numpy as np
    >>> levels = [np.random.default_rng(0).normal(size=(1, 3, 3, c)) for c in (2, 4)]
    >>> print(singular_vector_rbf(levels, levels))
    [0.]
    """
    where = "singular_vector_rbf"
    check_choice(where, "form", form, ("repdistiller", "mdistiller"))
    _check(where, students, teachers, form)
    loss, before = 0.0, None
    for student, teacher in zip(students, teachers, strict=True):
        s, t = (_matrix(as_float32(maps), form) for maps in (student, teacher))
        rank = min(*s.shape[1:], *t.shape[1:])
        contracts.whole(where, "k", k, 0)
        if not 1 <= k <= rank:
            raise ValueError(f"{where}: k is {k!r}; expected 1 to {rank}, the rank.")
        now = _vectors(s, t, k)
        if before is not None:
            d = _relation(now[0], before[0]) - _relation(now[1], before[1])
            loss += jnp.sum(d * d, axis=(1, 2, 3))
        before = now
    return loss


def _check(where: str, students, teachers, form: str) -> None:
    for name, levels in (("students", students), ("teachers", teachers)):
        if not isinstance(levels, list | tuple):
            what = contracts.shown(levels)
            raise ValueError(f"{where}: {name} is {what}; expected a list of maps.")
    if len(students) != len(teachers) or len(students) < 2:
        raise ValueError(
            f"{where}: {len(students)} maps of the student and {len(teachers)} of the "
            "teacher; expected as many of both, two or more."
        )
    equal = {"repdistiller": "channels", "mdistiller": "width"}[form]
    named = {}
    for name, levels in (("student", students), ("teacher", teachers)):
        for i, maps in enumerate(levels):
            axes = [a if a == "batch" else f"{name}{i}_{a}" for a in MAPS.split()]
            axes = [f"{equal}{i}" if a.endswith(equal) else a for a in axes]
            named[f"{name}s[{i}]"] = (maps, " ".join(axes))
    contracts.shapes(where, **named)


def _matrix(maps: Array, form: str) -> Float[Array, "batch rows columns"]:
    """What is decomposed; the order of its rows plays no part."""
    batch, height, width, channels = maps.shape
    if form == "repdistiller":
        return maps.reshape(batch, height * width, channels)
    maps = jnp.moveaxis(maps, 3, 1)
    return maps.reshape(batch, channels * height, width)


def _vectors(s: Array, t: Array, k: int) -> tuple[Array, Array]:
    """The weighted vectors, [batch, columns, k], of student and teacher."""
    values, t = _top(t, k)
    _, s = _top(s, k + _MORE)
    largest = jnp.argmax(jnp.abs(t), axis=1, keepdims=True)
    t = jnp.where(jnp.take_along_axis(t, largest, axis=1) < 0, -t, t)
    cosine = jnp.einsum("bdi,bdj->bij", s, t, precision=EXACT)
    best = jnp.argmax(jnp.abs(cosine), axis=1, keepdims=True)
    sign = jnp.sign(jnp.take_along_axis(cosine, best, axis=1))
    s = jnp.take_along_axis(s, best, axis=2) * sign
    weights = l2_normalise(values)[:, None, :]
    return s * weights, t * weights


def _relation(now: Array, before: Array) -> Float[Array, "batch now before k"]:
    d = now[:, :, None, :] - before[:, None, :, :]
    return jnp.exp(-d * d / 8)


def _top(a: Array, count: int) -> tuple[Array, Array]:
    """The first singular values [batch, count] and right vectors of each matrix."""
    values, vectors = _singular(a, count)
    real = values > _RANK * values[:, :1]
    return values, jnp.where(real[:, None, :], vectors, 0.0)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _singular(a: Array, count: int) -> tuple[Array, Array]:
    _, values, vectors = jnp.linalg.svd(a, full_matrices=False)
    return values[:, :count], jnp.swapaxes(vectors, 1, 2)[:, :, :count]


@_singular.defjvp
def _singular_jvp(count: int, primals, tangents):
    """dv_i = sum_{j != i} v_j <v_j, (dA' A + A' dA) v_i> / (s_i^2 - s_j^2).

    Needs no left vectors and no gaps but those of the first `count` to all others.
    """
    (a,), (da,) = primals, tangents
    _, values, vectors = jnp.linalg.svd(a, full_matrices=False)
    vectors = jnp.swapaxes(vectors, 1, 2)
    top, v = values[:, :count], vectors[:, :, :count]
    scale = jnp.where(values[:, :1] > 0, values[:, :1], 1.0)
    unit, change = a / scale[:, :, None], da / scale[:, :, None]
    square, square_top = (values / scale) ** 2, (top / scale) ** 2
    dot = functools.partial(jnp.einsum, precision=EXACT)
    left = dot("bnd,bdi->bni", unit, v)
    moved = dot("bnd,bdi->bni", change, v)
    push = dot("bnd,bni->bdi", change, left) + dot("bnd,bni->bdi", unit, moved)
    along = dot("bdj,bdi->bji", vectors, push)
    gap = square_top[:, None, :] - square[:, :, None]
    itself = jnp.eye(*gap.shape[1:], dtype=bool)[None]  # not 0: rounding
    gap = jnp.where(itself, 0.0, gap)
    dv = dot("bdj,bji->bdi", vectors, along * _damped_inverse(gap))
    if vectors.shape[2] < vectors.shape[1]:  # what no vector spans has the value 0
        rest = push - dot("bdj,bji->bdi", vectors, along)
        dv += rest * _damped_inverse(square_top)[:, None, :]
    size = jnp.where(top > 0, top / scale, 1.0)
    ds = scale * jnp.sum(left * moved, axis=1) / size
    return (top, v), (ds, dv)


def _damped_inverse(x: Array) -> Array:
    return x / (x * x + _GAP**2)
