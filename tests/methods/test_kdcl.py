"""KDCL's rules against loops, and whose gradient is whose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, kdcl
from kdjax.types import Batch
from tests import reference
from tests.objectives import inputs, objective

BATCH, CLASSES, TAU = 7, 5, 2.0
LABELS = np.arange(BATCH, dtype=np.int32) % CLASSES


def members_of(seed=0):
    return np.float32(2 * np.random.default_rng(seed).normal(size=(BATCH, 2, CLASSES)))


def ensemble(rule, row, label):
    """The ensemble's logits of one sample, [2, classes] -> [classes]."""
    z, hot = row.astype(np.float64), np.eye(CLASSES)[label]
    if rule == "naive":
        return z[0] if _loss(z[0], hot) <= _loss(z[1], hot) else z[1]
    if rule == "min_logit":
        return np.array([min(own[c] - own[label] for own in z) for c in range(CLASSES)])
    low, high = 0.0, 1.0
    for _ in range(200):  # ternary search of a convex function
        a, b = low + (high - low) / 3, high - (high - low) / 3
        loss_a, loss_b = (_loss(x * z[0] + (1 - x) * z[1], hot) for x in (a, b))
        low, high = (low, b) if loss_a < loss_b else (a, high)
    return low * z[0] + (1 - low) * z[1]


def _loss(z, hot):
    return reference.cross_entropy(z, hot)


@pytest.mark.parametrize("rule", kdcl.RULES)
def test_the_objective(rule):
    method = METHODS["kdcl"].build(rule=rule, weight=3.0)
    members = members_of()
    target = [ensemble(rule, *pair) for pair in zip(members, LABELS, strict=True)]
    p, hot = reference.softmax(target, TAU), reference.one_hot(LABELS, CLASSES)
    expected = sum(
        reference.cross_entropy(members[:, n], hot).mean()
        + 3 * TAU**2 * reference.kl_to_target(members[:, n], p, TAU).mean()
        for n in (0, 1)
    )
    value = jax.jit(lambda m: objective(method, m, None, LABELS))(members)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_a_selection_is_what_it_trains_on():
    """Both parts are the means over the selected samples, as of a batch of those."""
    method, members = kdcl.build(weight=3.0), members_of(2)
    keep = np.array([True, False, True, True, False, False, True])
    value = objective(method, members, None, LABELS, np.float32(keep))
    alone = objective(method, members[keep], None, LABELS[keep])
    np.testing.assert_allclose(value, alone, rtol=1e-6)


def test_linear_reaches_both_ends():
    """A network that is better by itself is taken alone; equal ones are themselves."""
    right = 3 * np.eye(CLASSES, dtype=np.float32)[LABELS]
    for members in (np.stack([right, -right], 1), np.stack([-right, right], 1)):
        np.testing.assert_allclose(kdcl.linear(members, LABELS), right, atol=1e-5)
    equal = np.stack([right, right], 1)
    np.testing.assert_array_equal(kdcl.linear(equal, LABELS), right)


def test_the_target_is_a_constant():
    """By the naive rule the better network has no gradient of `peers`."""
    method, members = kdcl.build(rule="naive"), members_of(1)

    def peers(members):
        given = inputs(method, members, None, LABELS)
        return jnp.sum(method.terms[1].values(given))

    slope = np.asarray(jax.grad(peers)(members))
    hot = reference.one_hot(LABELS, CLASSES)
    loss = np.stack([_loss(members[:, n], hot) for n in (0, 1)], 1)
    for row, best in zip(slope, loss.argmin(1), strict=True):
        np.testing.assert_allclose(row[best], 0, atol=1e-6)
        assert np.abs(row[1 - best]).max() > 1e-3


def test_each_network_has_a_crop_of_its_own():
    zeros = jnp.zeros(BATCH, jnp.int32)
    batch = Batch(jnp.zeros((BATCH, 2, 2, 1)), zeros, zeros, zeros, {}, 1.0)
    images, mixed = kdcl.build().mixture.prepare(None, batch, {}, 0)
    assert images == (batch.image, batch.second) and mixed is None


def test_what_it_declares():
    method = kdcl.build()
    assert method.networks == 2 and not method.needs_teacher
    assert method.reads == {"label"} and method.supervisor is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("rule", "general", "held-out"),
        ("rule", "linaer", "Did you mean linear"),
        ("weight", 0.0, "weight"),
        ("temperature", 0.0, "temperature"),
    ],
)
def test_what_is_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        kdcl.build(**{name: value})
