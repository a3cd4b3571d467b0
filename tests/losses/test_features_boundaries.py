"""AB and OFD, before ReLU, against float64 loops; OFD's margins against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import stats

from kdjax import losses

RANDOM = np.random.default_rng(5)
STUDENT = RANDOM.normal(size=(3, 4, 4, 5)).astype(np.float32)
TEACHER = RANDOM.normal(size=(3, 4, 4, 5)).astype(np.float32)
MARGIN = np.float32([-0.1, -0.5, -1.0, -2.0, -0.7])
boundary = jax.jit(losses.activation_boundary)
overhaul = jax.jit(losses.overhaul)
margin_of = jax.jit(losses.overhaul_margin)


def boundary_reference(s, t, m):
    total = 0.0
    for a, b in zip(np.float64(s).ravel(), np.float64(t).ravel(), strict=True):
        if b <= 0 and a > -m:
            total += (a + m) ** 2
        if b > 0 and a <= m:
            total += (a - m) ** 2
    return total


def overhaul_reference(s, t, margin):
    """In the three cases of mdistiller's code."""
    total = 0.0
    for c, m in enumerate(np.float64(margin)):
        pairs = zip(np.float64(s[..., c]).flat, np.float64(t[..., c]).flat, strict=True)
        for a, b in pairs:
            if b <= m and a > m:
                total += (a - m) ** 2
            elif m < b <= 0 and a > b:
                total += (a - b) ** 2
            elif b > 0:
                total += (a - b) ** 2
    return total


@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_boundaries_equal_the_reference(margin):
    values = boundary(STUDENT, TEACHER, margin)
    pairs = zip(STUDENT, TEACHER, strict=True)
    expected = [boundary_reference(s, t, margin) for s, t in pairs]
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_overhaul_equals_the_reference():
    values = overhaul(STUDENT, TEACHER, MARGIN)
    pairs = zip(STUDENT, TEACHER, strict=True)
    expected = [overhaul_reference(s, t, MARGIN) for s, t in pairs]
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    large = TEACHER.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(overhaul(STUDENT, large, MARGIN), expected, rtol=1e-5)


def test_beyond_the_margin_nothing_is_lost():
    student, teacher = np.where(TEACHER > 0, 1.5, -2.5), np.where(TEACHER > 0, 1.5, -9)
    np.testing.assert_array_equal(boundary(student, teacher, 1.0), 0)
    np.testing.assert_array_equal(overhaul(student, teacher, MARGIN), 0)


def test_margins_equal_the_mean_below_zero():
    scale, bias = np.meshgrid([0.01, -0.5, 1.0, 3.0], np.linspace(-4, 9, 40))
    scale, bias = np.float32(scale.ravel()), np.float32(bias.ravel())
    margins = margin_of(scale, bias)
    for value, s, b in zip(margins, np.float64(scale), np.float64(bias), strict=True):
        g = abs(s)
        below = stats.norm.cdf(-b / g)
        expected = -3 * g
        if below > 1e-3:
            expected = b - g * stats.norm.pdf(b / g) / below
        np.testing.assert_allclose(value, expected, rtol=2e-5)
    assert (np.asarray(margins) < 0).all()


def test_margins_equal_an_average_of_samples():
    x = RANDOM.normal(0.3, 0.8, 400_000)
    value = losses.overhaul_margin(np.float32([-0.8]), np.float32([0.3]))
    np.testing.assert_allclose(value, x[x < 0].mean(), rtol=0.01)


def test_margins_without_scale_are_the_limit_and_have_finite_gradients():
    scale = jnp.float32([0, 0, 0, 1e-30, 1e-30, 1])
    bias = jnp.float32([-2, 2, 0, -2, 2, -60])
    margins = margin_of(scale, bias)
    np.testing.assert_allclose(margins, [-2, 0, 0, -2, 0, -60], rtol=1e-6)
    gradient = jax.grad(lambda *a: margin_of(*a).sum(), argnums=(0, 1))
    assert all(np.isfinite(g).all() for g in gradient(scale, bias))


def test_gradients_numerically():
    s = jnp.asarray(STUDENT[:1, :2, :2])
    t = TEACHER[:1, :2, :2]

    def both(s):
        return boundary(s, t, 1.0), overhaul(s, t, MARGIN)

    check_grads(both, (s,), order=1, modes=("rev",), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("size", [0.0, 1.0, -1.0, 1e4])
def test_gradients_are_finite_at_constant_maps(size):
    maps = np.full((3, 4, 4, 5), size, np.float32)
    for s, t in ((maps, maps), (maps, TEACHER), (STUDENT, maps)):
        for loss in (
            lambda s, t: boundary(s, t, 1.0).sum(),
            lambda s, t: overhaul(s, t, MARGIN).sum(),
        ):
            value, gradients = jax.value_and_grad(loss, argnums=(0, 1))(s, t)
            assert np.isfinite(value)
            assert all(np.isfinite(g).all() for g in gradients)


def test_bfloat16_is_computed_in_float32():
    s, t = jnp.bfloat16(STUDENT), jnp.bfloat16(TEACHER)
    for loss, rest in ((boundary, 1.0), (overhaul, MARGIN)):
        values = loss(s, t, rest)
        assert values.dtype == jnp.float32
        exact = loss(np.float32(s), np.float32(t), rest)
        np.testing.assert_allclose(values, exact, rtol=1e-6)


def test_what_is_not_a_number_never_trains():
    broken = STUDENT.copy()
    broken[1, 0, 0, 0] = np.nan
    for s, t in ((broken, TEACHER), (STUDENT, broken)):
        for values in (boundary(s, t, 1.0), overhaul(s, t, MARGIN)):
            assert np.isnan(values).tolist() == [False, True, False]


@pytest.mark.errors
def test_errors_name_what_does_not_fit():
    with pytest.raises(ValueError, match="teacher has height=2"):
        losses.activation_boundary(STUDENT, TEACHER[:, :2])
    with pytest.raises(ValueError, match="margin is 0"):
        losses.activation_boundary(STUDENT, TEACHER, 0)
    with pytest.raises(ValueError, match="margin has channels=4"):
        losses.overhaul(STUDENT, TEACHER, MARGIN[:4])
    with pytest.raises(ValueError, match="bias has channels=4"):
        losses.overhaul_margin(MARGIN, MARGIN[:4])
