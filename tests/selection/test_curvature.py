import numpy as np
import pytest

from kdjax.selection import last_layer
from kdjax.selection.curvature import (
    conjugate_gradients,
    hessian_matrix,
    hessian_product,
    kronecker,
    kronecker_solve,
    solve,
)
from kdjax.selection.evidence import Evidence
from tests.reference import one_hot, softmax
from tests.selection import logistic


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks, the last one short."""
    monkeypatch.setattr(last_layer, "BLOCK", 7)


def case(seed, **sizes):
    given = logistic.problem(seed, **sizes)
    draw = np.random.default_rng(seed)
    theta = draw.normal(size=(given.inputs.shape[1], given.classes))
    direction = draw.normal(size=theta.shape)
    return given, logistic.evidence(given, theta), direction


def test_gradients_are_those_of_the_equation():
    given, evidence, direction = case(0, features=4, classes=3)
    p, q = softmax(evidence.logits), one_hot(given.labels, 3)
    expected = logistic.gradients(given.inputs, p, q)
    result = last_layer.along(evidence, direction)
    np.testing.assert_allclose(
        result, expected @ logistic.vector(direction), rtol=1e-10
    )
    mean = last_layer.mean_label_gradient(evidence, given.validation)
    np.testing.assert_allclose(
        logistic.vector(mean), expected[given.validation].mean(0), rtol=1e-10
    )


def test_hessian_is_that_of_the_equation():
    given, evidence, direction = case(1, features=4, classes=5)
    expected = logistic.hessian(given.inputs, softmax(evidence.logits), damping=0.03)
    result = hessian_product(evidence, direction, 0.03)
    np.testing.assert_allclose(
        logistic.vector(result), expected @ logistic.vector(direction), rtol=1e-10
    )
    order = logistic.vector(np.arange(direction.size).reshape(direction.shape))
    formed = hessian_matrix(evidence, 0.03)[np.ix_(order, order)]
    np.testing.assert_allclose(formed, expected, atol=1e-12)


def test_hessian_is_the_slope_of_the_gradient():
    given, _, direction = case(2)
    theta, step = 0.3 * direction[::-1], 1e-5
    ahead, back = (
        last_layer.mean_label_gradient(
            logistic.evidence(given, theta + s * direction), np.arange(60)
        )
        for s in (step, -step)
    )
    result = hessian_product(logistic.evidence(given, theta), direction, 0.0)
    np.testing.assert_allclose(result, (ahead - back) / (2 * step), atol=1e-9)


def test_a_nearly_certain_network_keeps_its_digits():
    """1 - p_y is below float64's resolution here; e^-40 is not."""
    logits = np.array([[40.0, 0.0], [0.0, 40.0]])
    evidence = Evidence(logits, np.ones((2, 1)), np.array([0, 1]))
    gradient = last_layer.mean_label_gradient(evidence, np.array([0]))
    tiny = np.exp(-40)
    np.testing.assert_allclose(gradient, [[-tiny, tiny]] * 2, rtol=1e-12)


def test_solution_is_that_of_the_formed_system():
    given, evidence, right = case(3, features=5, classes=4)
    expected = np.linalg.solve(
        logistic.hessian(given.inputs, softmax(evidence.logits), 1e-3),
        logistic.vector(right),
    )
    result = solve(evidence, right, 1e-3)
    np.testing.assert_allclose(logistic.vector(result.vector), expected, rtol=1e-5)
    left = hessian_product(evidence, result.vector, 1e-3) - right
    residual = np.linalg.norm(left) / np.linalg.norm(right)
    assert result.residual == pytest.approx(residual) and 0 < residual <= 1e-8
    assert 0 < result.iterations <= 3 * right.size


def test_kronecker_is_exact_where_inputs_and_classes_do_not_interact():
    """All predictions equal: the mean of the product is the product of the means."""
    given, evidence, right = case(4)
    evidence = evidence._replace(logits=np.tile([0.3, -1.0, 0.5], (60, 1)))
    h = logistic.hessian(given.inputs, softmax(evidence.logits), 0.02)
    result = kronecker_solve(kronecker(evidence, 0.02), right)
    np.testing.assert_allclose(
        h @ logistic.vector(result), logistic.vector(right), rtol=1e-9
    )
    assert solve(evidence, right, 0.02).iterations == 1


def test_kronecker_guides():
    """Uneven features, as a ReLU network's are: fewer iterations than without."""
    given, _, right = case(5, samples=300, features=12, classes=6)
    given = given._replace(inputs=given.inputs * 3.0 ** -np.arange(-4, 9))
    theta = np.random.default_rng(5).normal(size=right.shape) / 40
    evidence = logistic.evidence(given, theta)
    guided = solve(evidence, right, 1e-4)
    plain = conjugate_gradients(
        lambda v: hessian_product(evidence, v, 1e-4), right, lambda v: v
    )
    np.testing.assert_allclose(guided.vector, plain.vector, rtol=1e-3, atol=1)
    assert guided.iterations < plain.iterations / 2


@pytest.mark.parametrize("seed", range(5))
def test_conjugate_gradients(seed):
    draw = np.random.default_rng(seed)
    a = draw.normal(size=(12, 20))
    a = a @ a.T + 0.1 * np.eye(12)
    right = draw.normal(size=12)
    result = conjugate_gradients(lambda x: a @ x, right, lambda x: x / np.diag(a))
    np.testing.assert_allclose(result.vector, np.linalg.solve(a, right), rtol=1e-5)


@pytest.mark.errors
def test_no_convergence_is_an_error():
    def product(x):
        return x * 10.0 ** np.arange(8)

    with pytest.raises(ValueError, match=r"residual .* after 4 iter.*Raise the damp"):
        conjugate_gradients(product, np.ones(8), lambda x: x, max_iterations=4)
    with pytest.raises(ValueError, match="residual nan"):
        conjugate_gradients(lambda x: x * np.nan, np.ones(8), lambda x: x)
