"""Guests: modules a user has lying about, with and without flags and statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from kdjax.models import Network, from_linen
from kdjax.models.layers import BatchNorm

IMAGES = jax.random.normal(jax.random.key(0), (4, 6, 6, 2))
KEY = jax.random.key(1)


class Linear(nn.Module):
    """No flag, no statistics."""

    @nn.compact
    def __call__(self, images):
        return nn.Dense(5)(images.reshape(len(images), -1))


class Flagged(nn.Module):
    """Doubles its logits while training, so that the flag's polarity shows."""

    def body(self, images, training):
        return nn.Dense(5)(images.mean((1, 2))) * (2.0 if training else 1.0)


class Training(Flagged):
    @nn.compact
    def __call__(self, images, *, training: bool = False):
        return self.body(images, training)


class Deterministic(Flagged):
    @nn.compact
    def __call__(self, images, deterministic: bool = True):
        return self.body(images, not deterministic)


class Pair(nn.Module):
    @nn.compact
    def __call__(self, images):
        pooled = images.mean((1, 2))
        return nn.Dense(5)(pooled), {"pooled": pooled}


class Dropping(nn.Module):
    @nn.compact
    def __call__(self, images, train: bool):
        pooled = nn.Dropout(0.5, deterministic=not train)(images.mean((1, 2)))
        return nn.Dense(5)(pooled)


class Switches(nn.Module):
    """A flag for each layer, as modules have that were put together from others."""

    @nn.compact
    def __call__(self, images, train=False, deterministic=True, is_training=False):
        x = nn.BatchNorm(use_running_average=not is_training)(images)
        pooled = nn.Dropout(0.5, deterministic=deterministic)(x.mean((1, 2)))
        return nn.Dense(5)(pooled) * (2.0 if train else 1.0)


class Returning(nn.Module):
    """Returns its `result`."""

    result: str

    @nn.compact
    def __call__(self, images):
        logits = nn.Dense(5)(images.mean((1, 2)))
        return {"list": [logits], "rank": logits[0], "three": (logits,) * 3}[
            self.result
        ]


class Remembering(nn.Module):
    @nn.compact
    def __call__(self, images):
        self.variable("cache", "seen", jnp.zeros, (1,))
        return nn.Dense(5)(images.mean((1, 2)))


class AlwaysUpdating(nn.Module):
    @nn.compact
    def __call__(self, images):
        x = nn.BatchNorm(use_running_average=False)(images)
        return nn.Dense(5)(x.mean((1, 2)))


class Frozen(nn.Module):
    """Statistics that are only read."""

    @nn.compact
    def __call__(self, images):
        x = nn.BatchNorm(use_running_average=True)(images)
        return nn.Dense(5)(x.mean((1, 2)))


class Twice(nn.Module):
    @nn.compact
    def __call__(self, images):
        layer = nn.Dense(2, name="layer")
        return layer(layer(images)).mean((1, 2))


def test_no_flag_and_no_statistics():
    network = from_linen(Linear())
    params, stats = network.init(KEY, IMAGES)
    assert stats == {}
    outputs, new = network.train(params, stats, IMAGES)
    assert new == {} and outputs.features == {}
    flat = np.asarray(IMAGES).reshape(4, -1)
    layer = params["Dense_0"]
    expected = flat @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])
    np.testing.assert_allclose(outputs.logits, expected, rtol=1e-4, atol=1e-5)
    evaluated = network.evaluate(params, stats, IMAGES)
    np.testing.assert_array_equal(outputs.logits, evaluated.logits)


@pytest.mark.parametrize("module", [Training(), Deterministic()])
def test_flags_of_either_polarity(module):
    network = from_linen(module)
    variables = network.init(KEY, IMAGES)
    trained, _ = network.train(*variables, IMAGES)
    evaluated = network.evaluate(*variables, IMAGES)
    np.testing.assert_allclose(trained.logits, 2 * evaluated.logits, rtol=1e-6)


def test_every_flag_is_set():
    network = from_linen(Switches())
    params, stats = network.init(KEY, IMAGES)
    trained, new = network.train(params, stats, IMAGES, jax.random.key(2))
    again, _ = network.train(params, stats, IMAGES, jax.random.key(3))
    assert (trained.logits != again.logits).any()  # dropout
    assert (new["BatchNorm_0"]["mean"] != 0).all()  # batch norm
    layer, mean = params["Dense_0"], np.asarray(IMAGES).mean((1, 2))
    expected = mean / np.sqrt(1 + 1e-5) @ np.asarray(layer["kernel"])  # no bias yet
    evaluated = network.evaluate(params, stats, IMAGES).logits
    np.testing.assert_allclose(evaluated, expected, rtol=1e-4, atol=1e-5)


def test_a_pair_gives_features_and_taps_add_to_them():
    network = from_linen(Pair(), features={"scores": "Dense_0"})
    outputs = network.evaluate(*network.init(KEY, IMAGES), IMAGES)
    np.testing.assert_allclose(outputs.features["pooled"], IMAGES.mean((1, 2)))
    np.testing.assert_array_equal(outputs.features["scores"], outputs.logits)


def test_statistics_that_are_only_read_stay():
    network = from_linen(Frozen())
    params, stats = network.init(KEY, IMAGES)
    _, new = network.train(params, stats, IMAGES)
    jax.tree.map(np.testing.assert_array_equal, stats, new)
    assert network.evaluate(params, stats, IMAGES).logits.shape == (4, 5)


def test_a_network_is_three_functions_and_may_freeze():
    assert Network._fields == ("init", "train", "evaluate", "freeze")


def test_batch_norm_agrees_with_flax_over_several_steps():
    def pair(dtype):
        return BatchNorm(4, jnp.dtype(dtype)), nn.BatchNorm(momentum=0.9, epsilon=1e-5)

    ours, theirs = pair("float32")
    x = 3 + 2 * jax.random.normal(KEY, (8, 5, 5, 4))
    variables = ours.init(KEY, x, False)
    reference = variables
    for step in range(3):
        batch = x * (1.0 + step)
        y, new = ours.apply(variables, batch, True, mutable=["batch_stats"])
        z, old = theirs.apply(
            reference, batch, use_running_average=False, mutable=["batch_stats"]
        )
        np.testing.assert_allclose(y, z, atol=1e-5)
        variables, reference = variables | new, reference | old
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), variables, reference
    )
    expected = theirs.apply(reference, x, use_running_average=True)
    np.testing.assert_allclose(ours.apply(variables, x, False), expected, atol=1e-5)


def test_batch_norm_in_bfloat16_keeps_float32_statistics():
    # At a mean of 100 a bfloat16 sum over 2048 values would be off by whole units.
    x = (100 + jax.random.normal(KEY, (8, 16, 16, 4))).astype(jnp.bfloat16)
    layer = BatchNorm(4, jnp.dtype("bfloat16"))
    variables = layer.init(KEY, x, False)
    y, new = layer.apply(variables, x, True, mutable=["batch_stats"])
    exact = np.asarray(x, np.float64)
    mean, var = exact.mean((0, 1, 2)), exact.var((0, 1, 2))
    stats = new["batch_stats"]
    np.testing.assert_allclose(stats["mean"], 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * var, rtol=1e-2)
    assert y.dtype == jnp.bfloat16
    assert abs(np.asarray(y, np.float32).mean()) < 0.02


def test_batch_norm_of_a_constant_channel_is_finite():
    x = jnp.full((4, 3, 3, 2), 1000.1)
    layer = BatchNorm(2, jnp.dtype("float32"))
    variables = layer.init(KEY, x, False)

    def total(x):
        return layer.apply(variables, x, True, mutable=["batch_stats"])[0].sum()

    value, slope = jax.value_and_grad(total)(x)
    assert jnp.isfinite(value) and jnp.isfinite(slope).all()


@pytest.mark.errors
@pytest.mark.parametrize(
    ("module", "call", "error", "message"),
    [
        (Dropping(), "train", ValueError, "Dropping.*random numbers.*without one"),
        (Returning("list"), "evaluate", TypeError, "returned list; expected logits"),
        (Returning("three"), "evaluate", TypeError, "returned tuple; expected logits"),
        (Returning("rank"), "train", ValueError, r"shape \(5,\); expected \[batch, cl"),
        (AlwaysUpdating(), "evaluate", ValueError, "while evaluating.*no flag.*train"),
    ],
)
def test_modules_that_cannot_be_networks(module, call, error, message):
    network = from_linen(module)
    params, stats = network.init(KEY, IMAGES)
    with pytest.raises(error, match=message):
        getattr(network, call)(params, stats, IMAGES)


def test_dropout_draws_from_the_key_while_training_alone():
    network = from_linen(Dropping())
    variables = network.init(KEY, IMAGES)
    first, again, other = (
        network.train(*variables, IMAGES, jax.random.key(seed))[0].logits
        for seed in (1, 1, 2)
    )
    assert (first == again).all() and (first != other).any()
    assert (network.evaluate(*variables, IMAGES).logits != first).any()


@pytest.mark.errors
def test_other_collections_are_refused_at_init():
    with pytest.raises(ValueError, match="Remembering.*collections cache;.*params and"):
        from_linen(Remembering()).init(KEY, IMAGES)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("module", "path", "times"), [(Linear(), "Dense_9", 0), (Twice(), "layer", 2)]
)
def test_taps_must_name_a_submodule_called_once(module, path, times):
    network = from_linen(module, features={"stage1": path})
    variables = network.init(KEY, IMAGES)
    with pytest.raises(ValueError, match=rf"'stage1'\] is '{path}'.*called {times} t"):
        network.evaluate(*variables, IMAGES)
