"""The arrays of a head, of every family of networks and of one's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from kdjax.contracts import InputError
from kdjax.experiment.heads import head_axes, with_head_rate
from kdjax.experiment.pretrained import student_network
from kdjax.models import from_linen, provided
from kdjax.training import optimizers

pytestmark = pytest.mark.usefixtures("own_networks")
SMALL = (32, 32, 3)
# One of each module of kdjax/models that makes networks.
FAMILIES = "resnet8 resnet8x4 resnet18 resnet50_cifar wrn_16_1 vgg8 mobilenet_v1 "
FAMILIES += "mobilenet_v2 mobilenet_v2_half shufflenet_v1 shufflenet_v2"


def axes(section, classes=10, shape=SMALL):
    network = student_network("model", section, classes)
    return head_axes("model", section, network, shape, classes)


@pytest.mark.parametrize("name", FAMILIES.split())
def test_of_every_family_it_is_the_layer_called_head(name):
    # 64 classes are as many as some layers have channels.
    found = axes({"model": {"name": name}}, classes=64)
    assert found == {"params/head/kernel": 1, "params/head/bias": 0}


def test_of_ones_own_it_may_have_any_name_and_of_peers_each_has_one():
    section = {"model": {"name": "tests.networks:tiny", "width": 10}}
    own = {"params/Dense_0/kernel": 1, "params/Dense_0/bias": 0}
    assert axes(section) == own
    both = [f"params/member{i}/Dense_0" for i in range(2)]
    expected = {
        f"{one}/{k}": axis for one in both for k, axis in (("kernel", 1), ("bias", 0))
    }
    assert axes(section | {"networks": 2}) == expected


class Named(nn.Module):
    """Has as many channels as classes, and a last layer of some name."""

    name_of_last: str

    @nn.compact
    def __call__(self, images):
        x = nn.Dense(10)(images.mean((1, 2)))
        return nn.Dense(10, name=self.name_of_last)(x)


@pytest.mark.parametrize("name", ("head", "fc"))
def test_an_object_has_to_call_it_head(name):
    section = {"model": {"name": "provided:mine"}}
    with provided({"mine": from_linen(Named(name))}):
        if name == "head":
            expected = {"params/head/kernel": 1, "params/head/bias": 0}
            assert axes(section) == expected
        else:
            with pytest.raises(InputError, match="no layer is called head"):
                axes(section)


@pytest.mark.parametrize("has_connectors", (False, True))
def test_a_rate_reaches_the_head_beside_connectors_too(has_connectors):
    section = {"model": {"name": "tests.networks:staged", "width": 2}}
    network = student_network("model", section, 3)
    params, _ = jax.jit(network.init)(jax.random.key(0), jnp.ones((1, 8, 8, 1)))
    own = {"regressor": {"head": {"kernel": jnp.ones((2, 3))}}}
    trained = {"network": params, "connectors": own} if has_connectors else params
    plain = optimizers.sgd(schedule=lambda step: 0.5, momentum=0.0, weight_decay=0.0)
    given = "model", section, network, (8, 8, 1), 3, has_connectors
    rated = with_head_rate(plain, 4.0, *given)
    ones = jax.tree.map(jnp.ones_like, trained)
    updates, _ = rated.update(ones, rated.init(trained), trained)
    inner = updates["network"] if has_connectors else updates
    for name, layer in inner.items():
        expected = -2.0 if name == "head" else -0.5
        for leaf in jax.tree.leaves(layer):
            np.testing.assert_array_equal(leaf, expected)
    if has_connectors:
        leaf = updates["connectors"]["regressor"]["head"]["kernel"]
        np.testing.assert_array_equal(leaf, -0.5)
