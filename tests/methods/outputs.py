"""Outputs of both networks on six samples, and what float64 loops say of them."""

import jax
import jax.numpy as jnp
import numpy as np

from tests import reference
from tests.objectives import inputs

CLASSES, BATCH = 7, 6
_RNG = np.random.default_rng(11)
STUDENT = np.float32(2 * _RNG.normal(size=(BATCH, CLASSES)))
TEACHER = np.float32(3 * _RNG.normal(size=(BATCH, CLASSES)))
LABELS = np.argmax(TEACHER, axis=1).astype(np.int32)
LABELS[[1, 4]] = (LABELS[[1, 4]] + 2) % CLASSES  # where the teacher is wrong
for shared in (STUDENT, TEACHER, LABELS):
    shared.setflags(write=False)
SELECTION = np.float32([1, 0, 1, 1, 0, 1])
CHOSEN = np.flatnonzero(SELECTION)


def value_of(
    method, student=STUDENT, step=0, selection=None, declared=None, labels=LABELS
):
    """The objective at a step; `declared` are further fields of the inputs."""
    student = jnp.asarray(student)
    given = inputs(method, student, TEACHER, labels, selection, step=step)
    given = given._replace(**declared or {})
    total = 0.0
    for term in method.terms:
        scheduled = callable(term.coefficient)
        weight = term.coefficient(given.step) if scheduled else term.coefficient
        total += weight * term.values(given).mean()
    return total


def gradient_of(method, **more):
    return np.asarray(jax.grad(lambda s: value_of(method, s, **more))(STUDENT))


def check(method, expected, slope_of=None, **more):
    """The value to 1e-5, and the gradient along one direction against `slope_of`."""
    np.testing.assert_allclose(value_of(method, **more), expected, rtol=1e-5)
    if slope_of is None:
        return
    direction = np.random.default_rng(2).normal(size=STUDENT.shape)
    step, student = 1e-5, STUDENT.astype(np.float64)
    slope = slope_of(student + step * direction) - slope_of(student - step * direction)
    along = (gradient_of(method, **more) * direction).sum()
    np.testing.assert_allclose(along, slope / (2 * step), rtol=2e-4)


def labels_only(student=STUDENT, rows=range(BATCH)):
    """Mean cross entropy with the labels."""
    probabilities = reference.softmax(student)
    return np.mean([-np.log(probabilities[i, LABELS[i]]) for i in rows])


def kl(p, q):
    """sum_k p_k log(p_k / q_k) of two rows."""
    return sum(a * np.log(a / b) for a, b in zip(p, q, strict=True))


def mean_kl(student, teacher, tau, rows=range(BATCH)):
    p, q = reference.softmax(teacher, tau), reference.softmax(student, tau)
    return np.mean([kl(p[i], q[i]) for i in rows])
