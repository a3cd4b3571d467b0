"""OFD beside its equation, margins from the teacher's batch norms among it."""

import math

import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.methods import METHODS, ofd
from tests.methods.given_features import cross_entropy, given, normal, objective

SHAPES = {"stage1_preact": (3, 4, 4, 2), "stage2_preact": (3, 2, 2, 3)}
NAMES = tuple(SHAPES)
TEACHERS = ("stage2_preact", "stage3_preact")  # other names, to keep both apart
PARAMS = {
    # Plain, negative scale; the last channel is hardly ever below 0.
    "stage2_norm": {"scale": np.float32([1, -2]), "bias": np.float32([0.3, -0.5])},
    "stage3_norm": {"scale": np.float32([0.5, 1, 1]), "bias": np.float32([0, -1, 4])},
}


def margin(scale, bias):
    g = abs(float(scale))
    below = 0.5 * math.erfc(bias / g / math.sqrt(2))
    if below <= 1e-3:
        return -3 * g
    density = math.exp(-((bias / g) ** 2) / 2) / math.sqrt(2 * math.pi)
    return bias - g * density / below


def level(student, teacher, norm):
    total = 0.0
    for index in np.ndindex(student.shape):
        c = index[-1]
        m = margin(float(norm["scale"][c]), float(norm["bias"][c]))
        s, target = float(student[index]), max(float(teacher[index]), m)
        if s > target or target > 0:
            total += (s - target) ** 2
    return total / len(student)


@pytest.mark.parametrize("weight", [1e-3, 0.2])
def test_the_equation(weight):
    arguments = {"student_features": NAMES, "teacher_features": TEACHERS}
    method = ofd.build(weight=weight, **arguments)
    student = {n: normal(i, *s) for i, (n, s) in enumerate(SHAPES.items())}
    teacher = {n: normal(5 + i, *SHAPES[NAMES[i]]) for i, n in enumerate(TEACHERS)}
    inputs = given(
        teacher=teacher,
        connected={"overhaul": student},
        teacher_variables=(PARAMS, {}),
    )
    levels = [
        level(student[own], teacher[other], PARAMS[other.replace("preact", "norm")])
        for own, other in zip(NAMES, TEACHERS, strict=True)
    ]
    expected = cross_entropy() + weight * (levels[0] / 2 + levels[1])
    np.testing.assert_allclose(objective(method, inputs), expected, rtol=1e-5)


def test_what_it_declares():
    method = METHODS["ofd"].build()
    assert method.needs == ("teacher_variables",) and method.reads == {"label"}
    assert method.student_features == method.teacher_features == ofd.LEVELS
    assert method.why_not_cached


def test_a_teacher_without_such_norms():
    method = ofd.build(student_features=NAMES[:1], teacher_features=NAMES[:1])
    x = {NAMES[0]: normal(1, *SHAPES[NAMES[0]])}
    inputs = given(teacher=x, connected={"overhaul": x}, teacher_variables=({}, {}))
    with pytest.raises(InputError, match="no batch norm of its own before 'stage1_pre"):
        objective(method, inputs)
    with pytest.raises(ValueError, match="ofd: weight"):
        ofd.build(weight=-1.0)
