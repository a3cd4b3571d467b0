import numpy as np
import pytest

from kdjax.methods import METHODS
from tests import reference
from tests.methods.outputs import (
    BATCH,
    CHOSEN,
    LABELS,
    SELECTION,
    STUDENT,
    TEACHER,
    check,
    kl,
    labels_only,
    value_of,
)


def confidence(student, tau, rows=range(BATCH)):
    p, q = reference.softmax(TEACHER, tau), reference.softmax(student, tau)
    total = 0.0
    for i in rows:
        a, b = p[i].max(), q[i, LABELS[i]]
        total += kl([a, 1 - a], [b, 1 - b])
    return total / BATCH


def correlation(student, tau, rows=range(BATCH)):
    total = 0.0
    for i in rows:
        below = [k for k, t in enumerate(TEACHER[i]) if t < TEACHER[i, LABELS[i]]]
        if below:
            p = reference.softmax(TEACHER[None, i, below], tau)[0]
            q = reference.softmax(student[None, i, below], tau)[0]
            total += kl(p, q)
    return total / BATCH


def build(**changes):
    return METHODS["rld"].build(steps_per_epoch=4.0, **changes)


def test_the_objective_is_the_papers():
    def objective(s, rows=range(BATCH)):
        parts = 0.5 * 4 * confidence(s, 2.0, rows) + 8 * 16 * correlation(s, 4.0, rows)
        return labels_only(s) + parts

    method = build(alpha=0.5, alpha_temperature=2.0, warmup_epochs=0.0)
    check(method, objective(STUDENT), objective)
    value = value_of(method, selection=SELECTION)
    np.testing.assert_allclose(value, objective(STUDENT, CHOSEN), rtol=1e-5)
    assert method.reads == {"label"} and not method.why_not_cached


@pytest.mark.parametrize("step, part", [(0, 1 / 20), (9, 3 / 20), (80, 1.0)])
def test_the_weights_climb_and_defaults_are_the_published(step, part):
    both = confidence(STUDENT, 1.0) + 8 * 16 * correlation(STUDENT, 4.0)
    check(build(), labels_only() + part * both, step=step)


@pytest.mark.parametrize(
    "argument, value",
    [("alpha", -1), ("beta", -1), ("temperature", 0), ("alpha_temperature", 0)],
)
def test_numbers_out_of_range_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"rld: {argument} is {value}"):
        build(**{argument: value})
