"""What a user may give for a network: classes, partials, modules with weights."""

import functools

import equinox as eqx
import jax
import pytest
from flax import linen as nn
from flax import nnx

from kdjax.contracts import InputError
from kdjax.models import convert


class OfNnx(nnx.Module):
    """Needs its number of classes."""

    def __init__(self, classes, rngs):
        self.head = nnx.Linear(3, classes, rngs=rngs)

    def __call__(self, images):
        return self.head(images.mean((1, 2)))


class OfEquinox(eqx.Module):
    """The same."""

    head: eqx.nn.Linear

    def __init__(self, classes, key):
        self.head = eqx.nn.Linear(3, classes, key=key)

    def __call__(self, image):
        return self.head(image.mean((1, 2)))


class OfLinen(nn.Module):
    """Has a function as an attribute."""

    activation: object

    @nn.compact
    def __call__(self, images):
        return nn.Dense(4)(self.activation(images.mean((1, 2))))


@pytest.mark.parametrize("kind, argument", [(OfNnx, "rngs"), (OfEquinox, "key")])
def test_a_partial_is_a_function_and_a_class_says_what_it_lacks(kind, argument):
    name, network = convert.as_network("student", functools.partial(kind, 4))
    images = jax.numpy.ones((2, 8, 8, 3))
    variables = network.init(jax.random.key(0), images)
    assert network.evaluate(*variables, images).logits.shape == (2, 4)
    with pytest.raises(
        InputError, match=rf"'classes'; .* lambda {argument}: {kind.__name__}"
    ):
        convert.as_network("student", kind)


def test_what_has_its_weights():
    nnx_module, module = OfNnx(4, nnx.Rngs(0)), OfEquinox(4, jax.random.key(0))
    pair = eqx.nn.make_with_state(functools.partial(OfEquinox, 4))(jax.random.key(0))
    assert all(map(convert.has_weights, (nnx_module, module, pair)))
    others = (nnx_module, {}), (nnx_module, {}, {}), (module, {}), (module, {}, {})
    assert not any(map(convert.has_weights, (*others, OfNnx, ())))


def test_a_name_is_the_same_in_another_process():
    """The text of a partial has the address of its function."""

    def made():
        return OfLinen(functools.partial(lambda x, by: x * by, by=2))

    first, second = made(), made()
    assert repr(first) != repr(second)
    names = [convert.as_network("student", one)[0] for one in (first, second)]
    assert names[0] == names[1] and names[0].startswith("OfLinen-")
