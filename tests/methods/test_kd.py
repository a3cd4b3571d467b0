import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, kd
from tests import reference
from tests.objectives import objective
from tests.reference import (
    GOLDEN_KL,
    GOLDEN_LABELS,
    GOLDEN_LOGIT_MATCHING,
    GOLDEN_STUDENT,
    GOLDEN_TEACHER,
)

INFINITY = float("inf")
ONE_HOT = reference.one_hot(GOLDEN_LABELS, 4)
# (1/3) (d_k - mean d) / 4: the mean over the batch of Theorem 1's first limit.
GOLDEN_INFINITE_GRADIENT = [
    [-0.152083, -0.06875, 0.097917, 0.122917],
    [0.025, -0.075, 0.091667, -0.041667],
    [-0.052083, 0.10625, -0.102083, 0.047917],
]


def value_and_gradient(method, selection=None):
    loss = jax.value_and_grad(
        lambda s, t: objective(method, s, t, GOLDEN_LABELS, selection), argnums=(0, 1)
    )
    return loss(jnp.asarray(GOLDEN_STUDENT), jnp.asarray(GOLDEN_TEACHER))


@pytest.mark.parametrize("temperature", [*GOLDEN_KL, INFINITY])
def test_golden_mean_at_every_temperature(temperature):
    value, _ = value_and_gradient(kd.build(alpha=1, temperature=temperature))
    per_sample = {**GOLDEN_KL, INFINITY: GOLDEN_LOGIT_MATCHING}[temperature]
    np.testing.assert_allclose(value, np.mean(per_sample), atol=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 0.9])
@pytest.mark.parametrize("temperature", [1, 5, 20.0])
def test_objective_and_gradient_match_the_equation(alpha, temperature):
    method = METHODS["kd"].build(alpha=alpha, temperature=temperature)
    value, (gradient, to_teacher) = value_and_gradient(method)
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    soft, _ = reference.kl_divergence(GOLDEN_STUDENT, GOLDEN_TEACHER, temperature)
    expected = (1 - alpha) * hard + alpha * temperature**2 * soft
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)
    # dL/dz_k = (1 - alpha)(p_k(1) - y_k) + alpha tau (p_k(tau) - p^t_k(tau)).
    slope = (1 - alpha) * (reference.softmax(GOLDEN_STUDENT) - ONE_HOT)
    slope += alpha * temperature * reference.softmax(GOLDEN_STUDENT, temperature)
    slope -= alpha * temperature * reference.softmax(GOLDEN_TEACHER, temperature)
    np.testing.assert_allclose(gradient, slope / 3, rtol=1e-4, atol=1e-6)
    assert (np.asarray(to_teacher) == 0).all()


def test_infinite_temperature_has_theorem_1s_gradient():
    method = kd.build(alpha=1.0, temperature=INFINITY)
    _, (gradient, to_teacher) = value_and_gradient(method)
    np.testing.assert_allclose(gradient, GOLDEN_INFINITE_GRADIENT, atol=1e-6)
    assert (np.asarray(to_teacher) == 0).all()


def test_infinite_temperature_mixes_with_the_labels():
    value, _ = value_and_gradient(kd.build(alpha=0.25, temperature=INFINITY))
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    soft = reference.logit_matching(GOLDEN_STUDENT, GOLDEN_TEACHER)
    np.testing.assert_allclose(value, (0.75 * hard + 0.25 * soft).mean(), rtol=1e-5)


@pytest.mark.parametrize(
    "temperature, factor", [(0.1, 10), (0.5, 2), (1, 1), (1.5, 1), (INFINITY, 1)]
)
def test_small_temperature_fix_divides_by_temperatures_up_to_one(temperature, factor):
    plain = kd.build(alpha=0.5, temperature=temperature)
    fixed = kd.build(alpha=0.5, temperature=temperature, small_temperature_fix=True)
    hard = 0.5 * reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT).mean()
    soft = [value_and_gradient(m)[0] - hard for m in (plain, fixed)]
    np.testing.assert_allclose(soft[1], factor * soft[0], rtol=1e-4)


def test_small_temperature_fix_reaches_label_matching():
    method = kd.build(alpha=1, temperature=1e-4, small_temperature_fix=True)
    _, (gradient, _) = value_and_gradient(method)
    exact = reference.label_matching_gradient(GOLDEN_STUDENT, GOLDEN_TEACHER)
    np.testing.assert_allclose(gradient, exact / 3, atol=1e-6)


def test_selection_weighs_the_teacher_and_not_the_labels():
    selection = np.float32([1.0, 0.0, 0.5])
    method = kd.build(alpha=0.5, temperature=4)
    value, _ = value_and_gradient(method, selection)
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    expected = 0.5 * hard + 0.5 * selection * GOLDEN_KL[4.0]
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)


def test_label_smoothing_softens_the_labels_only():
    method = kd.build(alpha=0.5, temperature=4, label_smoothing=0.1)
    value, _ = value_and_gradient(method)
    hard = reference.cross_entropy(GOLDEN_STUDENT, 0.9 * ONE_HOT + 0.025)
    expected = 0.5 * hard + 0.5 * np.array(GOLDEN_KL[4.0])
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)


@pytest.mark.parametrize(
    "alpha, temperature, names",
    [
        (0, 4, ["hard_label"]),
        (0.5, 4, ["hard_label", "soft_logits"]),
        (1, 4, ["soft_logits"]),
        (1, INFINITY, ["logit_matching"]),
    ],
)
def test_parts_without_weight_are_left_out(alpha, temperature, names):
    method = kd.build(alpha=alpha, temperature=temperature)
    assert [term.name for term in method.terms] == names
    assert (method.supervisor is None) == (alpha == 0)


@pytest.mark.errors
@pytest.mark.parametrize("temperature", [0, -4, float("nan"), -INFINITY])
def test_a_temperature_not_above_zero_is_refused(temperature):
    with pytest.raises(ValueError, match="kd: temperature is"):
        kd.build(alpha=0.5, temperature=temperature)


@pytest.mark.errors
@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), None])
def test_an_alpha_outside_zero_to_one_is_refused(alpha):
    with pytest.raises(ValueError, match="kd: alpha is"):
        kd.build(alpha=alpha, temperature=4)


@pytest.mark.errors
def test_smoothing_is_checked_even_where_no_label_is_used():
    with pytest.raises(ValueError, match="kd: label_smoothing is 2"):
        kd.build(alpha=1, temperature=4, label_smoothing=2)
