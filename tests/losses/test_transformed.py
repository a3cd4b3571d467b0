import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from kdjax import losses
from tests import reference

RNG = np.random.default_rng(1)
STUDENT = np.float32(2 * RNG.normal(size=(5, 6)))
TEACHER = np.float32(4 * RNG.normal(size=(5, 6)))
LABELS = np.int32([0, 5, 2, 2, 4])
FACTORS = (2.0, 1.5, 1.0, 0.5, 0.0, -0.5, -1.0)
match = jax.jit(losses.transformed_teacher_matching)
weight = jax.jit(losses.transformed_teacher_weight)
enhanced = jax.jit(losses.magnitude_enhanced_kl)


@pytest.mark.parametrize("power", [0.1, 0.5, 1.0, 2.0])
def test_matching_and_its_weight_match_a_loop(power):
    values, weights = [], []
    for s, t in zip(STUDENT, TEACHER, strict=True):
        p = reference.softmax(t[None])[0] ** power
        weights.append(sum(p))
        log_q = np.log(reference.softmax(s[None])[0])
        p = p / sum(p)
        values.append(sum(a * (np.log(a) - b) for a, b in zip(p, log_q, strict=True)))
    np.testing.assert_allclose(match(STUDENT, TEACHER, power), values, rtol=1e-5)
    np.testing.assert_allclose(weight(TEACHER, power), weights, rtol=1e-5)


def shrunk(s, t, y, factor):
    """The changed rows, as the code of NTCE-KD changes them."""
    s, t = np.float64(s), np.float64(t)
    first, second = np.sort(t)[-1], np.sort(t)[-2]
    t[np.argmax(t)] -= factor * (first - second)
    s[y] -= factor * (first - second)
    return s, t


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_enhanced_divergence_matches_a_loop(tau):
    expected = []
    for s, t, y in zip(STUDENT, TEACHER, LABELS, strict=True):
        total = 0.0
        for factor in FACTORS:
            a, b = shrunk(s, t, y, factor)
            q, p = (
                reference.softmax(a[None], tau)[0],
                reference.softmax(b[None], tau)[0],
            )
            total += sum(p * np.log(p / q))
        expected.append(total / len(FACTORS))
    given = STUDENT, TEACHER, LABELS, tau
    np.testing.assert_allclose(enhanced(*given), expected, rtol=1e-5)
    plain = losses.magnitude_enhanced_kl(*given, factors=(0.0,))
    kl = losses.kl_divergence(STUDENT, TEACHER, tau)
    np.testing.assert_allclose(plain, kl, rtol=1e-6)


def test_a_margin_of_one_makes_the_two_largest_equal():
    student, teacher = losses.shrink_margin(STUDENT, TEACHER, LABELS, 1.0)
    two = np.sort(teacher)[:, -2:]
    np.testing.assert_allclose(two[:, 0], two[:, 1], rtol=1e-6)
    rows = [shrunk(*row, 1.0)[0] for row in zip(STUDENT, TEACHER, LABELS, strict=True)]
    np.testing.assert_allclose(student, rows, rtol=1e-5, atol=1e-6)


def test_gradients_numerically():
    @jax.jit
    def both(s, t):
        return match(s, t, 0.5), weight(t, 0.5), enhanced(s, t, LABELS, 2.0)

    given = jnp.asarray(STUDENT), jnp.asarray(TEACHER)
    check_grads(both, given, order=1, modes=("rev",), rtol=0.02, atol=0.02)


@jax.jit
def all_values(s, t):
    def total(s, t):
        values = [match(s, t, 0.1), weight(t, 0.1)]
        values.append(enhanced(s, t, np.arange(3), 4.0))
        return sum(x.sum() for x in values), values

    return jax.grad(total, (0, 1), has_aux=True)(s, t)


@pytest.mark.parametrize("scale", [0.0, 1e5])
def test_values_and_gradients_are_finite_at_extremes(scale):
    gradients, values = all_values(scale * jnp.eye(3), scale * jnp.eye(3)[::-1])
    assert all(np.isfinite(x).all() for x in (*gradients, *values))
    if not scale:
        np.testing.assert_array_equal(values[0], 0)
        np.testing.assert_array_equal(values[2], 0)
        np.testing.assert_allclose(values[1], 3**0.9, rtol=1e-6)


def test_bfloat16_goes_in_and_float32_comes_out():
    s, t = jnp.bfloat16(STUDENT), jnp.bfloat16(TEACHER)
    values = match(s, t, 0.1), weight(t, 0.1), enhanced(s, t, LABELS, 4.0)
    s, t = np.float32(s), np.float32(t)
    expected = match(s, t, 0.1), weight(t, 0.1), enhanced(s, t, LABELS, 4.0)
    for value, exact in zip(values, expected, strict=True):
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, exact, rtol=1e-5)


def test_a_traced_label_out_of_range_gives_nan_in_its_row_alone():
    labels = np.int32([0, 6, 2, -1, 4])
    values = enhanced(STUDENT, TEACHER, labels, 4.0)
    assert np.isnan(values).tolist() == [False, True, False, True, False]


@pytest.mark.errors
def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="transformed_teacher_matching: power is 0"):
        losses.transformed_teacher_matching(STUDENT, TEACHER, 0.0)
    with pytest.raises(ValueError, match="transformed_teacher_weight: power is -1"):
        losses.transformed_teacher_weight(TEACHER, -1.0)
    with pytest.raises(ValueError, match=r"magnitude_enhanced_kl: labels\[0\] is 9"):
        losses.magnitude_enhanced_kl(STUDENT, TEACHER, LABELS + 9, 4.0)
    with pytest.raises(ValueError, match="factors is empty"):
        losses.magnitude_enhanced_kl(STUDENT, TEACHER, LABELS, 4.0, ())
