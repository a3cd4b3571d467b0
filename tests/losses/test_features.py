"""Losses between feature maps against float64 loops; pooling as PyTorch's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from kdjax import losses

RANDOM = np.random.default_rng(7)
STUDENT = RANDOM.normal(size=(3, 6, 6, 4)).astype(np.float32)
TEACHER = RANDOM.normal(size=(3, 6, 6, 4)).astype(np.float32)
SMALL = RANDOM.normal(size=(3, 4, 4, 4)).astype(np.float32)
PAIRED = {
    "mse": losses.feature_mean_squared_error,
    "at": losses.attention_transfer,
    "at_paper": lambda s, t: losses.attention_transfer(s, t, form="paper"),
    "ft": losses.factor_transfer,
    "ft_paper": lambda s, t: losses.factor_transfer(s, t, form="paper"),
    "hcl": losses.hierarchical_context,
}
COMPILED = {name: jax.jit(loss) for name, loss in PAIRED.items()}
COMPILED["jacobian"] = jax.jit(losses.input_gradient_matching)


def pool(x, height, width):
    """Bin by bin, of one map [height, width, channels], as PyTorch documents it."""
    x = np.asarray(x, np.float64)
    out = np.zeros((height, width, x.shape[2]))
    for i in range(height):
        for j in range(width):
            rows = slice(i * len(x) // height, int(np.ceil((i + 1) * len(x) / height)))
            wide = x.shape[1]
            columns = slice(j * wide // width, int(np.ceil((j + 1) * wide / width)))
            out[i, j] = x[rows, columns].mean((0, 1))
    return out


def attention(x, power=2):
    q = (np.abs(np.asarray(x, np.float64)) ** power).mean(-1).ravel()
    return q / np.linalg.norm(q)


def unit(x):
    x = np.asarray(x, np.float64).ravel()
    return x / np.linalg.norm(x)


def hcl(s, t):
    total, weights, weight = ((s - t) ** 2).mean(), 1.0, 1.0
    for size in (4, 2, 1):
        if size >= len(s):
            continue
        weight /= 2
        total += weight * ((pool(s, size, size) - pool(t, size, size)) ** 2).mean()
        weights += weight
    return total / weights


REFERENCE = {
    "mse": lambda s, t: ((s - t) ** 2).mean(),
    "at": lambda s, t: ((attention(s) - attention(t)) ** 2).mean(),
    "at_paper": lambda s, t: np.linalg.norm(attention(s) - attention(t)),
    "ft": lambda s, t: np.abs(attention(s) - attention(t)).mean(),
    "ft_paper": lambda s, t: np.abs(unit(s) - unit(t)).sum(),
    "hcl": hcl,
    "jacobian": lambda s, t: ((unit(s) - unit(t)) ** 2).mean(),
}


def of_each(name, student, teacher):
    pairs = zip(np.float64(student), np.float64(teacher), strict=True)
    return [REFERENCE[name](s, t) for s, t in pairs]


@pytest.mark.parametrize("name", COMPILED)
def test_value_equals_the_reference(name):
    values = COMPILED[name](STUDENT, TEACHER)
    assert values.shape == (3,) and values.dtype == jnp.float32
    np.testing.assert_allclose(values, of_each(name, STUDENT, TEACHER), rtol=1e-5)


@pytest.mark.parametrize("name", PAIRED)
def test_the_larger_map_is_pooled_to_the_smaller(name):
    pooled = np.stack([pool(maps, 4, 4) for maps in STUDENT])
    expected = of_each(name, pooled, SMALL)
    values = COMPILED[name](STUDENT, SMALL)
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    np.testing.assert_allclose(COMPILED[name](SMALL, STUDENT), expected, rtol=1e-5)


@pytest.mark.parametrize("name", COMPILED)
def test_gradients_numerically(name):
    loss, t = COMPILED[name], jnp.asarray(TEACHER[:1, :3, :3])
    s = jnp.asarray(STUDENT[:1, :3, :3])
    check_grads(loss, (s, t), order=1, modes=("rev",), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-7, 1.0, 1e4])
def test_gradients_are_finite_at_zeros_constants_and_equal_maps(name, size):
    maps = np.full((2, 6, 6, 4), size, np.float32)
    gradient = jax.grad(lambda s, t: COMPILED[name](s, t).sum(), argnums=(0, 1))
    for s, t in ((maps, maps), (maps, TEACHER[:2]), (STUDENT[:2], maps)):
        assert np.isfinite(COMPILED[name](s, t)).all()
        assert all(np.isfinite(g).all() for g in gradient(s, t))
    np.testing.assert_allclose(COMPILED[name](maps, maps), 0, atol=1e-7)


@pytest.mark.parametrize("name", COMPILED)
def test_bfloat16_is_computed_in_float32(name):
    s, t = jnp.bfloat16(STUDENT), jnp.bfloat16(TEACHER)
    values = COMPILED[name](s, t)
    assert values.dtype == jnp.float32
    exact = COMPILED[name](np.float32(s), np.float32(t))
    np.testing.assert_allclose(values, exact, rtol=1e-6)


@pytest.mark.parametrize("name", COMPILED)
def test_what_is_not_a_number_never_trains(name):
    broken = STUDENT.copy()
    broken[1, 0, 0, 0] = np.nan
    values = COMPILED[name](broken, TEACHER)
    assert np.isnan(values).tolist() == [False, True, False]


def test_the_same_without_a_compiler():
    for name, loss in PAIRED.items():
        values = loss(STUDENT, SMALL)
        np.testing.assert_allclose(values, COMPILED[name](STUDENT, SMALL), rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 5), (6, 6), (9, 7)])
def test_adaptive_pooling_at_any_ratio(size):
    maps = STUDENT[:, :, :5]
    expected = [pool(x, *size) for x in maps]
    values = losses.adaptive_average_pool(maps, *size)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


def test_each_axis_is_pooled_to_the_smaller():
    s, t = losses.same_size(STUDENT[:, :3], TEACHER[:, :, :2])
    assert s.shape == t.shape == (3, 3, 2, 4)
    np.testing.assert_array_equal(
        t[:, :, 0], TEACHER[:, :, 0].reshape(3, 3, 2, 4).mean(2)
    )


@pytest.mark.parametrize("power", [1, 3, 4.0])
def test_attention_takes_another_power_and_other_channels(power):
    teacher = TEACHER[..., :2]
    values = losses.attention_transfer(STUDENT, teacher, power)
    pairs = zip(STUDENT, teacher, strict=True)
    apart = [attention(s, power) - attention(t, power) for s, t in pairs]
    np.testing.assert_allclose(values, [(d * d).mean() for d in apart], rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_context_of_a_small_map_uses_the_smaller_pools_alone(size):
    s, t = STUDENT[:, :size, :size], TEACHER[:, :size, :size]
    values = losses.hierarchical_context(s, t)
    np.testing.assert_allclose(values, of_each("hcl", s, t), rtol=1e-5)


def test_pooled_features_are_taken_by_the_mean_squared_error_and_the_context():
    s, t = STUDENT[:, 0, 0], TEACHER[:, 0, 0]
    expected = ((np.float64(s) - t) ** 2).mean(-1)
    for loss in (losses.feature_mean_squared_error, losses.hierarchical_context):
        np.testing.assert_allclose(loss(s, t), expected, rtol=1e-6)


@pytest.mark.errors
def test_errors_name_what_does_not_fit():
    with pytest.raises(
        ValueError, match="hierarchical_context: teacher has channels=3"
    ):
        losses.hierarchical_context(STUDENT, TEACHER[..., :3])
    with pytest.raises(ValueError, match="factor_transfer: teacher has batch=2"):
        losses.factor_transfer(STUDENT, TEACHER[:2])
    with pytest.raises(ValueError, match="teacher has shape"):
        losses.feature_mean_squared_error(STUDENT, TEACHER[:, 0, 0])
    with pytest.raises(ValueError, match="form is 'papr'.*Did you mean paper"):
        losses.attention_transfer(STUDENT, TEACHER, form="papr")
    with pytest.raises(ValueError, match="power is 0.5; expected a number >= 1"):
        losses.attention_transfer(STUDENT, TEACHER, power=0.5)
    with pytest.raises(ValueError, match="teacher_gradient has height=4"):
        losses.input_gradient_matching(STUDENT, SMALL)
    with pytest.raises(ValueError, match="width is 0"):
        losses.adaptive_average_pool(STUDENT, 2, 0)
