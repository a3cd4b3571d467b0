"""Which network a run is of: other weights or other functions are another run."""

import functools

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import kdjax
from kdjax.contracts import InputError
from kdjax.models import Network, from_equinox, from_nnx
from kdjax.models.fingerprint import describe
from kdjax.runner.objects import network_name
from kdjax.types import Outputs
from tests.api.test_api import DATA, SETTINGS
from tests.api.test_api_modules import Layers, Pixels

GIVEN = {"epochs": 0.3, **SETTINGS}


def name_of(network):
    return network_name("student", network, {})


class Negative(Pixels):
    """Of the same sizes."""

    def __call__(self, images):
        return -super().__call__(images)


def linear(scale=1.0, shift=0.0):
    """A network of three functions, of which two hold values."""

    def init(key, images):
        size = np.prod(images.shape[1:])
        return {"kernel": jax.random.normal(key, (size, 4)) / 100}, {}

    def logits(params, images):
        pixels = images.reshape(len(images), -1)
        return scale * (pixels @ params["kernel"]) + shift

    def train(params, batch_stats, images, key=None):
        return Outputs(logits(params, images), {}), batch_stats

    def evaluate(params, batch_stats, images):
        return Outputs(logits(params, images), {})

    return Network(init, train, evaluate)


def other(scale=1.0):
    """The same sizes, by another function."""
    network = linear(scale)
    return network._replace(train=lambda *given: network.train(*given))


@pytest.mark.errors
def test_a_module_with_other_weights_is_another_run(tmp_path):
    module = Pixels(nnx.Rngs(3))
    trained = kdjax.train(module, DATA, workdir=tmp_path, **GIVEN)
    # As another process makes it.
    again = kdjax.train(Pixels(nnx.Rngs(3)), DATA, workdir=tmp_path, **GIVEN)
    assert np.array_equal(
        again.params["head"]["kernel"], trained.params["head"]["kernel"]
    )
    with pytest.raises(InputError, match="model.name was .*-weights-.* and is now"):
        kdjax.train(Pixels(nnx.Rngs(4)), DATA, workdir=tmp_path, **GIVEN)
    with pytest.raises(InputError, match="model.name was .*-weights-.* and is now"):
        kdjax.train(Pixels, DATA, workdir=tmp_path, **GIVEN)
    # To read it the structure is enough.
    for network in (Pixels, Pixels(nnx.Rngs(4))):
        assert kdjax.load(tmp_path, network=network).metrics == trained.metrics


def test_names_say_which_weights():
    one, same, another = (Pixels(nnx.Rngs(seed)) for seed in (0, 0, 1))
    assert name_of(one) == name_of(same) == name_of(from_nnx(one)) != name_of(another)
    layers = [eqx.nn.make_with_state(Layers)(jax.random.key(s)) for s in (0, 0, 1)]
    names = [name_of(pair) for pair in layers]
    assert names[0] == names[1] == name_of(from_equinox(*layers[0])) != names[2]
    assert len({name.partition("-weights-")[0] for name in names}) == 1
    # Whoever draws the weights has none: the class, or a function of it.
    drawn = [Pixels, lambda rngs: Pixels(rngs), from_nnx(Pixels)]
    assert len({name_of(one) for one in drawn}) == 1
    assert "-weights-" not in name_of(Pixels)
    assert name_of(Negative) != name_of(Pixels)


@pytest.mark.errors
def test_another_network_of_functions_is_another_run(tmp_path):
    trained = kdjax.train(linear(), DATA, workdir=tmp_path, **GIVEN)
    assert kdjax.load(tmp_path, network=linear()).metrics == trained.metrics
    for network in (linear(2.0), other()):
        with pytest.raises(InputError, match="config.model.name was .*train-.* is now"):
            kdjax.train(network, DATA, workdir=tmp_path, **GIVEN)
        with pytest.raises(InputError, match="was an object in memory"):
            kdjax.load(tmp_path, network=network)


def test_functions_are_told_apart_by_what_they_hold():
    array, same = jnp.arange(2000.0), np.arange(2000.0, dtype=np.float32)
    changed = np.where(np.arange(2000) == 1000, 0, same)  # where repr has an ellipsis
    shifts = [name_of(linear(shift=one)) for one in (array, same, changed)]
    assert shifts[0] == shifts[1] != shifts[2]
    partials = [functools.partial(linear, scale) for scale in (1, 1, 2)]
    texts = [describe(one) for one in partials]
    assert texts[0] == texts[1] != texts[2]
    assert describe(jax.jit(linear)) == describe(linear)
    assert " at 0x" not in describe(linear()) and "test_identity.linear" in texts[0]

    def itself(x):
        return itself(x)

    assert "itself" in describe(itself)


class Scaled:
    """Three functions that are methods of an object."""

    def __init__(self, scale):
        self.scale = scale

    def init(self, key, images):
        return {"kernel": np.zeros((192, 4), np.float32)}, {}

    def evaluate(self, params, batch_stats, images):
        pixels = images.reshape(len(images), -1)
        return Outputs(self.scale * (pixels @ params["kernel"]), {})

    def train(self, params, batch_stats, images, key=None):
        return self.evaluate(params, batch_stats, images), batch_stats

    def network(self):
        return Network(self.init, self.train, self.evaluate)


def leaky(slope):
    def activation(x):
        return jnp.where(x > 0, x, slope * x)

    return activation


class Activated(nn.Module):
    activation: object

    @nn.compact
    def __call__(self, images):
        return nn.Dense(4)(self.activation(images.reshape(len(images), -1)))


def test_networks_that_differ_in_what_an_object_holds_have_other_names():
    lambdas = [(lambda x: x), (lambda x: -x)]
    pairs = [
        [Scaled(scale).network() for scale in (1.0, 1.0, 2.0)],
        [Activated(leaky(slope)) for slope in (0.1, 0.1, 0.9)],
        [Activated(lambdas[n]) for n in (0, 0, 1)],
        [Activated(one) for one in (nn.relu, jax.nn.relu, nn.gelu)],
        [Activated(frozenset(one)) for one in ("abc", "cba", "abd")],
        [from_equinox(Layers, channels_first=one) for one in (True, True, False)],
    ]
    for one, same, another in pairs:
        assert name_of(one) == name_of(same) != name_of(another)


def test_the_name_of_a_set_is_that_of_every_process():
    """Python orders texts in sets by a hash that differs between processes."""
    texts = "abcdefgh"
    assert describe(frozenset(texts)) == f"{{{', '.join(map(repr, texts))}}}"


@pytest.mark.errors
@pytest.mark.parametrize(
    "student, given, message",
    [
        (max, {}, "student is builtin_function_or_method; expected a name"),
        ((Layers, 1, 2), {}, "student is tuple; expected a name"),
        (Pixels, {"method": 3}, "method is int; expected a name or"),
        (Pixels, {"config": 3}, "config is int; expected {key: value}"),
    ],
)
def test_what_is_no_network_or_setting_is_said(tmp_path, student, given, message):
    with pytest.raises(InputError, match=message):
        kdjax.train(student, DATA, workdir=tmp_path, **GIVEN | given)
