import jax
import numpy as np
import pytest

from kdjax.methods import METHODS
from tests import objectives, reference
from tests.methods.outputs import (
    BATCH,
    CHOSEN,
    SELECTION,
    STUDENT,
    TEACHER,
    check,
    kl,
    labels_only,
    value_of,
)


def objective(student, weight, power, weighs, rows=range(BATCH)):
    total = 0.0
    p, own = reference.softmax(TEACHER), reference.softmax(student)
    for i in rows:
        scale = sum(p[i, k] ** power for k in range(p.shape[1]))
        q = [p[i, k] ** power / scale for k in range(p.shape[1])]
        total += kl(q, own[i]) * (scale if weighs else 1.0)
    return labels_only(student) + weight * total / BATCH


def test_the_objective_is_the_papers():
    is_the_papers("ttm", weighs=False)


def is_the_papers(name, weighs):
    method = METHODS[name].build(weight=3.0, power=0.3)
    check(
        method,
        objective(STUDENT, 3.0, 0.3, weighs),
        lambda s: objective(s, 3.0, 0.3, weighs),
    )
    some = objective(STUDENT, 3.0, 0.3, weighs, CHOSEN)
    np.testing.assert_allclose(value_of(method, selection=SELECTION), some, rtol=1e-5)
    assert method.reads == {"label"} and method.supervisor.temperature is None
    assert not method.why_not_cached


def test_defaults_are_the_authors_example():
    teacher = METHODS["ttm"].build().terms[-1]
    assert (teacher.name, teacher.coefficient) == ("transformed_teacher", 45.0)


def test_a_power_of_one_is_plain_distillation():
    ttm = METHODS["ttm"].build(weight=0.5, power=1.0)
    kd = METHODS["kd"].build(alpha=0.5, temperature=1.0)
    difference = value_of(ttm) - value_of(kd)
    np.testing.assert_allclose(difference, 0.5 * labels_only(), rtol=1e-5)


@pytest.mark.parametrize("argument", ["weight", "power"])
def test_numbers_are_above_zero(argument):
    with pytest.raises(ValueError, match=f"ttm: {argument} is 0"):
        METHODS["ttm"].build(**{argument: 0.0})


def test_a_sure_teacher_leaves_finite_gradients():
    slope_is_finite(METHODS["ttm"].build())


def slope_is_finite(method):
    teacher = np.float32([[900.0, 0, -900], [0, 0, 0]])
    labels = np.int32([0, 1])
    slope = jax.grad(lambda s: objectives.objective(method, s, teacher, labels))
    assert np.isfinite(slope(np.zeros_like(teacher))).all()
