"""Batch norms over the whole batch, or over each device's part of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.training import sharding
from tests.networks import linear, tiny

KEY = jax.random.key(3)
IMAGES = np.random.default_rng(0).normal(1.0, 2.0, (16, 8, 8, 3)).astype(np.float32)
TARGETS = np.random.default_rng(1).normal(size=(16, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def made():
    network = tiny(5, width=4)
    params, moments = jax.jit(network.init)(jax.random.key(0), IMAGES)
    return network, params, moments


def slope(network):
    """Gradient, loss and moments of a squared error over the batch that is given."""

    def loss(params, moments, images, targets):
        outputs, moments = network.train(params, moments, images, KEY)
        return jnp.mean((outputs.logits - targets) ** 2), moments

    return jax.value_and_grad(loss, has_aux=True)


@pytest.mark.parametrize("devices", (1, 2, 4))
def test_per_device_is_the_mean_of_what_each_part_gives_alone(made, devices):
    network, params, moments = made
    mesh = sharding.make_mesh(jax.devices()[:devices])
    divided = slope(sharding.per_device(network, mesh))
    rows = sharding.place_rows((IMAGES, TARGETS), mesh)
    state = sharding.place_replicated((params, moments), mesh)
    found = jax.jit(divided)(*state, *rows)
    parts = [
        jax.jit(slope(network))(params, moments, *part)
        for part in zip(
            np.split(IMAGES, devices), np.split(TARGETS, devices), strict=True
        )
    ]
    mean = jax.tree.map(lambda *x: np.mean(np.stack(x), 0, np.float64), *parts)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6), found, mean
    )


def test_the_whole_batch_is_another_thing_on_several_devices(made):
    network, params, moments = made
    mesh = sharding.make_mesh(jax.devices()[:4])
    own = sharding.per_device(network, mesh)
    whole, divided = (
        jax.jit(slope(n))(params, moments, IMAGES, TARGETS)[0][0]
        for n in (network, own)
    )
    assert abs(float(whole) - float(divided)) > 1e-4  # rounding is 1e-7


def test_moments_of_a_first_batch_norm_are_those_of_numpy(made):
    """var is the mean of the parts' variances, smaller than that of the whole."""
    network, params, moments = made
    mesh = sharding.make_mesh(jax.devices()[:4])
    own = sharding.per_device(network, mesh)
    _, new = jax.jit(own.train)(params, moments, IMAGES, KEY)
    kernel = np.asarray(params["Conv_0"]["kernel"], np.float64)
    padded = np.pad(np.float64(IMAGES), [(0, 0), (0, 1), (0, 1), (0, 0)])
    y = sum(
        padded[:, i : i + 7 : 2, j : j + 7 : 2] @ kernel[i, j]
        for i in range(3)
        for j in range(3)
    )
    parts = y.reshape(4, -1, y.shape[-1])
    for name, wanted in (("mean", parts.mean(1)), ("var", parts.var(1))):
        before = np.asarray(moments["BatchNorm_0"][name], np.float64)
        wanted = 0.9 * before + 0.1 * wanted.mean(0)
        np.testing.assert_allclose(new["BatchNorm_0"][name], wanted, rtol=1e-4)


def test_a_network_without_moments():
    mesh = sharding.make_mesh(jax.devices()[:2])
    network = sharding.per_device(linear(5), mesh)
    params, moments = jax.jit(network.init)(jax.random.key(0), IMAGES)
    wanted, _ = linear(5).train(params, moments, jnp.asarray(IMAGES))
    found, none = jax.jit(network.train)(params, moments, IMAGES, KEY)
    assert none == {}
    np.testing.assert_allclose(found.logits, wanted.logits, rtol=1e-5, atol=1e-5)
