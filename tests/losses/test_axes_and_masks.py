"""Any leading axes, and classes that play no part, of every loss on logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax import losses
from tests import reference

RNG = np.random.default_rng(5)
LEADING, CLASSES = (2, 3), 5
STUDENT = np.float32(3 * RNG.normal(size=(*LEADING, CLASSES)))
TEACHER = np.float32(3 * RNG.normal(size=(*LEADING, CLASSES)))
LABELS = np.int32([[0, 1, 3], [4, 0, 1]])
TAU = np.float32([[0.5], [4.0]])  # one for all of a row's places

# name -> f(student, teacher, labels, temperature, where)
MASKED = {
    "cross_entropy": lambda s, t, y, tau, w: losses.cross_entropy(s, y, 0.1, w),
    "soft_cross_entropy": lambda s, t, y, tau, w: losses.cross_entropy(
        s, one_hot(y, s), 0.1, w
    ),
    "kl_divergence": lambda s, t, y, tau, w: losses.kl_divergence(s, t, tau, w),
    "kl_to_target": lambda s, t, y, tau, w: losses.kl_to_target(
        s, one_hot(y, s), tau, w
    ),
    "generalized": lambda s, t, y, tau, w: losses.generalized_cross_entropy(
        s, y, 0.7, w
    ),
    "reverse": lambda s, t, y, tau, w: losses.reverse_cross_entropy(s, y, where=w),
    "ttm": lambda s, t, y, tau, w: losses.transformed_teacher_matching(s, t, 0.1, w),
    "dist": lambda s, t, y, tau, w: losses.dist_between_classes(s, t, tau, w),
    "standardise": lambda s, t, y, tau, w: losses.standardise(s, w)[..., 0],
    "normalised_target": lambda s, t, y, tau, w: losses.normalised_target(s, t, y, w),
    "generalised_decoupled": lambda s, t, y, tau, w: sum(
        losses.generalised_decoupled(s, t, tau, 2, w)
    ),
}


def of_labels(loss):
    return lambda s, t, y, tau, w: loss(s, t, y, tau, w)


def of_logits(loss):
    return lambda s, t, y, tau, w: loss(s, t, w)


for _name in "decoupled_target decoupled_nontarget normalised_nontarget".split():
    MASKED[_name] = of_labels(getattr(losses, _name))
for (
    _name
) in "logit_matching label_matching squared_error mean_squared_error smooth_l1".split():
    MASKED[_name] = of_logits(getattr(losses, _name))
UNMASKED = {
    "elr": lambda s, t, y, tau: losses.early_learning_regularization(
        s, jax.nn.softmax(t)
    ),
    "wttm": lambda s, t, y, tau: losses.transformed_teacher_weight(t, 0.5),
    "mkl": lambda s, t, y, tau: losses.magnitude_enhanced_kl(s, t, y, tau),
    "wkd": lambda s, t, y, tau: losses.wasserstein_nontarget(
        s, t, y, tau, 1 - np.eye(CLASSES, dtype=np.float32), iterations=2
    ),
    "scd": lambda s, t, y, tau: losses.sample_confidence(s, t, y, tau),
    "mcd": lambda s, t, y, tau: losses.masked_correlation(s, t, y, tau),
    "rc": lambda s, t, y, tau: losses.label_correction(s, t, y, tau),
}
ALL = UNMASKED | {
    k: lambda s, t, y, tau, f=f: f(s, t, y, tau, None) for k, f in MASKED.items()
}


def one_hot(labels, logits):
    return jax.nn.one_hot(labels, logits.shape[-1])


@pytest.mark.parametrize("name", ALL)
def test_leading_axes_are_rows(name):
    """[b, t, c] is its rows, and so are [c] inside vmap and a single [c]."""
    loss = jax.jit(ALL[name])
    values = loss(STUDENT, TEACHER, LABELS, TAU)
    assert values.shape == LEADING and values.dtype == jnp.float32
    rows = [x.reshape(-1, CLASSES) for x in (STUDENT, TEACHER)]
    each = LABELS.reshape(-1), np.broadcast_to(TAU, LEADING).reshape(-1)
    flat = loss(*rows, *each).reshape(LEADING)
    np.testing.assert_allclose(values, flat, rtol=1e-6, atol=1e-7)
    vmapped = jax.jit(jax.vmap(ALL[name]))(*rows, *each).reshape(LEADING)
    np.testing.assert_allclose(values, vmapped, rtol=1e-5, atol=1e-6)
    single = ALL[name](STUDENT[1, 2], TEACHER[1, 2], LABELS[1, 2, ...], 4.0)
    assert single.shape == ()
    np.testing.assert_allclose(single, values[1, 2], rtol=1e-5, atol=1e-6)


WHERE = np.array([True, True, False, True, True])


@pytest.mark.parametrize("name", MASKED)
def test_a_masked_class_is_one_that_is_not_there(name):
    """Whatever it holds: value and gradient are those of the logits without it."""
    student, teacher = STUDENT.copy(), TEACHER.copy()
    student[0, 0, 2], teacher[0, 0, 2], student[1, 1, 2] = np.nan, np.inf, -np.inf

    def total(s, t, y, tau, where):
        values = MASKED[name](s, t, y, tau, where)
        return values.sum(), values

    run = jax.jit(jax.grad(total, argnums=(0, 1), has_aux=True))
    gradients, values = run(student, teacher, LABELS, TAU, WHERE)
    kept = LABELS - (LABELS > 2)
    expected = run(STUDENT[..., WHERE], TEACHER[..., WHERE], kept, TAU, None)
    np.testing.assert_allclose(values, expected[1], rtol=1e-5, atol=1e-6)
    for gradient, slope in zip(gradients, expected[0], strict=True):
        assert (np.asarray(gradient)[..., 2] == 0).all()
        np.testing.assert_allclose(gradient[..., WHERE], slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", MASKED)
def test_masks_of_elements_leave_nothing_that_is_no_number(name):
    """Rows without any class, with one class, and without their label."""
    where = np.ones((*LEADING, CLASSES), bool)
    where[0, 0] = False
    where[0, 1] = np.arange(CLASSES) == LABELS[0, 1]
    where[1, 0, LABELS[1, 0]] = False

    def total(s, t, tau):
        values = MASKED[name](s, t, LABELS, tau, where)
        return values.sum(), values

    run = jax.jit(jax.grad(total, argnums=(0, 1, 2), has_aux=True))
    gradients, values = run(STUDENT, TEACHER, TAU)
    assert np.isfinite(values).all()
    assert all(np.isfinite(g).all() for g in gradients)
    if name not in ("dist", "reverse"):  # 1 where a side is constant; -A times 0
        assert values[0, 0] == 0
    for gradient in gradients[:2]:
        assert (np.asarray(gradient)[~where] == 0).all()


@pytest.mark.parametrize("tau", [0.5, 4.0, 1e3])
def test_divergence_has_its_slope_in_the_temperature(tau):
    """Beside the difference quotient of 60 digits; also between near neighbours."""
    rows, near = STUDENT.reshape(-1, CLASSES), TEACHER.reshape(-1, CLASSES)
    near = np.float32(rows + 1e-3 * near)
    for s, t in ((rows, TEACHER.reshape(-1, CLASSES)), (rows, near)):
        up, _ = reference.kl_divergence(s, t, tau * (1 + 1e-6))
        down, _ = reference.kl_divergence(s, t, tau * (1 - 1e-6))
        slope = (up - down) / (2e-6 * tau)
        run = jax.jit(jax.grad(lambda x, s=s, t=t: losses.kl_divergence(s, t, x).sum()))
        each = run(np.full(len(s), tau, np.float32))
        np.testing.assert_allclose(each, slope, rtol=2e-4)


@pytest.mark.parametrize("name", ["kl", "between", "matching", "nkd", "dist"])
def test_second_derivatives_are_those_of_the_equation(name):
    """jax.hessian, in student and teacher, beside plain softmaxes."""

    def plain(s, t):
        if name == "matching":
            return 0.5 * jnp.var(s - t)
        if name == "nkd":
            s, t = s[1:], t[1:]
            return -jnp.sum(jax.nn.softmax(t / 2.0) * jax.nn.log_softmax(s / 2.0))
        p, q = jax.nn.softmax(t / 2.0), jax.nn.softmax(s / 2.0)
        if name == "dist":
            a, b = q - jnp.mean(q), p - jnp.mean(p)
            return 1 - jnp.sum(a * b) / jnp.sqrt(jnp.sum(a * a) * jnp.sum(b * b))
        if name == "between":
            p, q = (jnp.stack([x[0], 1 - x[0]]) for x in (p, q))
        return jnp.sum(p * jnp.log(p / q))

    def ours(s, t):
        if name == "kl":
            return losses.kl_divergence(s, t, 2.0)
        if name == "matching":
            return losses.logit_matching(s, t)
        if name == "nkd":
            return losses.normalised_nontarget(s, t, np.zeros((), np.int32), 2.0)
        if name == "dist":
            return losses.dist_between_classes(s, t, 2.0)
        return losses.decoupled_target(s, t, np.zeros((), np.int32), 2.0)

    s, t = jnp.asarray(STUDENT[0, 0]), jnp.asarray(TEACHER[0, 0])
    for argnums in ((0, 1), (1, 0)):
        exact = jax.jit(jax.hessian(plain, argnums))(s, t)
        given = jax.jit(jax.hessian(ours, argnums))(s, t)
        np.testing.assert_allclose(given, exact, rtol=1e-3, atol=1e-4)


@pytest.mark.errors
def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"labels has batch=\(2, 1\) .*\(2, 3\)"):
        losses.cross_entropy(STUDENT, LABELS[:, :1])
    with pytest.raises(ValueError, match=r"temperature has shape \(3,\).*\(2, 3, 5\)"):
        losses.kl_divergence(STUDENT, TEACHER, np.ones(3, np.float32))
    with pytest.raises(ValueError, match="where has dtype float32; expected booleans"):
        losses.kl_divergence(STUDENT, TEACHER, 4.0, np.ones(5, np.float32))
    with pytest.raises(ValueError, match="smooth_l1: where has classes=4"):
        losses.smooth_l1(STUDENT, TEACHER, np.ones(4, bool))
