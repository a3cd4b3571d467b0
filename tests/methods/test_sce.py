import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.methods import METHODS, sce
from tests import reference
from tests.objectives import objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT

quick = settings(max_examples=25, deadline=None, derandomize=True)
WEIGHTS = st.floats(0.125, 16, width=32)
HARD = reference.cross_entropy(GOLDEN_STUDENT, reference.one_hot(GOLDEN_LABELS, 4))
REVERSE = reference.reverse_cross_entropy(GOLDEN_STUDENT, GOLDEN_LABELS)


def value(method, selection=None):
    return objective(method, GOLDEN_STUDENT, None, GOLDEN_LABELS, selection)


@pytest.mark.parametrize("alpha, beta", [(0.1, 1.0), (6.0, 0.1), (1.0, 0.4)])
def test_objective_and_gradient_match_the_equation(alpha, beta):
    method = METHODS["sce"].build(alpha=alpha, beta=beta)
    expected = alpha * HARD + beta * REVERSE
    np.testing.assert_allclose(value(method), expected.mean(), rtol=1e-5)
    slope = jax.grad(lambda s: objective(method, s, None, GOLDEN_LABELS))
    p, hot = reference.softmax(GOLDEN_STUDENT), reference.one_hot(GOLDEN_LABELS, 4)
    # d(4 (1 - p_y)) / ds_k = 4 p_y (p_k - y_k)
    belief = (p * hot).sum(-1, keepdims=True)
    expected = (alpha + 4 * beta * belief) * (p - hot) / 3
    np.testing.assert_allclose(slope(GOLDEN_STUDENT), expected, rtol=1e-4, atol=1e-6)


def test_the_defaults_are_the_papers_on_cifar10():
    np.testing.assert_allclose(value(sce.build()), (0.1 * HARD + REVERSE).mean(), 1e-5)


@quick
@given(WEIGHTS, WEIGHTS, WEIGHTS, WEIGHTS)
def test_it_is_linear_in_alpha_and_beta(a, b, c, d):
    separate = [value(sce.build(alpha=x, beta=y)) for x, y in ((a, b), (c, d))]
    together = value(sce.build(alpha=a + c, beta=b + d))
    np.testing.assert_allclose(sum(separate), together, rtol=1e-5)


@quick
@given(st.floats(-16, -0.125, width=32), WEIGHTS)
def test_only_the_product_of_beta_and_log_zero_matters(log_zero, factor):
    one = value(sce.build(alpha=1, beta=factor, log_zero=log_zero))
    other = value(sce.build(alpha=1, beta=1, log_zero=factor * log_zero))
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_the_mean_is_over_the_selected():
    expected = (0.1 * HARD + REVERSE)[[0, 2]] @ [0.75, 0.25]
    result = value(sce.build(), np.float32([1.5, 0, 0.5]))
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    assert float(value(sce.build(), np.zeros(3, np.float32))) == 0


def test_no_teacher_is_asked_for():
    method = sce.build()
    assert method.supervisor is None
    names = [term.name for term in method.terms]
    assert names == ["hard_label", "reverse_cross_entropy"]


@pytest.mark.errors
@pytest.mark.parametrize(
    "name, number",
    [("alpha", 0), ("alpha", -1), ("beta", 0), ("beta", float("inf"))],
)
def test_a_weight_not_above_zero_is_refused(name, number):
    with pytest.raises(ValueError, match=f"sce: {name} is"):
        sce.build(**{name: number})


@pytest.mark.errors
@pytest.mark.parametrize("log_zero", [0, 4, float("nan")])
def test_a_log_of_zero_not_below_zero_is_refused(log_zero):
    with pytest.raises(ValueError, match="sce: -log_zero is"):
        sce.build(log_zero=log_zero)
