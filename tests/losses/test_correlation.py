"""Correlations of predictions and standardised logits against loops in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from kdjax import losses
from tests.losses.test_relations import numerical_gradient
from tests.reference import softmax

MASKS = {
    "all": [1, 1, 1, 1, 1],
    "three": [0, 1, 2, 0, 0.5],
    "two": [0, 1, 0, 1, 0],
    "one": [0, 0, 1, 0, 0],
    "none": [0, 0, 0, 0, 0],
}


def pearson(x, y):
    x, y = x - x.mean(), y - y.mean()
    return x @ y / (np.linalg.norm(x) * np.linalg.norm(y) + 1e-8)


def dist_within_class(p, q):
    return np.mean([1 - pearson(q[:, k], p[:, k]) for k in range(p.shape[1])])


def batch_correlation(p, q):
    return np.sum((p @ p.T - q @ q.T) ** 2) / len(p)


def class_correlation(p, q):
    return np.sum((p.T @ p - q.T @ q) ** 2) / p.shape[1]


REFERENCES = (dist_within_class, batch_correlation, class_correlation)
each = pytest.mark.parametrize("reference", REFERENCES, ids=lambda f: f.__name__)


def logits(seed=0, shape=(5, 4)):
    draw = np.random.default_rng(seed)
    return [np.float32(draw.normal(size=shape) * 2) for _ in "st"]


@functools.cache
def compiled(name):
    loss = getattr(losses, name)

    def total(student, teacher, temperature, where):
        values = loss(student, teacher, temperature, where)
        return values.sum(), values

    return jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))


def evaluate(reference, student, teacher, temperature, mask):
    (_, values), gradients = compiled(reference.__name__)(
        student, teacher, np.float32(temperature), np.float32(mask)
    )
    assert values.dtype == jnp.float32 and values.shape == (len(student),)
    return np.asarray(values), [np.asarray(g) for g in gradients]


@each
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_correlation_is_the_published_number_of_the_sub_batch(
    reference, mask, temperature
):
    student, teacher = logits()
    values, gradients = evaluate(reference, student, teacher, temperature, mask)
    kept = np.float32(mask) > 0
    assert (values[~kept] == 0).all()
    assert all((g[~kept] == 0).all() and np.isfinite(g).all() for g in gradients)
    if kept.any():
        p, q = (softmax(x[kept], temperature) for x in (teacher, student))
        mean = values.sum() / kept.sum()
        np.testing.assert_allclose(mean, reference(p, q), rtol=1e-5)


@each
def test_correlation_does_not_see_what_is_not_selected(reference):
    student, teacher = logits()
    mask = np.array(MASKS["three"])
    values, gradients = evaluate(reference, student, teacher, 2.0, mask)
    student[mask == 0], teacher[mask == 0] = np.nan, 1e6
    others, slopes = evaluate(reference, student, teacher, 2.0, mask)
    np.testing.assert_array_equal(values, others)
    np.testing.assert_array_equal(gradients, slopes)


@each
def test_correlation_of_a_permuted_batch_is_permuted(reference):
    student, teacher = logits()
    mask, order = np.array(MASKS["three"]), np.array([3, 1, 0, 4, 2])
    values, _ = evaluate(reference, student, teacher, 2.0, mask)
    permuted, _ = evaluate(reference, student[order], teacher[order], 2.0, mask[order])
    np.testing.assert_allclose(permuted, values[order], rtol=1e-5, atol=1e-7)


@each
@pytest.mark.parametrize("mask", ["all", "three"])
def test_correlation_gradients_are_those_of_the_reference(reference, mask):
    student, teacher = logits(1)
    kept = np.float32(MASKS[mask]) > 0
    _, gradients = evaluate(reference, student, teacher, 2.0, MASKS[mask])
    s, t = student[kept].astype(float), teacher[kept].astype(float)
    value = lambda s, t: len(s) * reference(softmax(t, 2.0), softmax(s, 2.0))  # noqa: E731
    slopes = (
        numerical_gradient(lambda x: value(x, t), s),
        numerical_gradient(lambda x: value(s, x), t),
    )
    for gradient, slope in zip(gradients, slopes, strict=True):
        atol = 2e-5 * np.abs(slope).max()
        np.testing.assert_allclose(gradient[kept], slope, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("temperature", [1.0, 4.0, np.array([1, 2, 3, 4, 5.0])])
def test_dist_between_classes_matches_the_reference_per_sample(temperature):
    student, teacher = logits()
    values = losses.dist_between_classes(student, teacher, temperature)
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    expected = [1 - pearson(a, b) for a, b in zip(p, q, strict=True)]
    assert values.dtype == jnp.float32
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    fixed = jax.jit(lambda s: losses.dist_between_classes(s, teacher, temperature))
    np.testing.assert_allclose(fixed(student), values, rtol=1e-5)
    check_grads(fixed, (student,), 1, ("rev",), atol=0.02, rtol=0.02, eps=2e-3)


def test_dist_keeps_its_digits_near_the_teacher():
    _, teacher = logits()
    student = teacher + np.float32(1e-3) * logits(8)[0]
    p, q = softmax(teacher), softmax(student)
    expected = np.mean([1 - pearson(a, b) for a, b in zip(p, q, strict=True)])
    values = losses.dist_between_classes(student, teacher)
    assert expected < 2e-6
    # The 1e-8 of the denominator is part of the value.
    np.testing.assert_allclose(values.mean(), expected, rtol=2e-3)


@pytest.mark.parametrize("scale", [1.0, 0.1, 0.3, 1e3])
def test_dist_of_a_uniform_prediction_is_one_with_zero_gradient(scale):
    _, teacher = logits(shape=(5, 7))
    student = np.full((5, 7), scale, np.float32)
    for loss in (losses.dist_between_classes, losses.dist_within_class):
        evaluate = jax.jit(jax.value_and_grad(lambda s, f=loss: f(s, teacher).mean()))
        values, slope = evaluate(student)
        np.testing.assert_allclose(values, 1.0)
        assert (np.asarray(slope) == 0).all()


def test_correlations_take_bfloat16():
    student, teacher = (jnp.bfloat16(x) for x in logits())
    p, q = (softmax(x.astype(jnp.float32)) for x in (teacher, student))
    for reference in REFERENCES:
        values = getattr(losses, reference.__name__)(student, teacher)
        assert values.dtype == jnp.float32
        np.testing.assert_allclose(values.mean(), reference(p, q), rtol=1e-5)
    assert losses.standardise(student).dtype == jnp.float32
    assert losses.batch_standardise(student).dtype == jnp.float32


def test_standardise_matches_the_reference_in_value_and_gradient():
    z, _ = logits()
    expected = [
        (row - row.mean()) / (row.std(ddof=1) + 1e-7) for row in z.astype(float)
    ]
    np.testing.assert_allclose(losses.standardise(z), expected, rtol=1e-5, atol=1e-6)
    check_grads(jax.jit(losses.standardise), (z,), 1, ("rev",), 0.02, 0.02, 1e-2)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e6])
def test_standardise_of_constant_logits_is_zero_with_zero_gradient(value):
    z = jnp.full((2, 7), value, jnp.float32)
    values, pull = jax.vjp(losses.standardise, z)
    (slope,) = pull(jnp.tile(jnp.arange(7.0), (2, 1)))
    assert (np.asarray(values) == 0).all() and (np.asarray(slope) == 0).all()
    assert (np.asarray(losses.standardise(z[:, :1])) == 0).all()


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_batch_standardise_is_that_of_the_sub_batch(mask):
    z, weight = logits()
    kept = np.float32(mask) > 0
    fixed = jax.jit(losses.batch_standardise)
    values = np.asarray(fixed(z, np.float32(mask)))
    assert (values[~kept] == 0).all() and np.isfinite(values).all()
    rows = z[kept].astype(float)
    if len(rows):
        expected = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5)
        np.testing.assert_allclose(values[kept], expected, rtol=1e-5, atol=1e-6)
    slope = jax.grad(lambda x: (weight * fixed(x, np.float32(mask))).sum())(z)
    assert np.isfinite(slope).all() and (np.asarray(slope)[~kept] == 0).all()


def test_batch_standardise_gradient_numerically_and_at_a_constant_class():
    z, weight = logits()
    check_grads(
        jax.jit(losses.batch_standardise), (z,), 1, ("rev",), 0.02, 0.02, eps=1e-2
    )
    z[:, 1] = 0.1
    values = np.asarray(losses.batch_standardise(z))
    assert (values[:, 1] == 0).all()
    slope = jax.grad(lambda x: (weight * losses.batch_standardise(x)).sum())(z)
    assert np.isfinite(slope).all()


@pytest.mark.errors
def test_correlations_name_what_does_not_fit():
    student, teacher = logits()
    with pytest.raises(ValueError, match="teacher_logits has classes=3"):
        losses.dist_between_classes(student, teacher[:, :3])
    with pytest.raises(ValueError, match="dist_within_class: where has shape"):
        losses.dist_within_class(student, teacher, 1.0, np.ones(3))
    with pytest.raises(ValueError, match="temperature is 0"):
        losses.batch_correlation(student, teacher, 0.0)
    with pytest.raises(ValueError, match="standardise: logits has shape"):
        losses.standardise(np.float32(3))
