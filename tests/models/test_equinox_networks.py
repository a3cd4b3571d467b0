"""Equinox modules as networks, against the modules called by Equinox itself."""

import functools

import equinox as eqx
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.models import from_equinox
from kdjax.training import sharding

IMAGES = jax.random.normal(jax.random.key(0), (6, 8, 8, 3))
FIRST = jnp.moveaxis(IMAGES, -1, 1)  # channels, as Equinox has them
LABELS = jnp.arange(6) % 5
KEY = jax.random.key(1)


@pytest.fixture(scope="module", autouse=True)
def as_users_have_it():
    """Modules of others promote, and know nothing of what our tests forbid."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


class Net(eqx.Module):
    """Batch norm, dropout, and a table that nothing trains."""

    conv: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    drop: eqx.nn.Dropout
    head: eqx.nn.Linear
    shift: jax.Array

    def __init__(self, mode: str = "batch", axis_name: str = "rows", *, key):
        one, two = jax.random.split(key)
        self.conv = eqx.nn.Conv2d(3, 4, 3, padding=1, key=one)
        self.norm = eqx.nn.BatchNorm(4, axis_name, mode=mode, momentum=0.9)
        self.drop = eqx.nn.Dropout(0.5)
        self.head = eqx.nn.Linear(4, 5, key=two)
        self.shift = jnp.arange(5)

    def __call__(self, image, state, *, key=None):
        hidden, state = self.norm(self.conv(image), state)
        map_ = jax.nn.relu(hidden)
        logits = self.head(self.drop(map_.mean((1, 2)), key=key))
        return logits + self.shift.astype(jnp.float32), {"stage1": map_}, state


class Depth(eqx.Module):
    """Stochastic depth: a block that an image skips half of the time; no state."""

    block: eqx.nn.Linear
    head: eqx.nn.Linear
    inference: bool

    def __init__(self, key):
        one, two = jax.random.split(key)
        self.block = eqx.nn.Linear(3, 3, key=one)
        self.head = eqx.nn.Linear(3, 5, key=two)
        self.inference = False

    def __call__(self, image, key):
        one, _ = jax.random.split(key)
        pooled = image.mean((0, 1))
        kept = 0.5 if self.inference else jax.random.bernoulli(one).astype(jnp.float32)
        return self.head(pooled + kept * self.block(pooled))


def loss_of(logits):
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(6), LABELS])


def called(model, state, inference):
    """(logits, state) as Equinox's documentation calls a module with batch norm."""
    model = eqx.nn.inference_mode(model, inference)
    keys = None if inference else jax.random.split(KEY, 6)
    axes = {"in_axes": (0, None, None if inference else 0), "out_axes": (0, 0, None)}
    mapped = jax.vmap(
        lambda image, state, key: model(image, state, key=key), **axes, axis_name="rows"
    )
    logits, features, state = mapped(FIRST, state, keys)
    return logits, features, state


@pytest.fixture(scope="module", params=["batch", "ema"])
def step(request):
    """(the network's, Equinox's own): logits, arrays of the state, gradients."""
    make = functools.partial(Net, request.param)
    model, state = eqx.nn.make_with_state(make)(key=jax.random.key(7))
    network = from_equinox(model, state)
    params, stats = network.init(KEY, IMAGES)

    @eqx.filter_jit
    def theirs(model, state):
        def loss(model):
            logits, _, following = called(model, state, False)
            return loss_of(logits), (logits, following)

        gradients, rest = eqx.filter_grad(loss, has_aux=True)(model)
        return *rest, gradients

    @jax.jit
    def ours(params):
        def loss(params):
            outputs, following = network.train(params, stats, IMAGES, KEY)
            return loss_of(outputs.logits), (outputs.logits, following)

        gradients, rest = jax.grad(loss, has_aux=True)(params)
        return *rest, gradients

    logits, following, gradients = theirs(model, state)
    evaluated = called(model, following, True)[0]
    logits_, stats_, gradients_ = ours(params)
    evaluated_ = jax.jit(network.evaluate)(params, stats_, IMAGES).logits
    mine = logits_, stats_, gradients_, evaluated_
    return mine, (logits, following, gradients, evaluated), model


def test_logits_with_dropout_are_those_of_the_module(step):
    (ours, *_), (theirs, *_), _ = step
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_running_statistics_are_those_of_the_module(step):
    (_, ours, *_), (_, theirs, *_), model = step
    assert set(ours) == {"norm", "shift"}
    for name, arrays in ours["norm"].items():
        expected = jax.tree.leaves(theirs.get(getattr(model.norm, name)))
        assert len(arrays) == len(expected)
        for number, one in enumerate(expected):
            np.testing.assert_allclose(arrays[str(number)], one, rtol=1e-5)
            assert arrays[str(number)].dtype == one.dtype


def test_gradients_are_those_of_the_module(step):
    (_, _, ours, _), (_, _, theirs, _), _ = step
    assert sum(len(layer) for layer in ours.values()) == 6
    for layer, arrays in ours.items():
        for name, found in arrays.items():
            expected = np.asarray(getattr(getattr(theirs, layer), name))
            assert found.ndim == (1 if name == "bias" else expected.ndim)
            expected = expected.reshape(found.shape)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_evaluation_is_that_of_the_module(step):
    *_, ours = step[0]
    *_, theirs = step[1]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_second_step_has_the_types_of_the_first(step):
    """Else the compiled step would be compiled once more."""
    network = from_equinox(lambda key: Net("batch", key=key))
    params, stats = jax.jit(network.init)(KEY, IMAGES)
    following = network.train(params, stats, IMAGES, KEY)[1]
    pairs = zip(*map(jax.tree.leaves, (stats, following)), strict=True)
    assert all(a.aval == b.aval for a, b in pairs)


class Counting(eqx.Module):
    """State without batch norm: how often it was called."""

    head: eqx.nn.Linear
    count: eqx.nn.StateIndex

    def __init__(self, key):
        self.head = eqx.nn.Linear(3, 5, key=key)
        self.count = eqx.nn.StateIndex(jnp.array(0))

    def __call__(self, image, state):
        state = state.set(self.count, state.get(self.count) + 1)
        return self.head(image.mean((1, 2))), state


def test_on_each_device_a_counter_stays_a_whole_number():
    network, mesh = from_equinox(Counting), sharding.make_mesh()
    images = jnp.ones((2 * mesh.size, 8, 8, 3))
    params, stats = network.init(KEY, images)
    divided = sharding.per_device(network, mesh)
    count = jax.jit(divided.train)(params, stats, images, KEY)[1]["count"]["0"]
    assert count == 1 and count.dtype == stats["count"]["0"].dtype == jnp.int32


def test_features_have_channels_last():
    model, state = eqx.nn.make_with_state(Net)(key=KEY)
    network = from_equinox(model, state)
    features = network.evaluate(*network.init(KEY, IMAGES), IMAGES).features
    expected = jnp.moveaxis(called(model, state, True)[1]["stage1"], 1, -1)
    assert features["stage1"].shape == (6, 8, 8, 4)
    np.testing.assert_allclose(features["stage1"], expected, rtol=1e-5, atol=1e-6)


def test_stochastic_depth_without_state():
    network = from_equinox(Depth, channels_first=False)
    params, stats = network.init(KEY, IMAGES)
    assert stats == {}
    model = Depth(KEY)
    keys = jax.random.split(jax.random.key(3), 6)
    trained, _ = network.train(params, stats, IMAGES, jax.random.key(3))
    expected = jax.vmap(model)(IMAGES, keys)
    np.testing.assert_allclose(trained.logits, expected, rtol=1e-4, atol=1e-6)
    still = eqx.nn.inference_mode(model)
    evaluated = network.evaluate(params, stats, IMAGES).logits
    expected = jax.vmap(lambda image: still(image, KEY))(IMAGES)
    np.testing.assert_allclose(evaluated, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("module", [Net, Depth])
def test_it_evaluates_any_number_of_images(module):
    """As an export does: with and without a key that the module may do without."""
    network = from_equinox(module, channels_first=module is Net)
    variables = network.init(KEY, IMAGES)
    (count,) = jax.export.symbolic_shape("count")
    images = jax.ShapeDtypeStruct((count, 8, 8, 3), jnp.float32)
    evaluate = jax.jit(lambda images: network.evaluate(*variables, images).logits)
    exported = jax.export.export(evaluate)(images)
    expected = evaluate(IMAGES)
    np.testing.assert_allclose(exported.call(IMAGES), expected, rtol=1e-5, atol=1e-6)


def test_a_function_draws_from_the_key_and_a_module_keeps_its_weights():
    for function in (Net, lambda k: Net(key=k), eqx.nn.make_with_state(Net)):
        drawn = from_equinox(function)
        one, again, other = (
            drawn.init(jax.random.key(k), IMAGES)[0]["head"]["weight"]
            for k in (1, 1, 2)
        )
        assert (one == again).all() and (one != other).all()
    model = Net(key=KEY)
    for key in (1, 2):
        kept = from_equinox(model).init(jax.random.key(key), IMAGES)[0]
        np.testing.assert_array_equal(kept["head"]["weight"], model.head.weight)
