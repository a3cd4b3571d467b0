import jax
import numpy as np
import pytest

from kdjax.methods import METHODS
from tests import reference
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


def check_objective(name, weighs):
    method = METHODS[name].build(weight=3.0, power=0.3)
    check(
        method,
        objective(STUDENT, 3.0, 0.3, weighs),
        lambda s: objective(s, 3.0, 0.3, weighs),
    )
    some = objective(STUDENT, 3.0, 0.3, weighs, CHOSEN)
    np.testing.assert_allclose(value_of(method, selection=SELECTION), some, rtol=1e-5)
    assert method.reads == {"label"} and method.supervisor.temperature is None
    assert not method.needs_live_teacher


def test_the_objective_is_the_papers():
    check_objective("ttm", weighs=False)


def test_the_default_is_the_authors_example():
    assert METHODS["ttm"].build().terms[-1].coefficient == 45.0


def test_a_power_of_one_is_plain_distillation():
    ttm = METHODS["ttm"].build(weight=0.5, power=1.0)
    kd = METHODS["kd"].build(alpha=0.5, temperature=1.0)
    difference = value_of(ttm) - value_of(kd)
    np.testing.assert_allclose(difference, 0.5 * labels_only(), rtol=1e-5)


@pytest.mark.parametrize("name", ["ttm", "wttm"])
@pytest.mark.parametrize("argument", ["weight", "power"])
def test_numbers_are_above_zero(name, argument):
    with pytest.raises(ValueError, match=f"{name}: {argument} is 0"):
        METHODS[name].build(**{argument: 0.0})


def test_a_sure_teacher_leaves_finite_gradients():
    teacher = np.float32([[900.0, 0, -900], [0, 0, 0]])
    for name in ("ttm", "wttm"):
        method = METHODS[name].build()
        slope = jax.grad(lambda s, m=method: loss(m, s, teacher))(
            np.zeros_like(teacher)
        )
        assert np.isfinite(slope).all()


def loss(method, student, teacher):
    from tests.objectives import objective as formed

    return formed(method, student, teacher, np.int32([0, 1]))
