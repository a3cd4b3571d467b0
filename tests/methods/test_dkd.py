"""DKD: both parts and their weights against the equations."""

import numpy as np
import pytest

from kdjax.methods import dkd
from tests import reference
from tests.objectives import objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER


def expected(student, teacher, labels, alpha, beta, tau):
    """Loops as printed: of the label's class against the rest, and within the rest."""
    total = reference.cross_entropy(student, reference.one_hot(labels, 4)).copy()
    p, q = (reference.softmax(z, tau) for z in (teacher, student))
    for i, y in enumerate(labels):
        pair = (p[i, y], 1 - p[i, y]), (q[i, y], 1 - q[i, y])
        target = sum(a * np.log(a / b) for a, b in zip(*pair, strict=True))
        others = [k for k in range(4) if k != y]
        a, b = p[i, others] / p[i, others].sum(), q[i, others] / q[i, others].sum()
        total[i] += tau**2 * (alpha * target + beta * (a * np.log(a / b)).sum())
    return total.mean()


@pytest.mark.parametrize("alpha, beta, tau", [(1.0, 8.0, 4.0), (0.5, 2.0, 1.0)])
def test_objective_matches_the_equations(alpha, beta, tau):
    method = dkd.build(
        steps_per_epoch=5, alpha=alpha, beta=beta, temperature=tau, warmup_epochs=0
    )
    given = GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS
    value = objective(method, *given)
    np.testing.assert_allclose(value, expected(*given, alpha, beta, tau), rtol=1e-5)


@pytest.mark.parametrize("step, share", [(0, 1 / 20), (4, 1 / 20), (5, 0.1), (500, 1)])
def test_both_parts_climb_epoch_by_epoch(step, share):
    """Epochs count from 1, as in the public code."""
    method = dkd.build(steps_per_epoch=5)
    given = GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS
    value = objective(method, *given, step=step)
    wanted = expected(*given, share, 8 * share, 4.0)
    np.testing.assert_allclose(value, wanted, rtol=1e-5)


def test_what_it_declares():
    method = dkd.build(steps_per_epoch=5)
    assert method.needs_teacher and method.reads == {"label"}
    assert method.why_not_cached == ""
    names = [term.name for term in method.terms]
    assert names == ["hard_label", "target_class", "other_classes"]


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"beta": -1.0}, "dkd: beta is -1"),
        ({"temperature": float("inf")}, "dkd: temperature is inf"),
        ({"warmup_epochs": -1.0}, "dkd: warmup_epochs is -1"),
    ],
)
def test_numbers_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        dkd.build(steps_per_epoch=5, **arguments)
