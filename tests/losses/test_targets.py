"""Losses against labels and probabilities: cross_entropy and kl_to_target."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.test_util import check_grads

from kdjax import losses
from tests import reference
from tests.reference import GOLDEN_KL, GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

ROWS = hnp.arrays(np.float32, (3, 5), elements=st.floats(-50, 50, width=32))
quick = settings(max_examples=60, deadline=None, derandomize=True)
to_target = jax.jit(losses.kl_to_target)
ONE_HOT = np.float32(reference.one_hot(GOLDEN_LABELS, 4))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0, 4.0, 5.0, 20.0])
def test_target_golden_of_a_softened_teacher(temperature):
    target = np.float32(reference.softmax(GOLDEN_TEACHER, temperature))
    values = temperature**2 * to_target(GOLDEN_STUDENT, target, temperature)
    np.testing.assert_allclose(values, GOLDEN_KL[temperature], rtol=2e-5, atol=1e-6)


def test_target_golden_of_smoothed_labels_and_of_probability_shift():
    target = np.float32(reference.softmax(GOLDEN_TEACHER, 4.0))
    shifted = target[[0, 1, 2]]
    shifted[0, [0, 2]], shifted[2, [2, 3]] = target[0, [2, 0]], target[2, [3, 2]]
    values = 16 * to_target(GOLDEN_STUDENT, shifted, 4.0)
    np.testing.assert_allclose(values, [0.367589, 0.250179, 0.348448], rtol=1e-5)
    smoothed = target.copy()
    smoothed[[0, 2]] = 0.9 * ONE_HOT[[0, 2]] + np.float32(0.025)
    values = 16 * to_target(GOLDEN_STUDENT, smoothed, 4.0)
    np.testing.assert_allclose(values, [12.344821, 0.250179, 11.497055], rtol=1e-5)


def test_target_with_zeros_matches_reference_in_value_and_gradient():
    target = np.float32([[0.5, 0.5, 0, 0], [0, 0, 0, 1], [0.2, 0.3, 0.4, 0.1]])
    values, gradient = jax.value_and_grad(
        lambda s: losses.kl_to_target(s, target, 2.0).sum()
    )(GOLDEN_STUDENT)
    expected = reference.kl_to_target(GOLDEN_STUDENT, target, 2.0)
    np.testing.assert_allclose(values, expected.sum(), rtol=1e-6)
    slope = (reference.softmax(GOLDEN_STUDENT, 2.0) - target) / 2.0
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-7)


def test_target_of_one_hot_rows_is_cross_entropy():
    values = to_target(GOLDEN_STUDENT, ONE_HOT, 1.0)
    expected = losses.cross_entropy(GOLDEN_STUDENT, GOLDEN_LABELS)
    np.testing.assert_allclose(values, expected, rtol=1e-6)


@pytest.mark.parametrize("temperature", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("top", [0, 1])
def test_target_is_finite_at_one_hot_and_huge_logits(top, temperature):
    student = jnp.float32([[1e5, -1e5, 0.0]])
    target = jnp.float32(reference.one_hot([top], 3))
    loss = jax.value_and_grad(
        lambda *a: losses.kl_to_target(*a).sum(), argnums=(0, 1, 2)
    )
    value, gradients = loss(student, target, jnp.float32(temperature))
    expected = reference.kl_to_target(student, target, np.float32(temperature))
    np.testing.assert_allclose(value, expected[0], rtol=1e-5)
    assert all(np.isfinite(g).all() for g in gradients)


def test_target_is_finite_where_logits_over_temperature_overflow():
    loss = jax.value_and_grad(lambda *a: losses.kl_to_target(*a, 1e-36).sum())
    student = jnp.float32([[0.0, 1e5, -1e5]])
    value, gradient = loss(student, jnp.float32([[0.5, 0.5, 0.0]]))
    assert np.isfinite(value) and value > 1e5
    assert np.isfinite(gradient).all()


@quick
@given(ROWS, ROWS, st.floats(0.125, 100, width=32))
def test_target_divergence_is_never_negative(student, teacher, temperature):
    target = jax.nn.softmax(teacher)
    assert (np.asarray(to_target(student, target, temperature)) >= 0).all()


def test_target_gradients_numerically():
    target = np.float32(reference.softmax(GOLDEN_TEACHER))

    @jax.jit
    def loss(student):
        return losses.kl_to_target(student, target, 4.0)

    student = (jnp.asarray(GOLDEN_STUDENT),)
    check_grads(loss, student, order=1, modes=("fwd", "rev"), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_matches_reference_for_labels_and_probabilities(smoothing):
    target = (1 - smoothing) * ONE_HOT.astype(np.float64) + smoothing / 4
    expected = reference.cross_entropy(GOLDEN_STUDENT, target)
    by_label = losses.cross_entropy(GOLDEN_STUDENT, GOLDEN_LABELS, smoothing)
    by_target = losses.cross_entropy(GOLDEN_STUDENT, ONE_HOT, smoothing)
    np.testing.assert_allclose(by_label, expected, rtol=1e-5)
    np.testing.assert_allclose(by_target, expected, rtol=1e-5)


def test_cross_entropy_golden():
    # The mean over the samples that the teacher gets right, of the worked example.
    value = losses.cross_entropy(GOLDEN_STUDENT, GOLDEN_LABELS)[1]
    np.testing.assert_allclose(value, 0.523241, atol=reference.PRINTED)


@quick
@given(ROWS, hnp.arrays(np.int32, 3, elements=st.integers(0, 4)))
def test_cross_entropy_agrees_with_optax(student, labels):
    peer = optax.losses.softmax_cross_entropy_with_integer_labels(student, labels)
    values = losses.cross_entropy(student, labels)
    np.testing.assert_allclose(values, peer, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("labels", [GOLDEN_LABELS, ONE_HOT])
def test_cross_entropy_gradients(labels):
    def loss(student):
        return losses.cross_entropy(student, labels, 0.1)

    student = jnp.asarray(GOLDEN_STUDENT)
    check_grads(loss, (student,), order=1, modes=("fwd", "rev"), rtol=0.02)
    gradient = jax.grad(lambda s: loss(s).sum())(student)
    slope = reference.softmax(GOLDEN_STUDENT) - (0.9 * ONE_HOT + 0.025)
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-7)


def test_cross_entropy_is_finite_at_huge_logits_and_ignores_a_masked_class():
    student = np.float32([[1e5, -1e5, 0.0]])
    for labels in (np.array([1]), np.float32([[0.0, 1.0, 0.0]])):
        loss = jax.value_and_grad(
            lambda s, y=labels: losses.cross_entropy(s, y, 0.1).sum()
        )
        value, gradient = loss(student)
        assert np.isfinite(value) and np.isfinite(gradient).all()
    masked = np.float32([[1.0, -np.inf, 0.0]])
    loss = jax.value_and_grad(
        lambda s: losses.cross_entropy(s, np.float32([[1.0, 0.0, 0.0]])).sum()
    )
    value, gradient = loss(masked)
    np.testing.assert_allclose(value, np.log1p(np.exp(-1.0)), rtol=1e-6)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("bad", [-1, 4, 255])
def test_a_traced_label_out_of_range_gives_nan_in_its_row_alone(bad):
    labels = np.array([2, bad, 3], np.int32)

    def loss(student, y):
        values = losses.cross_entropy(student, y)
        return values.sum(), values

    gradient, values = jax.jit(jax.grad(loss, has_aux=True))(GOLDEN_STUDENT, labels)
    assert np.isnan(values).tolist() == [False, True, False]
    assert np.isnan(gradient).all(-1).tolist() == [False, True, False]


def test_cross_entropy_takes_traced_smoothing_and_unsigned_labels():
    smooth = jax.jit(losses.cross_entropy)
    values = smooth(GOLDEN_STUDENT, GOLDEN_LABELS.astype(np.uint8), 0.1)
    expected = losses.cross_entropy(GOLDEN_STUDENT, GOLDEN_LABELS, 0.1)
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    many = np.tile(GOLDEN_STUDENT, 100)  # more classes than a uint8 can count
    values = losses.cross_entropy(many, GOLDEN_LABELS.astype(np.uint8))
    expected = losses.cross_entropy(GOLDEN_STUDENT, GOLDEN_LABELS) + np.log(100)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.errors
@pytest.mark.parametrize("bad", [-1, 4])
def test_a_concrete_label_out_of_range_is_refused(bad):
    labels = np.array([2, 1, bad])
    with pytest.raises(ValueError, match=rf"labels\[2\] is {bad}; expected 0 to 3"):
        losses.cross_entropy(GOLDEN_STUDENT, labels)


@pytest.mark.errors
def test_cross_entropy_names_what_does_not_fit():
    with pytest.raises(ValueError, match="labels has batch=2"):
        losses.cross_entropy(GOLDEN_STUDENT, GOLDEN_LABELS[:2])
    with pytest.raises(ValueError, match="labels has classes=3"):
        losses.cross_entropy(GOLDEN_STUDENT, ONE_HOT[:, :3])
    with pytest.raises(ValueError, match="labels has classes=3"):
        losses.cross_entropy(GOLDEN_STUDENT[0], GOLDEN_LABELS)
    with pytest.raises(TypeError, match="labels has dtype float32"):
        losses.cross_entropy(GOLDEN_STUDENT, GOLDEN_LABELS.astype(np.float32))
    for smoothing in (-0.1, 1.5, np.nan):
        with pytest.raises(ValueError, match="label_smoothing is"):
            losses.cross_entropy(GOLDEN_STUDENT, GOLDEN_LABELS, smoothing)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_target_that_is_not_a_number_never_trains(compiled):
    """A rule's NaN says that something was wrong; no loss may read it as a zero."""
    target = np.float32([[0.2, np.nan, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]])
    loss = jax.jit(losses.kl_to_target) if compiled else losses.kl_to_target
    result = np.asarray(loss(np.zeros((2, 4), np.float32), target, np.float32(2.0)))
    assert np.isnan(result[0]) and result[1] == pytest.approx(0.0, abs=1e-7)


def test_soft_labels_have_a_gradient_where_they_are_zero():
    """-log q of every class, as Optax has it: labels that are learned begin one-hot."""
    logits, labels = np.float32([[1, 2, 3]]), np.float32([[0, 1, 0]])
    gradient = jax.grad(lambda y: losses.cross_entropy(logits, y).sum())(labels)
    exact = -(logits - np.log(np.exp(np.float64(logits)).sum()))
    np.testing.assert_allclose(gradient, exact, rtol=1e-6)
    masked = np.float32([[1, -np.inf, 3]])
    value = losses.cross_entropy(masked, np.float32([[0.5, 0, 0.5]]))
    np.testing.assert_allclose(value, 1 + np.log1p(np.exp(-2.0)), rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_where_the_label_is_masked_what_smoothing_spreads_is_left(smoothing):
    """As Optax: smooth_labels over the classes that count, then the masked sum."""
    where = np.ones((3, 4), bool)
    where[[0, 2], GOLDEN_LABELS[[0, 2]]] = False
    with jax.numpy_dtype_promotion("standard"):
        smooth = optax.smooth_labels(ONE_HOT, smoothing, where=where)
    expected = optax.softmax_cross_entropy(GOLDEN_STUDENT, smooth, where=where)
    for labels in (GOLDEN_LABELS, ONE_HOT):
        value = losses.cross_entropy(GOLDEN_STUDENT, labels, smoothing, where)
        np.testing.assert_allclose(value, expected, rtol=1e-6)
        assert (np.asarray(value)[[0, 2]] == 0).all() == (smoothing == 0)
