"""Standardised logits: both sides, and the gradient through the student's moments."""

import jax
import numpy as np

from kdjax.methods import lskd
from tests import reference
from tests.objectives import objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER


def expected(student, temperature=2.0, weight=9.0, label_weight=0.1):
    def standard(z):
        z = np.float64(z)
        mean = z.mean(1, keepdims=True)
        return (z - mean) / (z.std(1, ddof=1, keepdims=True) + 1e-7)

    target = reference.softmax(standard(GOLDEN_TEACHER), temperature)
    kl = reference.kl_to_target(standard(student), target, temperature).mean()
    one_hot = reference.one_hot(GOLDEN_LABELS, 4)
    labels = reference.cross_entropy(student, one_hot).mean()
    return label_weight * labels + weight * temperature**2 * kl


def test_objective_matches_the_equation():
    value = objective(lskd.build(), GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS)
    np.testing.assert_allclose(value, expected(GOLDEN_STUDENT), rtol=1e-5)


def test_the_gradient_is_that_of_the_equation():
    def loss(student):
        return objective(lskd.build(), student, GOLDEN_TEACHER, GOLDEN_LABELS)

    slope = jax.grad(loss)(GOLDEN_STUDENT)
    student, wanted, h = np.float64(GOLDEN_STUDENT), np.zeros((3, 4)), 1e-5
    for at in np.ndindex(3, 4):
        step = np.zeros((3, 4))
        step[at] = h
        wanted[at] = (expected(student + step) - expected(student - step)) / (2 * h)
    np.testing.assert_allclose(slope, wanted, rtol=1e-3, atol=1e-5)


def test_without_labels():
    method = lskd.build(label_weight=0.0)
    assert [term.name for term in method.terms] == ["soft_logits"]
    assert method.reads == set()
