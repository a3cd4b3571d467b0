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

kl = jax.jit(losses.kl_divergence)
kl_gradient = jax.jit(jax.grad(lambda s, t, tau: losses.kl_divergence(s, t, tau).sum()))
to_target = jax.jit(losses.kl_to_target)

SHAPE = (3, 5)
ROWS = hnp.arrays(np.float32, SHAPE, elements=st.floats(-50, 50, width=32))
TEMPERATURES = st.floats(0.125, 1e6, width=32)
quick = settings(max_examples=60, deadline=None, derandomize=True)


def cases():
    """Pairs of logits that break one or another way of computing KL."""
    draw = np.random.default_rng(0).normal
    teacher = 5 * draw(size=(6, 10))
    top = 40 * np.eye(10)[[3] * 6]
    pairs = {
        "ordinary": (3 * draw(size=(6, 10)), teacher),
        "many_classes": (3 * draw(size=(3, 300)), 5 * draw(size=(3, 300))),
        "nearly_equal": (teacher + 1e-3 * draw(size=(6, 10)), teacher),
        "offset": (3 * draw(size=(6, 10)) + 1000, teacher - 300),
        "confident": (3 * draw(size=(6, 10)) + top, draw(size=(6, 10)) + top),
        "opposed": (3 * draw(size=(6, 10)) + top, teacher + np.roll(top, 1, -1)),
        "underflowing_tail": ([[0.0, -10.0, -4.0]], [[0.0, -120.0, -4.001]]),
        "huge": (1e5 * draw(size=(6, 10)), 1e5 * draw(size=(6, 10))),
    }
    return {k: (np.float32(s), np.float32(t)) for k, (s, t) in pairs.items()}


CASES = cases()


@pytest.mark.parametrize("temperature", GOLDEN_KL)
def test_kl_golden(temperature):
    values = temperature**2 * kl(GOLDEN_STUDENT, GOLDEN_TEACHER, temperature)
    atol = reference.PRINTED + 1e-7
    np.testing.assert_allclose(values, GOLDEN_KL[temperature], rtol=0, atol=atol)
    exact, _ = reference.kl_divergence(GOLDEN_STUDENT, GOLDEN_TEACHER, temperature)
    np.testing.assert_allclose(values, temperature**2 * exact, rtol=1e-5)


def test_kl_gradient_golden_at_a_high_temperature():
    gradient = 1e4**2 * kl_gradient(GOLDEN_STUDENT, GOLDEN_TEACHER, 1e4)[0]
    printed = [-0.45629, -0.206219, 0.293786, 0.368723]
    np.testing.assert_allclose(gradient, printed, rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 4.0, 100.0, 1e4, 1e6, 1e12])
@pytest.mark.parametrize("case", CASES)
def test_kl_and_gradient_keep_their_digits(case, temperature):
    student, teacher = CASES[case]
    tau = np.float32(temperature)
    exact, slope = reference.kl_divergence(student, teacher, tau)
    # Below 1e-30 the pieces of the sum are not normal float32 numbers any more.
    np.testing.assert_allclose(kl(student, teacher, tau), exact, rtol=1e-5, atol=1e-30)
    error = np.abs(kl_gradient(student, teacher, tau) - slope).max(-1)
    assert (error <= 1e-5 * np.abs(slope).max(-1) + 1e-30).all()


def test_kl_agrees_with_optax():
    student, teacher = CASES["ordinary"]
    peer = optax.losses.kl_divergence(
        jax.nn.log_softmax(student / 4), jax.nn.softmax(teacher / 4)
    )
    np.testing.assert_allclose(kl(student, teacher, 4.0), peer, rtol=1e-4)


@quick
@given(ROWS, ROWS, TEMPERATURES)
def test_kl_is_never_negative(student, teacher, temperature):
    values = np.asarray(kl(student, teacher, temperature))
    assert np.isfinite(values).all() and (values >= 0).all()


@quick
@given(ROWS, TEMPERATURES)
def test_kl_and_gradient_are_zero_at_equality(logits, temperature):
    assert (np.asarray(kl(logits, logits, temperature)) == 0).all()
    assert (np.asarray(kl_gradient(logits, logits, temperature)) == 0).all()


@quick
@given(
    hnp.arrays(np.int32, (2, *SHAPE), elements=st.integers(-400, 400)),
    st.integers(-300, 300),
    st.integers(-300, 300),
    TEMPERATURES,
)
def test_kl_ignores_a_constant_on_either_side(eighths, a, b, temperature):
    student, teacher = (
        eighths.astype(np.float32) / 8
    )  # so the shifted ones are exact too
    plain = kl(student, teacher, temperature)
    shifted = kl(student + np.float32(a), teacher + np.float32(b), temperature)
    np.testing.assert_allclose(shifted, plain, rtol=1e-4, atol=1e-30)


@jax.jit
@jax.vmap
def kl_one_by_one(student, teacher, temperature):
    return losses.kl_divergence(student[None], teacher[None], temperature)[0]


@jax.jit
@jax.vmap
def to_target_one_by_one(student, target, temperature):
    return losses.kl_to_target(student[None], target[None], temperature)[0]


@quick
@given(ROWS, ROWS, hnp.arrays(np.float32, SHAPE[0], elements=TEMPERATURES))
def test_a_temperature_per_sample_is_vmap_of_the_scalar(student, teacher, temperature):
    at_once = kl(student, teacher, temperature)
    one_by_one = kl_one_by_one(student, teacher, temperature)
    np.testing.assert_allclose(at_once, one_by_one, rtol=1e-6)
    target = np.float32(reference.softmax(teacher))
    at_once = to_target(student, target, temperature)
    one_by_one = to_target_one_by_one(student, target, temperature)
    np.testing.assert_allclose(at_once, one_by_one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 4.0])
def test_kl_gradients_numerically(temperature):
    @jax.jit
    def loss(student, teacher):
        return losses.kl_divergence(student, teacher, temperature)

    pair = (jnp.asarray(GOLDEN_STUDENT), jnp.asarray(GOLDEN_TEACHER))
    check_grads(loss, pair, order=1, modes=("fwd", "rev"), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("temperature", [0.5, 1e4])
def test_kl_hessian_is_that_of_softmax(temperature):
    def loss(student):
        return losses.kl_divergence(student, GOLDEN_TEACHER[:1], temperature)[0]

    hessian = jax.jit(jax.hessian(loss))(GOLDEN_STUDENT[:1])[0, :, 0]
    q = reference.softmax(GOLDEN_STUDENT[:1], temperature)[0]
    exact = (np.diag(q) - np.outer(q, q)) / temperature**2
    np.testing.assert_allclose(hessian, exact, rtol=1e-4)


EXTREMES = {
    "one_hot": ([[1e5, 0.0, 0.0]], [[1e5, 0.0, 0.0]]),
    "opposed": ([[1e5, 0.0, -1e5]], [[-1e5, 0.0, 1e5]]),
    "equal": ([[2.0, 2.0, 2.0]], [[2.0, 2.0, 2.0]]),
    "teacher_mask": ([[0.0, 1.0, 2.0]], [[-np.inf, 1.0, 0.0]]),
    "both_mask": ([[-np.inf, 1.0, 2.0]], [[-np.inf, 1.0, 0.0]]),
    "student_mask": ([[-np.inf, 1.0, 2.0]], [[3.0, 1.0, 0.0]]),
}


kl_all_gradients = jax.jit(
    jax.value_and_grad(lambda *a: losses.kl_divergence(*a).sum(), argnums=(0, 1, 2))
)


@pytest.mark.parametrize("temperature", [1e-6, 1.0, 4.0, 1e6])
@pytest.mark.parametrize("case", EXTREMES)
def test_kl_and_all_gradients_are_finite_at_extremes(case, temperature):
    pair = [jnp.float32(x) for x in EXTREMES[case]]
    value, gradients = kl_all_gradients(*pair, jnp.float32(temperature))
    assert np.isfinite(value) and value >= 0
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("case", EXTREMES)
def test_kl_is_finite_where_logits_over_temperature_overflow(case):
    student, teacher = (jnp.float32(x) for x in EXTREMES[case])
    value, gradients = kl_all_gradients(student, teacher, jnp.float32(1e-36))
    assert np.isfinite(value) and value >= 0
    assert np.isfinite(gradients[0]).all() and np.isfinite(gradients[1]).all()


def test_a_class_masked_on_both_sides_plays_no_part():
    student, teacher = (np.float32(x) for x in EXTREMES["both_mask"])
    without = kl(student[:, 1:], teacher[:, 1:], 4.0)
    np.testing.assert_allclose(kl(student, teacher, 4.0), without, rtol=1e-6)


def test_nan_stays_nan():
    student = GOLDEN_STUDENT.copy()
    student[1, 2] = np.nan
    assert np.isnan(kl(student, GOLDEN_TEACHER, 4.0)).tolist() == [False, True, False]
    assert np.isnan(kl(GOLDEN_STUDENT, student, 4.0)).tolist() == [False, True, False]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_low_precision_inputs_are_computed_in_float32(dtype):
    student = jnp.asarray(GOLDEN_STUDENT, dtype)
    teacher = jnp.asarray(GOLDEN_TEACHER, dtype)
    target = jax.nn.softmax(teacher.astype(jnp.float32)).astype(dtype)
    calls = [
        (losses.kl_divergence, teacher, 20.0),
        (losses.kl_to_target, target, 20.0),
        (losses.cross_entropy, jnp.asarray(GOLDEN_LABELS), 0.1),
        (losses.cross_entropy, target, 0.1),
    ]
    for loss, other, number in calls:
        low = loss(student, other, number)
        wide = other if other.dtype == jnp.int32 else other.astype(jnp.float32)
        full = loss(student.astype(jnp.float32), wide, number)
        assert low.dtype == jnp.float32
        np.testing.assert_array_equal(low, full)
    close = losses.kl_divergence(student, teacher, 20.0)
    exact = kl(GOLDEN_STUDENT, GOLDEN_TEACHER, 20.0)
    # The rounding of the inputs, and no more.
    np.testing.assert_allclose(close, exact, rtol=0.03)


@pytest.mark.parametrize("temperature", [4, 4.0, np.float32(4), np.full(3, 4.0)])
def test_kl_takes_numbers_and_numpy(temperature):
    values = losses.kl_divergence(
        GOLDEN_STUDENT.astype(np.float64), GOLDEN_TEACHER, temperature
    )
    assert values.dtype == jnp.float32
    np.testing.assert_allclose(16 * values, GOLDEN_KL[4.0], rtol=0, atol=1e-6)


@pytest.mark.errors
@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, np.array([1.0, 0.0, 2.0])])
@pytest.mark.parametrize("loss", [losses.kl_divergence, losses.kl_to_target])
def test_a_temperature_not_above_zero_is_refused(loss, temperature):
    with pytest.raises(ValueError, match=rf"{loss.__name__}: temperature is .*above 0"):
        loss(GOLDEN_STUDENT, GOLDEN_TEACHER, temperature)


@pytest.mark.errors
@pytest.mark.parametrize("temperature", [np.inf, jnp.array([1.0, jnp.inf, 2.0])])
def test_an_infinite_temperature_points_to_the_limit(temperature):
    with pytest.raises(ValueError, match="temperature is inf.*logit_matching"):
        losses.kl_divergence(GOLDEN_STUDENT, GOLDEN_TEACHER, temperature)


@pytest.mark.errors
@pytest.mark.parametrize(
    "loss, other",
    [(losses.kl_divergence, "teacher_logits"), (losses.kl_to_target, "target")],
)
def test_shapes_that_disagree_are_named(loss, other):
    with pytest.raises(ValueError, match=f"{other} has classes=3"):
        loss(GOLDEN_STUDENT, GOLDEN_TEACHER[:, :3], 4.0)
    with pytest.raises(ValueError, match=f"{other} has batch=2"):
        loss(GOLDEN_STUDENT, GOLDEN_TEACHER[:2], 4.0)
    with pytest.raises(ValueError, match=rf"{other} has shape \(3, 4\); .* \(4,\)"):
        loss(GOLDEN_STUDENT[0], GOLDEN_TEACHER, 4.0)
    with pytest.raises(ValueError, match="temperature has batch=2"):
        loss(GOLDEN_STUDENT, GOLDEN_TEACHER, np.ones(2, np.float32))
