import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from kdjax import losses
from tests import reference

RNG = np.random.default_rng(3)
CLASSES = 6
STUDENT = np.float32(3 * RNG.normal(size=(5, CLASSES)))
TEACHER = np.float32(4 * RNG.normal(size=(5, CLASSES)))
LABELS = np.int32([0, 5, 2, 2, 4])
SIMILARITY = RNG.uniform(size=(CLASSES, CLASSES))
SIMILARITY = (SIMILARITY + SIMILARITY.T) / 2
np.fill_diagonal(SIMILARITY, 1.0)
COST = np.float32(1 - np.exp(-(1 - SIMILARITY)))
distance = jax.jit(losses.wasserstein_nontarget, static_argnums=(5, 6))


def sinkhorn(student, teacher, labels, tau, cost, r, iterations, added=0.0):
    """Loops in float64; `added` is what the authors' code adds to divisors and cost."""
    values = []
    for s, t, y in zip(student, teacher, labels, strict=True):
        rest = [k for k in range(len(s)) if k != y]
        q, p = (reference.softmax(z[None, rest], tau)[0] for z in (s, t))
        c = np.float64(cost)[np.ix_(rest, rest)] + added
        kernel = np.exp(-c / r)
        u = np.full(len(rest), 1 / len(rest))
        for _ in range(iterations):
            v = p / (kernel.T @ u + added)
            u = q / (kernel @ v + added)
        values.append(sum(sum(u[i] * kernel[i] * v * c[i]) for i in range(len(rest))))
    return np.array(values)


@pytest.mark.parametrize("iterations", [1, 10])
@pytest.mark.parametrize("tau", [1.0, 8.0])
def test_distance_matches_the_iterations(tau, iterations):
    given = STUDENT, TEACHER, LABELS, tau, COST, 0.05, iterations
    np.testing.assert_allclose(distance(*given), sinkhorn(*given), rtol=1e-5)


def test_distance_is_that_of_the_authors_code_at_their_temperature():
    given = STUDENT, TEACHER, LABELS, 8.0, COST, 0.05, 10
    expected = sinkhorn(*given, added=1e-8)
    np.testing.assert_allclose(distance(*given), expected, rtol=1e-5, atol=1e-7)


def test_a_cost_need_not_be_symmetric():
    cost = np.float32(RNG.uniform(size=(CLASSES, CLASSES)))
    given = STUDENT, TEACHER, LABELS, 2.0, cost, 0.1, 5
    np.testing.assert_allclose(distance(*given), sinkhorn(*given), rtol=1e-5)


def test_distance_is_near_the_optimum_where_one_class_holds_everything():
    s, t = np.float32([[0, 40, 0, 0]]), np.float32([[0, 0, 0, 40]])
    cost = np.float32(RNG.uniform(0.2, 0.9, size=(4, 4)))
    value = losses.wasserstein_nontarget(s, t, np.array([0]), 1.0, cost)
    np.testing.assert_allclose(value, cost[1, 3], rtol=1e-5)


def test_gradients_numerically():
    @jax.jit
    def loss(s, t, cost):
        return distance(s, t, LABELS, 4.0, cost, 0.1, 10)

    given = jnp.asarray(STUDENT), jnp.asarray(TEACHER), jnp.asarray(COST)
    check_grads(loss, given, order=1, modes=("rev",), rtol=0.02, atol=0.02)


EXTREME = {
    "zeros": (np.zeros((2, 4)), np.zeros((2, 4))),
    "huge": ([[1e5, -1e5, 0, 3]] * 2, [[-1e5, 1e5, 0, 3]] * 2),
    "masked": ([[1, -np.inf, 0, 3]] * 2, [[2, -np.inf, 1, 0]] * 2),
}


@pytest.mark.parametrize("case", EXTREME)
@pytest.mark.parametrize("regularisation", [1e-4, 0.05, 10.0])
def test_values_and_gradients_are_finite_at_extremes(case, regularisation):
    s, t = (jnp.float32(x) for x in EXTREME[case])

    def total(s, t, cost):
        labels = np.int32([0, 2])
        values = distance(s, t, labels, 1.0, cost, regularisation, 10)
        return values.sum(), values

    cost = 1 - jnp.eye(4)
    gradients, values = jax.grad(total, (0, 1, 2), has_aux=True)(s, t, cost)
    assert np.isfinite(values).all() and (np.asarray(values) >= 0).all()
    assert all(np.isfinite(x).all() for x in gradients)


def test_two_classes_cost_nothing():
    given = STUDENT[:, :2], TEACHER[:, :2], LABELS % 2, 4.0, COST[:2, :2]
    np.testing.assert_array_equal(losses.wasserstein_nontarget(*given), 0)


def test_precision_in_and_labels_out_of_range():
    s, t = jnp.bfloat16(STUDENT), jnp.bfloat16(TEACHER)
    values = distance(s, t, LABELS, 4.0, COST, 0.05, 10)
    assert values.dtype == np.float32
    expected = distance(np.float32(s), np.float32(t), LABELS, 4.0, COST, 0.05, 10)
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    bad = np.int32([0, 6, 2, -1, 4])
    values = distance(STUDENT, TEACHER, bad, 4.0, COST, 0.05, 10)
    assert np.isnan(values).tolist() == [False, True, False, True, False]


def cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    cross = np.linalg.norm(y.T @ x) ** 2
    return cross / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


@pytest.mark.parametrize("channels", [3, 20])  # fewer and more than samples of a class
def test_class_similarity_matches_a_loop(channels):
    labels = np.array([0, 1, 2, 0, 1, 2, 2, 0, 1, 0, 1, 2, 2, 0, 1, 2])
    features = np.float32(5 + 1e3 * RNG.normal(size=(16, channels)))
    rows = [np.float64(features[labels == i][:5]) for i in range(3)]
    expected = [[cka(x, y) for y in rows] for x in rows]
    similarity = losses.class_similarity(features, labels, 3)
    np.testing.assert_allclose(similarity, expected, rtol=1e-4)


def test_a_class_that_does_not_vary_is_like_no_other():
    labels = np.arange(12) % 3
    features = np.float32(RNG.normal(size=(12, 4)))
    features[labels == 1] = 0.1
    similarity = np.asarray(losses.class_similarity(features, labels, 3))
    assert similarity[1].tolist() == [0, 1, 0] and similarity[0, 2] > 0


def test_costs_and_cosines_match_their_equations():
    np.testing.assert_allclose(losses.transport_cost(SIMILARITY), COST, rtol=1e-5)
    weights = np.float32(RNG.normal(size=(4, 3)))
    weights[:, 2] = 0
    cosine = losses.classifier_similarity(weights)
    a, b = np.float64(weights[:, 0]), np.float64(weights[:, 1])
    expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    np.testing.assert_allclose(cosine[0, 1], expected, rtol=1e-5)
    assert cosine[2].tolist() == [0, 0, 1]
    sharper = losses.transport_cost(SIMILARITY, 2.0)
    np.testing.assert_allclose(sharper, 1 - np.exp(-2 * (1 - SIMILARITY)), rtol=1e-5)


@pytest.mark.errors
def test_what_does_not_fit_is_named():
    given = STUDENT, TEACHER, LABELS, 4.0
    with pytest.raises(ValueError, match="cost has classes=4"):
        losses.wasserstein_nontarget(*given, COST[:4, :4])
    with pytest.raises(ValueError, match="regularisation is 0"):
        losses.wasserstein_nontarget(*given, COST, 0.0)
    with pytest.raises(ValueError, match="iterations is 0"):
        losses.wasserstein_nontarget(*given, COST, 0.05, 0)
    with pytest.raises(ValueError, match="a class has no sample"):
        losses.class_similarity(STUDENT, LABELS, 6)
    with pytest.raises(ValueError, match="sharpness is 0"):
        losses.transport_cost(SIMILARITY, 0)
