"""Equinox modules that cannot be networks."""

import equinox as eqx
import jax.numpy as jnp
import pytest

from kdjax.contracts import InputError
from kdjax.models import from_equinox
from kdjax.training import sharding
from tests.models.test_equinox_networks import IMAGES, KEY, Net, as_users_have_it

__all__ = ["as_users_have_it"]  # a fixture


class Stateless(eqx.Module):
    norm: eqx.nn.BatchNorm

    def __init__(self, key):
        self.norm = eqx.nn.BatchNorm(3, "rows", mode="batch")

    def __call__(self, image):
        return image


class Forgetful(Net):
    def __call__(self, image, state, *, key=None):
        return super().__call__(image, state, key=key)[0]


class Divided(eqx.Module):
    one: Net
    two: Net

    def __init__(self, key):
        self.one, self.two = Net(axis_name="a", key=key), Net(axis_name="b", key=key)

    def __call__(self, image, state):
        return image


@pytest.mark.errors
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: from_equinox(3), TypeError, "module is int; expected an equinox.Mod"),
        (lambda: from_equinox(lambda key: 3), TypeError, "function returned int"),
        (lambda: from_equinox(Stateless), ValueError, "norm.*__call__ takes none"),
        (lambda: from_equinox(Forgetful), TypeError, "expected .logits, state."),
        (lambda: from_equinox(Divided), ValueError, "call the batch a, b; expected"),
        (
            lambda: from_equinox(eqx.nn.make_with_state(Net)(key=KEY)[0]),
            InputError,
            "no state of its own.*from_equinox.module, state",
        ),
    ],
)
def test_modules_that_cannot_be_networks(make, error, message):
    with pytest.raises(error, match=message):
        network = make()
        network.evaluate(*network.init(KEY, IMAGES), IMAGES)


@pytest.mark.errors
def test_equinox_may_be_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "equinox", None)
    with pytest.raises(InputError, match="equinox is not installed: pip install"):
        from_equinox(Net)


@pytest.mark.errors
def test_batch_norms_on_each_device_are_refused():
    network, mesh = from_equinox(Net), sharding.make_mesh()
    images = jnp.ones((2 * mesh.size, 8, 8, 3))
    with pytest.raises(InputError, match="Net.*whole batch; expected.*global"):
        divided = sharding.per_device(network, mesh)
        divided.train(*network.init(KEY, images), images, KEY)
