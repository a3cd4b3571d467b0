"""Value and gradient keep their digits where student and teacher nearly agree.

Against the textbook formulas in float64 NumPy, whose derivatives are complex steps:
exact, without a difference.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax import losses

BATCH, CLASSES = 5, 6
RNG = np.random.default_rng(3)
TEACHER, NOISE = np.float32(2 * RNG.normal(size=(2, BATCH, CLASSES)))
LABELS = np.array([0, 3, 5, 1, 1])
WHERE = np.array([True, True, False, True, True, True])


def softmax(z):
    e = np.exp(z - z.real.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def distance(p, q, axis):
    a, b = (x - x.mean(axis, keepdims=True) for x in (p, q))
    lengths = np.sqrt((a * a).sum(axis) * (b * b).sum(axis))
    return 1 - (a * b).sum(axis) / (lengths + 1e-8)


def between_classes(s, t):
    return distance(softmax(t), softmax(s), -1).sum()


def of_counted(s, t):
    return between_classes(s[:, WHERE], t[:, WHERE])


def within_class(s, t):
    return BATCH * distance(softmax(t), softmax(s), 0).mean()


def between_samples(s, t):
    p, q = softmax(t), softmax(s)
    return ((p @ p.T - q @ q.T) ** 2).sum()


def between_columns(s, t):
    p, q = softmax(t), softmax(s)
    return BATCH * ((p.T @ p - q.T @ q) ** 2).sum() / CLASSES


def nontarget(s, t):
    rest = np.arange(CLASSES) != LABELS[:, None]
    p, q = (softmax(z[rest].reshape(BATCH, -1)) for z in (t, s))
    return -(p * np.log(q)).sum()


def matching(s, t):
    d = s - t
    return 0.5 * ((d - d.mean(-1, keepdims=True)) ** 2).mean(-1).sum()


def masked(s, t, tau):
    return losses.dist_between_classes(s, t, tau, WHERE)


def without_label(s, t, tau):
    return losses.normalised_nontarget(s, t, LABELS, tau)


def limit(s, t, tau):
    return losses.logit_matching(s / tau, t / tau)


PAIRS = {
    "dist_between_classes": (losses.dist_between_classes, between_classes),
    "dist_between_classes, masked": (masked, of_counted),
    "dist_within_class": (losses.dist_within_class, within_class),
    "batch_correlation": (losses.batch_correlation, between_samples),
    "class_correlation": (losses.class_correlation, between_columns),
    "normalised_nontarget": (without_label, nontarget),
    "logit_matching": (limit, matching),
}


def slopes(function, x):
    """The derivative in each entry."""
    slope = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        step = np.zeros(x.shape, complex)
        step[at] = 1e-30j
        slope[at] = function(x + step).imag / 1e-30
    return slope


@pytest.fixture(scope="module", params=PAIRS)
def pair(request):
    """(value and gradients in student, teacher and temperature; the textbook's)."""
    loss, textbook = PAIRS[request.param]
    total = lambda s, t, tau: jnp.sum(loss(s, t, tau))  # noqa: E731
    return jax.jit(jax.value_and_grad(total, (0, 1, 2))), textbook


@pytest.mark.parametrize("tau", [1.0, 4.0])
@pytest.mark.parametrize("gap", [1e-3, 1e-4])
def test_digits_are_kept(pair, gap, tau):
    check(pair, np.float32(TEACHER + np.float32(gap) * NOISE), TEACHER, tau)


@pytest.mark.parametrize("scale", [0.01, 1.0, 3.0])
def test_digits_are_kept_far_from_it(pair, scale):
    check(pair, np.float32(scale) * NOISE, np.float32(scale) * TEACHER, 1.0, 3e-5)


def check(pair, student, teacher, tau, tolerance=5e-6):
    value, gradients = pair[0](student, teacher, np.float32(tau))
    s, t = (x.astype(float) for x in (student, teacher))
    textbook, tau = pair[1], np.array(tau)
    assert value == pytest.approx(textbook(s / tau, t / tau), rel=1e-5)
    expected = (
        slopes(lambda x: textbook(x / tau, t / tau), s),
        slopes(lambda x: textbook(s / tau, x / tau), t),
    )
    for gradient, slope in zip(gradients, expected, strict=False):
        assert np.linalg.norm(gradient - slope) <= tolerance * np.linalg.norm(slope)
    cooling = slopes(lambda x: textbook(s / x, t / x), tau)
    # A difference of these, which near equality are nearly the same.
    parts = np.abs(expected[0] * s).sum() + np.abs(expected[1] * t).sum()
    assert abs(gradients[2] - cooling) <= 3e-6 * parts / tau
