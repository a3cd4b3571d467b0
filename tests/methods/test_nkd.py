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
    labels_only,
    value_of,
)


def parts(student, tau, rows=range(BATCH)):
    """(the label's part, that of the others), summed over the rows."""
    p, q = reference.softmax(TEACHER), reference.softmax(student)
    target = other = 0.0
    for i in rows:
        y = LABELS[i]
        target -= p[i, y] * np.log(q[i, y])
        rest = [k for k in range(p.shape[1]) if k != y]
        a = reference.softmax(TEACHER[None, i, rest], tau)[0]
        b = reference.softmax(student[None, i, rest], tau)[0]
        other -= sum(x * np.log(z) for x, z in zip(a, b, strict=True))
    return target, other


def objective(student, gamma, tau, rows=range(BATCH)):
    target, other = parts(student, tau, rows)
    return labels_only(student) + (target + gamma * tau**2 * other) / BATCH


@pytest.mark.parametrize("gamma, tau", [(1.5, 1.0), (3.5, 3.0)])
def test_the_objective_is_the_papers(gamma, tau):
    method = METHODS["nkd"].build(gamma=gamma, temperature=tau)
    expected = objective(STUDENT, gamma, tau)
    check(method, expected, lambda s: objective(s, gamma, tau))
    some = value_of(method, selection=SELECTION)
    np.testing.assert_allclose(some, objective(STUDENT, gamma, tau, CHOSEN), rtol=1e-5)
    assert method.reads == {"label"} and not method.why_not_cached


def test_defaults_are_the_papers():
    check(METHODS["nkd"].build(), objective(STUDENT, 1.5, 1.0))


def test_without_the_others_the_part_is_left_out():
    method = METHODS["nkd"].build(gamma=0.0)
    assert [term.name for term in method.terms] == ["hard_label", "target_class"]


@pytest.mark.parametrize("argument, value", [("gamma", -1), ("temperature", 0)])
def test_numbers_out_of_range_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"nkd: {argument} is {value}"):
        METHODS["nkd"].build(**{argument: value})
