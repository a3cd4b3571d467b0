import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from kdjax import losses
from tests import reference

RNG = np.random.default_rng(2)
STUDENT = np.float32(2 * RNG.normal(size=(6, 6)))
TEACHER = np.float32(3 * RNG.normal(size=(6, 6)))
LABELS = np.int32([0, 5, 2, 2, 4, 1])
LABELS[0] = np.argmax(TEACHER[0])  # right
LABELS[1] = np.argmin(TEACHER[1])  # no class is below
LABELS[2] = np.argsort(TEACHER[2])[1]  # one class is below
BOTH = {
    "confidence": jax.jit(losses.sample_confidence),
    "correlation": jax.jit(losses.masked_correlation),
}


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_confidence_matches_a_loop(tau):
    expected = []
    for s, t, y in zip(STUDENT, TEACHER, LABELS, strict=True):
        p, q = max(reference.softmax(t[None], tau)[0]), reference.softmax(s[None], tau)
        q = q[0, y]
        expected.append(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    values = BOTH["confidence"](STUDENT, TEACHER, LABELS, tau)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_correlation_matches_a_loop(tau):
    expected = []
    for s, t, y in zip(STUDENT, TEACHER, LABELS, strict=True):
        below = [k for k in range(6) if t[k] < t[y]]
        if not below:
            expected.append(0.0)
            continue
        p, q = (reference.softmax(z[None, below], tau)[0] for z in (t, s))
        expected.append(sum(p * np.log(p / q)))
    values = BOTH["correlation"](STUDENT, TEACHER, LABELS, tau)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-12)
    assert values[1] == 0 and values[2] == 0


def test_both_are_decoupled_distillation_where_the_teacher_is_right():
    labels = np.argmax(TEACHER, -1)
    given = STUDENT, TEACHER, labels, 4.0
    for loss, peer in zip(
        BOTH.values(),
        (losses.decoupled_target, losses.decoupled_nontarget),
        strict=True,
    ):
        np.testing.assert_allclose(loss(*given), peer(*given), rtol=1e-5)


def test_correction_matches_a_loop():
    expected = []
    for s, y in zip(STUDENT, LABELS, strict=True):
        raised = np.float64(s)
        raised[y] += max(s)
        p, q = (
            reference.softmax(raised[None], 4.0)[0],
            reference.softmax(s[None], 4.0)[0],
        )
        expected.append(sum(p * np.log(p / q)))
    values = losses.label_correction(STUDENT, STUDENT, LABELS, 4.0)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_correction_trains_towards_the_label_with_a_fixed_reference():
    def loss(s):
        fixed = jax.lax.stop_gradient(s)
        return losses.label_correction(s, fixed, LABELS, 1.0).sum()

    raised = losses.raise_label(STUDENT, LABELS)
    expected = reference.softmax(STUDENT) - reference.softmax(raised)
    np.testing.assert_allclose(jax.grad(loss)(STUDENT), expected, atol=1e-6)


def test_gradients_numerically():
    @jax.jit
    def all_three(s, t):
        parts = [loss(s, t, LABELS, 2.0) for loss in BOTH.values()]
        return [*parts, losses.label_correction(s, t, LABELS, 2.0)]

    given = jnp.asarray(STUDENT), jnp.asarray(TEACHER)
    check_grads(all_three, given, order=1, modes=("rev",), rtol=0.02, atol=0.02)


@jax.jit
def all_values(s, t):
    def total(s, t):
        values = [loss(s, t, np.arange(4), 4.0) for loss in BOTH.values()]
        values.append(losses.label_correction(s, t, np.arange(4), 4.0))
        return sum(x.sum() for x in values), values

    return jax.grad(total, (0, 1), has_aux=True)(s, t)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e5])
def test_values_and_gradients_are_finite_at_extremes(scale):
    gradients, values = all_values(scale * jnp.eye(4), scale * jnp.eye(4)[::-1])
    assert all(np.isfinite(x).all() for x in (*gradients, *values))
    if not scale:  # equal logits: no class is below, and nothing is raised
        assert all((x == 0).all() for x in values)


@pytest.mark.parametrize("name", BOTH)
def test_precision_in_and_labels_out_of_range(name):
    s, t = jnp.bfloat16(STUDENT), jnp.bfloat16(TEACHER)
    values = BOTH[name](s, t, LABELS, 4.0)
    assert values.dtype == np.float32
    expected = BOTH[name](np.float32(s), np.float32(t), LABELS, 4.0)
    np.testing.assert_allclose(values, expected, rtol=1e-6)

    def total(s, y):
        values = BOTH[name](s, TEACHER, y, 4.0)
        return values.sum(), values

    bad = np.int32([0, 6, 2, -1, 4, 1])
    gradient, values = jax.jit(jax.grad(total, has_aux=True))(STUDENT, bad)
    wrong = [False, True, False, True, False, False]
    assert np.isnan(values).tolist() == wrong
    assert np.isnan(gradient).all(-1).tolist() == wrong


@pytest.mark.errors
def test_what_does_not_fit_is_named():
    for name in ("sample_confidence", "masked_correlation", "label_correction"):
        loss = getattr(losses, name)
        with pytest.raises(ValueError, match=rf"{name}: labels\[0\] is"):
            loss(STUDENT, TEACHER, LABELS + 6, 4.0)
        with pytest.raises(ValueError, match=f"{name}: .*classes=5"):
            loss(STUDENT, TEACHER[:, :5], LABELS, 4.0)
    with pytest.raises(TypeError, match="raise_label: labels has dtype"):
        losses.raise_label(STUDENT, np.float32(LABELS))
