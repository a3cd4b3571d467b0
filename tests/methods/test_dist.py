"""DIST: both correlations against the equations, on selected samples too."""

import numpy as np
import pytest

from kdjax.methods import dist
from kdjax.methods.fallback import with_label_fallback
from tests import reference
from tests.objectives import objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

GIVEN = GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS


def pearson(a, b):
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-8)


def correlations(student, teacher, beta, gamma, tau):
    p, q = (reference.softmax(z, tau) for z in (teacher, student))
    rows = np.mean([1 - pearson(a, b) for a, b in zip(q, p, strict=True)])
    columns = np.mean([1 - pearson(a, b) for a, b in zip(q.T, p.T, strict=True)])
    return tau**2 * (beta * rows + gamma * columns)


def cross_entropy(rows=slice(None)):
    one_hot = reference.one_hot(GOLDEN_LABELS, 4)
    return reference.cross_entropy(GOLDEN_STUDENT, one_hot)[rows].mean()


@pytest.mark.parametrize("beta, gamma, tau", [(1, 1, 1), (2, 2, 4), (0.5, 0, 2)])
def test_objective_matches_the_equations(beta, gamma, tau):
    numbers = {"beta": float(beta), "gamma": float(gamma), "temperature": float(tau)}
    wanted = cross_entropy() + correlations(*GIVEN[:2], beta, gamma, tau)
    value = objective(dist.build(**numbers), *GIVEN)
    np.testing.assert_allclose(value, wanted, rtol=1e-5)


@pytest.mark.parametrize("denominator", ("sets", "batch"))
def test_a_selection_leaves_its_samples_alone(denominator):
    """The correlations are those of the two selected samples by themselves."""
    selection = np.float32([1, 0, 1])
    method = with_label_fallback(dist.build(), denominator)
    value = objective(method, *GIVEN, selection)
    few = (GOLDEN_STUDENT[[0, 2]], GOLDEN_TEACHER[[0, 2]])
    own = cross_entropy([0, 2]) + correlations(*few, 1, 1, 1)
    shares = (1, 1) if denominator == "sets" else (2 / 3, 1 / 3)
    wanted = shares[0] * own + shares[1] * cross_entropy([1])
    np.testing.assert_allclose(value, wanted, rtol=1e-5)


def test_a_part_of_weight_0_is_left_out():
    assert [t.name for t in dist.build(beta=0.0).terms] == [
        "hard_label",
        "within_class",
    ]
    assert dist.build().reads == {"label"}
