import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.methods import METHODS, gce
from tests import reference
from tests.objectives import objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT

quick = settings(max_examples=25, deadline=None, derandomize=True)


def value_and_gradient(method, student=GOLDEN_STUDENT, labels=GOLDEN_LABELS, **rest):
    loss = jax.value_and_grad(lambda s: objective(method, s, None, labels, **rest))
    return loss(student)


@pytest.mark.parametrize("q", [0.1, 0.7, 1.0])
def test_objective_and_gradient_match_the_equation(q):
    value, gradient = value_and_gradient(METHODS["gce"].build(q=q))
    exact = reference.generalized_cross_entropy(GOLDEN_STUDENT, GOLDEN_LABELS, q)
    np.testing.assert_allclose(value, exact.mean(), rtol=1e-5)
    p, hot = reference.softmax(GOLDEN_STUDENT), reference.one_hot(GOLDEN_LABELS, 4)
    slope = (p * hot).sum(-1, keepdims=True) ** q * (p - hot)
    np.testing.assert_allclose(gradient, slope / 3, rtol=1e-4, atol=1e-6)


def test_the_papers_exponent_is_the_default():
    value, _ = value_and_gradient(gce.build())
    exact = reference.generalized_cross_entropy(GOLDEN_STUDENT, GOLDEN_LABELS, 0.7)
    np.testing.assert_allclose(value, exact.mean(), rtol=1e-5)


def test_the_mean_is_over_the_selected_and_the_rest_plays_no_part():
    selection = np.float32([1, 0, 1])
    value, gradient = value_and_gradient(gce.build(), selection=selection)
    exact = reference.generalized_cross_entropy(GOLDEN_STUDENT, GOLDEN_LABELS, 0.7)
    np.testing.assert_allclose(value, (exact[0] + exact[2]) / 2, rtol=1e-5)
    assert (np.asarray(gradient)[1] == 0).all() and (np.asarray(gradient)[0] != 0).all()
    nothing, gradient = value_and_gradient(gce.build(), selection=0 * selection)
    assert float(nothing) == 0 and (np.asarray(gradient) == 0).all()


@quick
@given(st.permutations(range(6)), st.integers(0, 99))
def test_the_order_of_the_batch_does_not_matter(order, seed):
    draw = np.random.default_rng(seed)
    student = np.float32(3 * draw.normal(size=(6, 4)))
    labels = draw.integers(0, 4, 6).astype(np.int32)
    selection = np.float32(draw.random(6))
    values = [
        float(objective(gce.build(), student[i], None, labels[i], selection[i]))
        for i in (np.arange(6), np.array(order))
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_no_teacher_is_asked_for():
    method = gce.build()
    assert method.supervisor is None and method.needs == ()
    assert [term.name for term in method.terms] == ["generalized_cross_entropy"]


@pytest.mark.errors
@pytest.mark.parametrize("q", [0, -0.7, 1.01, float("nan")])
def test_q_outside_its_range_is_refused(q):
    with pytest.raises(ValueError, match="gce: q is"):
        gce.build(q=q)
