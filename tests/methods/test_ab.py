"""The first stage of AB beside its equation."""

import numpy as np
import pytest

from kdjax.methods import METHODS, ab
from tests.methods.given_features import given, normal, objective

SHAPES = {"stage1_preact": (3, 4, 4, 2), "stage2_preact": (3, 2, 2, 5)}
NAMES = tuple(SHAPES)


def level(student, teacher, margin):
    """Position by position, as printed."""
    total = 0.0
    for s, t in zip(np.float64(student).ravel(), teacher.ravel(), strict=True):
        if s > -margin and t <= 0:
            total += (s + margin) ** 2
        if s <= margin and t > 0:
            total += (s - margin) ** 2
    return total / len(student)


@pytest.mark.parametrize(("weight", "margin"), [(3e-3, 1.0), (0.5, 0.7)])
def test_deeper_levels_weigh_twice_as_much(weight, margin):
    arguments = {"student_features": NAMES, "teacher_features": NAMES}
    method = ab.build(weight=weight, margin=margin, **arguments)
    student = {n: normal(i, *s) for i, (n, s) in enumerate(SHAPES.items())}
    teacher = {n: normal(5 + i, *s) for i, (n, s) in enumerate(SHAPES.items())}
    inputs = given(teacher=teacher, connected={"boundaries": student})
    expected = 0.5 * level(student[NAMES[0]], teacher[NAMES[0]], margin)
    expected += level(student[NAMES[1]], teacher[NAMES[1]], margin)
    value = objective(method, inputs)
    np.testing.assert_allclose(value, weight * expected, rtol=1e-5)


def test_what_it_declares():
    method = METHODS["ab"].build()
    assert method.needs_teacher and method.supervisor is None and not method.reads
    assert method.student_features == method.teacher_features == ab.LEVELS
    assert "stage1_preact" in method.why_not_cached
    assert [term.name for term in method.terms] == ["boundaries"]


@pytest.mark.parametrize("name", ["weight", "margin"])
def test_what_cannot_work_is_named(name):
    with pytest.raises(ValueError, match=f"ab: {name}"):
        ab.build(**{name: 0.0})
    with pytest.raises(ValueError, match="ab: student_features"):
        ab.build(student_features=("stage1",))
