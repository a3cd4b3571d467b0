import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from kdjax import losses
from tests import reference
from tests.reference import GOLDEN_LOGIT_MATCHING, GOLDEN_STUDENT, GOLDEN_TEACHER

DISTANCES = [
    losses.logit_matching,
    losses.label_matching,
    losses.squared_error,
    losses.mean_squared_error,
    losses.smooth_l1,
]


def gradient_of(loss, student, teacher):
    return jax.jit(jax.grad(lambda s: loss(s, teacher).sum()))(student)


def random_pair(classes=10):
    draw = np.random.default_rng(1).normal
    student, teacher = 3 * draw(size=(6, classes)), 5 * draw(size=(6, classes))
    return np.float32(student), np.float32(teacher)


def test_logit_matching_golden():
    values = losses.logit_matching(GOLDEN_STUDENT, GOLDEN_TEACHER)
    np.testing.assert_allclose(values, GOLDEN_LOGIT_MATCHING, atol=1e-6)
    exact = reference.logit_matching(GOLDEN_STUDENT, GOLDEN_TEACHER)
    np.testing.assert_allclose(values, exact, rtol=1e-6)
    half = losses.squared_error(GOLDEN_STUDENT, GOLDEN_TEACHER) / 8
    np.testing.assert_allclose(half, [0.96125, 0.3, 0.49625], rtol=1e-6)
    delta = [-0.0153125, -0.005, -0.0153125]
    np.testing.assert_allclose(values - half, delta, atol=1e-6)


def test_logit_matching_gradient_is_theorem_1():
    gradient = gradient_of(losses.logit_matching, GOLDEN_STUDENT, GOLDEN_TEACHER)
    limit = [-0.45625, -0.20625, 0.29375, 0.36875]
    np.testing.assert_allclose(gradient[0], limit, rtol=1e-5)
    student, teacher = random_pair(100)
    gradient = gradient_of(losses.logit_matching, student, teacher)
    exact = reference.logit_matching_gradient(student, teacher)
    np.testing.assert_allclose(gradient, exact, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("temperature", [1e5, 1e6])
def test_logit_matching_is_the_limit_of_kl(temperature):
    student, teacher = random_pair()
    scale = temperature**2

    def scaled(s, t):
        return scale * losses.kl_divergence(s, t, temperature)

    near, limit = scaled(student, teacher), losses.logit_matching(student, teacher)
    np.testing.assert_allclose(near, limit, rtol=1e-3)
    near = gradient_of(scaled, student, teacher)
    limit = reference.logit_matching_gradient(student, teacher)
    np.testing.assert_allclose(near, limit, rtol=1e-3, atol=1e-4)


def test_logit_matching_keeps_its_digits_under_an_offset_and_near_equality():
    draw = np.random.default_rng(2).normal
    teacher = np.float32(draw(size=(4, 10)))
    for student in (
        np.float32(teacher + 1e-3 * draw(size=(4, 10))),
        np.float32(teacher + draw(size=(4, 10)) + 5000),
    ):
        values = losses.logit_matching(student, teacher)
        exact = 0.5 * np.var(student.astype(np.float64) - teacher, axis=-1)
        np.testing.assert_allclose(values, exact, rtol=1e-5)


def test_label_matching_is_the_limit_of_tau_kl():
    student, teacher = random_pair()
    values = losses.label_matching(student, teacher)
    expected = student.max(-1) - student[np.arange(6), teacher.argmax(-1)]
    np.testing.assert_array_equal(values, expected)
    assert (expected > 0).sum() >= 3  # else the comparison says little
    tau = 1e-4

    def scaled(s, t):
        return tau * losses.kl_divergence(s, t, tau)

    np.testing.assert_allclose(scaled(student, teacher), expected, atol=1e-3)
    exact = reference.label_matching_gradient(student, teacher)
    slope = gradient_of(scaled, student, teacher)
    np.testing.assert_allclose(slope, exact, atol=1e-3)
    slope = gradient_of(losses.label_matching, student, teacher)
    np.testing.assert_array_equal(slope, exact)


def test_label_matching_golden():
    def scaled(s, t):
        return 0.01 * losses.kl_divergence(s, t, 0.01)

    for loss in (scaled, losses.label_matching):
        slope = gradient_of(loss, GOLDEN_STUDENT, GOLDEN_TEACHER)[0]
        np.testing.assert_allclose(slope, [-1, 0, 1, 0], atol=1e-6)


def test_without_the_factor_nothing_is_left_at_tau_zero():
    def unscaled(s, t):
        return 1e-6 * losses.kl_divergence(s, t, 1e-3)

    student, teacher = random_pair()
    assert np.abs(unscaled(student, teacher)).max() < 0.05
    assert np.abs(gradient_of(unscaled, student, teacher)).max() <= 1.001e-3


def test_label_matching_ties_go_to_the_lowest_index():
    student, teacher = np.float32([[1, 4, 4, 0]]), np.float32([[2, 0, 1, 2]])
    assert losses.label_matching(student, teacher).tolist() == [3.0]
    slope = gradient_of(losses.label_matching, student, teacher)
    assert slope.tolist() == [[-1.0, 1.0, 0.0, 0.0]]


def test_squared_error_golden():
    summed = losses.squared_error(GOLDEN_STUDENT, GOLDEN_TEACHER)
    np.testing.assert_allclose(summed, [7.69, 2.40, 3.97], rtol=1e-5)
    mean = losses.mean_squared_error(GOLDEN_STUDENT, GOLDEN_TEACHER)
    np.testing.assert_allclose(jnp.mean(mean), 1.1716667, rtol=1e-6)
    slope = gradient_of(losses.mean_squared_error, GOLDEN_STUDENT, GOLDEN_TEACHER)
    expected = 2 * (GOLDEN_STUDENT - GOLDEN_TEACHER) / 4
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


def test_smooth_l1_agrees_with_optax_on_both_sides_of_one():
    student = np.float32([[0.0, 0.5, 1.0, -1.0, 3.0, -8.0]])
    teacher = np.zeros((1, 6), np.float32)
    peer = optax.losses.huber_loss(student, teacher, delta=1.0).mean(-1)
    values = losses.smooth_l1(student, teacher)
    np.testing.assert_allclose(values, peer, rtol=1e-6)
    np.testing.assert_allclose(values[0] * 6, 0.125 + 0.5 + 0.5 + 2.5 + 7.5)
    slope = gradient_of(losses.smooth_l1, student, teacher)
    np.testing.assert_allclose(slope * 6, [[0, 0.5, 1, -1, 1, -1]])


@pytest.mark.parametrize("loss", DISTANCES)
def test_gradients_numerically(loss):
    pair = (jnp.asarray(GOLDEN_STUDENT), jnp.asarray(GOLDEN_TEACHER))
    check_grads(loss, pair, order=1, modes=("fwd", "rev"), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("loss", DISTANCES)
def test_one_float32_per_sample_and_finite_at_extremes(loss):
    student = jnp.asarray([[1e5, -1e5, 0.0], [1.0, 1.0, 1.0]])
    teacher = student[:, ::-1]
    values = loss(student, teacher)
    assert values.shape == (2,) and np.isfinite(values).all()
    assert np.isfinite(gradient_of(loss, student, teacher)).all()
    low = loss(student.astype(jnp.bfloat16), teacher.astype(jnp.bfloat16))
    assert low.dtype == jnp.float32
    np.testing.assert_allclose(low, values, rtol=0.01)
    one_by_one = jax.vmap(lambda s, t: loss(s[None], t[None])[0])(student, teacher)
    np.testing.assert_allclose(one_by_one, values, rtol=1e-6)


@pytest.mark.errors
@pytest.mark.parametrize("loss", DISTANCES)
def test_shapes_that_disagree_are_named(loss):
    with pytest.raises(
        ValueError, match=f"{loss.__name__}: teacher_logits has classes=3"
    ):
        loss(GOLDEN_STUDENT, GOLDEN_TEACHER[:, :3])
    beside = rf"{loss.__name__}: teacher_logits has shape .* student_logits of shape"
    with pytest.raises(ValueError, match=beside):
        loss(GOLDEN_STUDENT[0], GOLDEN_TEACHER)


def test_label_matching_of_a_teacher_that_is_nan_is_nan():
    """argmax names NaN's class, and the student's logit there is a number."""
    student, teacher = (
        np.float32([[1, 2, 3]] * 2),
        np.float32([[np.nan, 1, 2], [0, 1, 2]]),
    )
    np.testing.assert_array_equal(losses.label_matching(student, teacher), [np.nan, 0])
    gradient = gradient_of(losses.label_matching, student, teacher)
    assert np.isnan(gradient[0]).any() and not gradient[1].any()
