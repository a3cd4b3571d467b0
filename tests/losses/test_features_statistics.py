"""NST, FSP, WKD-F, VID and patch similarities against float64 loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from kdjax import losses

RANDOM = np.random.default_rng(11)
STUDENT = RANDOM.normal(size=(2, 4, 4, 3)).astype(np.float32)
TEACHER = RANDOM.normal(size=(2, 4, 4, 3)).astype(np.float32)
WIDE = RANDOM.normal(size=(2, 3, 5, 6)).astype(np.float32)
FIRST = RANDOM.normal(size=(2, 8, 8, 2)).astype(np.float32)
RHO = RANDOM.normal(size=3).astype(np.float32)
fsp = jax.jit(losses.flow_of_solution)
vid = jax.jit(losses.variational_information)
COMPILED = {
    "nst": jax.jit(losses.neuron_selectivity),
    "wkd": jax.jit(losses.channel_moments),
    "patches": jax.jit(losses.patch_similarity),
    "fsp": lambda s, t: fsp(FIRST, s, 2 * FIRST, t),
    "vid": lambda s, t: vid(s, RHO, t),
}


def nst(s, t):
    def kernel(a, b):
        total = 0.0
        for c in range(a.shape[2]):
            for d in range(b.shape[2]):
                x, y = a[..., c].ravel(), b[..., d].ravel()
                x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
                total += (x @ y) ** 2
        return total / (a.shape[2] * b.shape[2])

    return kernel(t, t) + kernel(s, s) - 2 * kernel(s, t)


def wkd(s, t, weight=2.0):
    total = 0.0
    for c in range(s.shape[2]):
        a, b = s[..., c].ravel(), t[..., c].ravel()
        total += weight * (a.mean() - b.mean()) ** 2
        total += (np.sqrt(a.var(ddof=1) + 1e-5) - np.sqrt(b.var(ddof=1) + 1e-5)) ** 2
    return total


def patches(s, t, tau=0.07):
    def logits(x):
        x = x.reshape(-1, x.shape[2])
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        return x @ x.T / tau

    total = 0.0
    for a, b in zip(logits(s), logits(t), strict=True):
        p, q = np.exp(b - b.max()), np.exp(a - a.max())
        p, q = p / p.sum(), q / q.sum()
        total += (p * (np.log(p) - np.log(q))).sum()
    return total / (s.shape[0] * s.shape[1])


def gram(a, b):
    out = np.zeros((a.shape[2], b.shape[2]))
    for c in range(a.shape[2]):
        for d in range(b.shape[2]):
            out[c, d] = (a[..., c] * b[..., d]).mean()
    return out


def test_neuron_selectivity_equals_the_reference_with_other_channels():
    teacher = WIDE.repeat(2, axis=1)[:, :4, :4]  # six channels against three
    expected = [
        nst(s, t) for s, t in zip(np.float64(STUDENT), np.float64(teacher), strict=True)
    ]
    np.testing.assert_allclose(COMPILED["nst"](STUDENT, teacher), expected, rtol=1e-5)
    pooled, _ = losses.same_size(FIRST, TEACHER)
    expected = [
        nst(s, t) for s, t in zip(np.float64(pooled), np.float64(TEACHER), strict=True)
    ]
    np.testing.assert_allclose(COMPILED["nst"](FIRST, TEACHER), expected, rtol=1e-5)


@pytest.mark.parametrize("weight", [2.0, 1.0])
def test_channel_moments_equal_the_reference_at_any_size(weight):
    for teacher in (TEACHER, WIDE[..., :3]):
        pairs = zip(np.float64(STUDENT), np.float64(teacher), strict=True)
        expected = [wkd(s, t, weight) for s, t in pairs]
        values = losses.channel_moments(STUDENT, teacher, weight)
        np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_channel_moments_of_one_position_compare_the_means():
    s, t = STUDENT[:, :1, :1], TEACHER[:, :1, :1]
    expected = 2 * ((np.float64(s) - t) ** 2).sum((1, 2, 3))
    np.testing.assert_allclose(COMPILED["wkd"](s, t), expected, rtol=1e-5)


@pytest.mark.parametrize("tau", [0.07, 1.0])
def test_patch_similarity_equals_the_reference(tau):
    pairs = zip(np.float64(STUDENT), np.float64(TEACHER), strict=True)
    expected = [patches(s, t, tau) for s, t in pairs]
    values = losses.patch_similarity(STUDENT, TEACHER, tau)
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    each = losses.patch_similarity(STUDENT, TEACHER, np.float32([tau, 2 * tau]))
    np.testing.assert_allclose(each[0], expected[0], rtol=1e-5)
    assert each[1] < values[1]


def resized(x, height, width):
    """Bilinear with half-pixel centres, coordinates held inside the map."""
    out = np.zeros((height, width, x.shape[2]))
    for i in range(height):
        for j in range(width):
            y = min(max((i + 0.5) * x.shape[0] / height - 0.5, 0), x.shape[0] - 1)
            z = min(max((j + 0.5) * x.shape[1] / width - 0.5, 0), x.shape[1] - 1)
            a, b = int(y), int(z)
            c, d = min(a + 1, x.shape[0] - 1), min(b + 1, x.shape[1] - 1)
            upper = (1 - (z - b)) * x[a, b] + (z - b) * x[a, d]
            lower = (1 - (z - b)) * x[c, b] + (z - b) * x[c, d]
            out[i, j] = (1 - (y - a)) * upper + (y - a) * lower
    return out


@pytest.mark.parametrize("student", [STUDENT, FIRST])
def test_patch_similarity_resizes_the_student_to_the_teachers_grid(student):
    pairs = zip(np.float64(student), np.float64(WIDE), strict=True)
    expected = [patches(resized(s, 3, 5), t) for s, t in pairs]
    np.testing.assert_allclose(COMPILED["patches"](student, WIDE), expected, rtol=1e-5)


def test_flow_equals_the_reference_with_pooled_maps():
    pooled, _ = losses.same_size(FIRST, STUDENT)
    np.testing.assert_allclose(
        losses.flow_matrix(FIRST, STUDENT),
        [gram(a, b) for a, b in zip(np.float64(pooled), STUDENT, strict=True)],
        rtol=1e-5,
        atol=1e-7,
    )
    values = losses.flow_of_solution(FIRST, STUDENT, 2 * FIRST, WIDE[..., :3])
    ours, theirs = losses.same_size(FIRST, WIDE[..., :3])
    for i in range(2):
        student = gram(np.float64(pooled[i]), np.float64(STUDENT[i]))
        teacher = gram(2 * np.float64(ours[i]), np.float64(theirs[i]))
        expected = ((student - teacher) ** 2).mean()
        np.testing.assert_allclose(values[i], expected, rtol=1e-5)


def test_variational_information_equals_the_reference():
    values = COMPILED["vid"](STUDENT, TEACHER)
    variance = np.log(1 + np.exp(np.float64(RHO))) + 1e-5
    for i in range(2):
        total = 0.0
        for c in range(3):
            d = np.float64(STUDENT[i, ..., c]) - TEACHER[i, ..., c]
            total += (0.5 * (d**2 / variance[c] + np.log(variance[c]))).mean() / 3
        np.testing.assert_allclose(values[i], total, rtol=1e-5)
    pooled = losses.variational_information(STUDENT[:, 0, 0], RHO, TEACHER[:, 0, 0])
    one = losses.variational_information(STUDENT[:, :1, :1], RHO, TEACHER[:, :1, :1])
    np.testing.assert_array_equal(pooled, one)


def test_initial_rho_gives_the_variance():
    for variance in (5.0, 1e-3, 800.0):
        rho = losses.vid_initial_rho(variance)
        np.testing.assert_allclose(np.logaddexp(0, rho) + 1e-5, variance, rtol=1e-12)
    assert losses.vid_initial_rho() == pytest.approx(np.log(np.exp(5 - 1e-5) - 1))
    for bad in (0.0, 1e-5, np.nan, np.inf):
        with pytest.raises(
            ValueError, match="expected a (number above 1e-5|finite number)"
        ):
            losses.vid_initial_rho(bad)


@pytest.mark.parametrize("name", COMPILED)
def test_gradients_numerically(name):
    s, t = jnp.asarray(STUDENT[:, :2, :2]), jnp.asarray(TEACHER[:, :2, :2])
    loss = COMPILED[name]
    if name == "patches":  # at .07 too steep for finite differences
        loss = jax.jit(lambda s, t: losses.patch_similarity(s, t, 0.5))
    check_grads(loss, (s, t), order=1, modes=("rev",), rtol=0.02, atol=0.02)


def test_gradients_to_rho_numerically():
    def loss(rho):
        return vid(STUDENT, rho, TEACHER)

    check_grads(loss, (jnp.asarray(RHO),), order=1, modes=("rev",), rtol=0.02)


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-7, 1.0])
def test_gradients_are_finite_at_zeros_constants_and_equal_maps(name, size):
    maps = np.full((2, 4, 4, 3), size, np.float32)
    loss = jax.value_and_grad(lambda s, t: COMPILED[name](s, t).sum(), argnums=(0, 1))
    for s, t in ((maps, maps), (maps, TEACHER), (STUDENT, maps), (TEACHER, TEACHER)):
        value, gradients = loss(s, t)
        assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("name", ["nst", "wkd", "patches"])
def test_equal_maps_have_loss_zero(name):
    np.testing.assert_allclose(COMPILED[name](TEACHER, TEACHER), 0, atol=1e-6)


@pytest.mark.parametrize("name", COMPILED)
def test_bfloat16_is_computed_in_float32(name):
    s, t = jnp.bfloat16(STUDENT), jnp.bfloat16(TEACHER)
    values = COMPILED[name](s, t)
    assert values.dtype == jnp.float32
    exact = COMPILED[name](np.float32(s), np.float32(t))
    np.testing.assert_allclose(values, exact, rtol=1e-5)


@pytest.mark.parametrize("name", COMPILED)
def test_what_is_not_a_number_never_trains(name):
    broken = STUDENT.copy()
    broken[1, 0, 0, 0] = np.nan
    for s, t in ((broken, TEACHER), (TEACHER, broken)):
        assert np.isnan(COMPILED[name](s, t)).tolist() == [False, True]


@pytest.mark.errors
def test_errors_name_what_does_not_fit():
    with pytest.raises(ValueError, match="channel_moments: teacher has channels=6"):
        losses.channel_moments(STUDENT, WIDE)
    with pytest.raises(ValueError, match="mean_weight is -1"):
        losses.channel_moments(STUDENT, TEACHER, -1)
    with pytest.raises(ValueError, match="teacher_second has second_channels=6"):
        losses.flow_of_solution(FIRST, STUDENT, FIRST, WIDE)
    with pytest.raises(ValueError, match="rho has channels=2"):
        losses.variational_information(STUDENT, RHO[:2], TEACHER)
    with pytest.raises(ValueError, match="temperature is 0"):
        losses.patch_similarity(STUDENT, TEACHER, 0.0)
