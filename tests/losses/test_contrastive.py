"""CRD's loss and the queue's divergence against loops in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from kdjax import losses
from tests.reference import kl_to_target, softmax

BATCH, SAMPLES, CHANNELS, K = 3, 11, 4, 16


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@functools.cache
def inputs():
    draw = np.random.default_rng(0)
    anchor = np.float32(unit(draw.normal(size=(BATCH, CHANNELS))))
    bank = np.float32(unit(draw.normal(size=(SAMPLES, CHANNELS))))
    negatives = draw.integers(0, SAMPLES, (BATCH, K))  # some more than once
    return anchor, bank, np.array([4, 0, 10]), negatives


def loops(anchor, bank, index, negatives, z, temperature, eps=1e-7):
    """-log(h / (h + k/n + eps)) of the positive, -log(k/n / (h + k/n + eps))."""
    anchor, bank = anchor.astype(float), bank.astype(float)
    c, losses_ = negatives.shape[1] / len(bank), []
    for i, a in enumerate(anchor):
        h = np.exp(a @ bank[index[i]] / temperature) / z
        loss = -np.log(h / (h + c + eps))
        for j in negatives[i]:
            h = np.exp(a @ bank[j] / temperature) / z
            loss -= np.log(c / (h + c + eps))
        losses_.append(loss)
    return np.array(losses_)


def z_of(anchor, bank, index, negatives, temperature):
    anchor, bank = anchor.astype(float), bank.astype(float)
    rows = np.concatenate([index[:, None], negatives], 1)
    h = [
        np.exp(a @ bank[j] / temperature)
        for a, r in zip(anchor, rows, strict=True)
        for j in r
    ]
    return np.mean(h) * len(bank)


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_contrastive_matches_the_loops(temperature):
    z = z_of(*inputs(), temperature)
    values = losses.noise_contrastive(*inputs(), np.float32(z), temperature)
    assert values.dtype == jnp.float32 and values.shape == (BATCH,)
    np.testing.assert_allclose(values, loops(*inputs(), z, temperature), rtol=1e-5)
    compiled = jax.jit(losses.noise_contrastive, static_argnums=5)
    again = compiled(*inputs(), np.float32(z), temperature)
    np.testing.assert_allclose(again, values, rtol=1e-6)


def test_contrastive_eps_is_the_public_code_s():
    values = losses.noise_contrastive(*inputs(), 50.0, 1.0, eps=0.1)
    np.testing.assert_allclose(values, loops(*inputs(), 50.0, 1.0, 0.1), rtol=1e-5)


def test_contrastive_normaliser_is_the_mean_of_positives_and_negatives():
    anchor, bank, index, negatives = inputs()
    z = losses.contrastive_normaliser(*inputs())
    np.testing.assert_allclose(z, z_of(*inputs(), 0.07), rtol=1e-5)
    where = np.array([1, 0, 2.0])
    kept = where > 0
    expected = z_of(anchor[kept], bank, index[kept], negatives[kept], 0.07)
    masked = losses.contrastive_normaliser(*inputs(), where=where)
    np.testing.assert_allclose(masked, expected, rtol=1e-5)
    padded = np.array([4, -1, 10])
    masked = losses.contrastive_normaliser(anchor, bank, padded, negatives)
    np.testing.assert_allclose(masked, expected, rtol=1e-5)
    slope = jax.grad(lambda a: losses.contrastive_normaliser(a, *inputs()[1:]))(anchor)
    assert (np.asarray(slope) == 0).all()


def test_contrastive_with_nothing_selected_is_finite():
    z = losses.contrastive_normaliser(*inputs(), where=np.zeros(BATCH))
    assert z == 0
    loss = jax.value_and_grad(
        lambda a: losses.noise_contrastive(a, *inputs()[1:], z).sum()
    )
    value, slope = loss(inputs()[0])
    assert np.isfinite(value) and np.isfinite(slope).all()


def test_contrastive_of_padding_is_zero_with_zero_gradient():
    anchor, bank, _, negatives = inputs()

    @jax.jit
    def loss(anchor, index):
        values = losses.noise_contrastive(anchor, bank, index, negatives, 50.0)
        return values.sum(), values

    slope, values = jax.grad(loss, has_aux=True)(anchor, np.array([4, -1, SAMPLES]))
    assert (values[1:] == 0).all() and values[0] > 0
    assert (slope[1:] == 0).all() and np.abs(slope[0]).max() > 0


def test_contrastive_gradient_numerically_and_at_zero():
    anchor, bank, index, negatives = inputs()
    fixed = jax.jit(
        lambda a: losses.noise_contrastive(a, bank, index, negatives, 20.0, 0.5)
    )
    check_grads(fixed, (anchor,), 1, ("rev",), atol=0.02, rtol=0.02, eps=1e-2)
    slope = jax.grad(lambda a: fixed(a).sum())(np.zeros_like(anchor))
    assert np.isfinite(slope).all()


def test_contrastive_takes_bfloat16():
    anchor, bank, index, negatives = inputs()
    anchor, bank = jnp.bfloat16(anchor), jnp.bfloat16(bank)
    values = losses.noise_contrastive(anchor, bank, index, negatives, 50.0, 0.5)
    assert values.dtype == jnp.float32
    a, m = (np.asarray(x.astype(jnp.float32)) for x in (anchor, bank))
    expected = loops(a, m, index, negatives, 50.0, 0.5)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def queue_inputs():
    draw = np.random.default_rng(1)
    student, teacher = (np.float32(draw.normal(size=(BATCH, CHANNELS))) for _ in "st")
    return student, teacher, inputs()[1]


def queue_reference(student, teacher, queue, temperature):
    s, t = (unit(x.astype(float)) @ queue.T.astype(float) for x in (student, teacher))
    return kl_to_target(s, softmax(t, temperature), temperature)


@pytest.mark.parametrize("filled", [1, 5, SAMPLES, None])
def test_queue_kl_matches_the_reference_on_the_filled_rows(filled):
    student, teacher, queue = queue_inputs()
    rows = queue[:filled]
    if filled is None:
        values = losses.queue_kl(student, teacher, queue)
    else:
        queue = queue.copy()
        queue[filled:] = 9.0  # what is not valid is never read
        valid = np.arange(SAMPLES) < filled
        values = jax.jit(losses.queue_kl)(student, teacher, queue, 0.07, valid)
    expected = queue_reference(student, teacher, rows, 0.07)
    assert values.dtype == jnp.float32 and values.shape == (BATCH,)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


def test_queue_kl_is_finite_at_zero_features_and_without_a_valid_row():
    student, teacher, queue = queue_inputs()
    student[0], teacher[1] = 0, 0

    @jax.jit
    def loss(student, teacher, valid):
        values = losses.queue_kl(student, teacher, queue, 0.07, valid)
        return values.sum(), values

    for valid in (np.ones(SAMPLES, bool), np.zeros(SAMPLES, bool)):
        slopes, values = jax.grad(loss, (0, 1), has_aux=True)(student, teacher, valid)
        assert all(np.isfinite(s).all() for s in slopes)
        assert (slopes[0][0] == 0).all() and (slopes[1][1] == 0).all()
        assert np.isfinite(values).all() and (valid.any() or (values == 0).all())


def test_queue_kl_gradient_numerically():
    student, teacher, queue = queue_inputs()
    fixed = jax.jit(lambda s: losses.queue_kl(s, teacher, queue, 0.5))
    check_grads(fixed, (student,), 1, ("rev",), atol=0.02, rtol=0.02, eps=1e-2)


@pytest.mark.errors
def test_contrast_names_what_does_not_fit():
    anchor, bank, index, negatives = inputs()
    with pytest.raises(ValueError, match="bank has channels=3"):
        losses.noise_contrastive(anchor, bank[:, :3], index, negatives, 1.0)
    with pytest.raises(ValueError, match="negatives has batch=2"):
        losses.contrastive_normaliser(anchor, bank, index, negatives[:2])
    with pytest.raises(ValueError, match="k=0"):
        losses.noise_contrastive(anchor, bank, index, negatives[:, :0], 1.0)
    with pytest.raises(ValueError, match="temperature is 0"):
        losses.queue_kl(anchor, anchor, bank, 0.0)
    with pytest.raises(ValueError, match="valid has length=3"):
        losses.queue_kl(anchor, anchor, bank, 0.07, np.ones(3, bool))
