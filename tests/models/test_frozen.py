"""A frozen network computes of its weights alone nothing that it could have kept."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Literal

from kdjax.models import create
from kdjax.models.classifiers import Reuse, with_reused_classifier
from kdjax.models.ensemble import ensemble
from kdjax.models.network import Frozen
from kdjax.models.platform import traced_for
from kdjax.weights.input_transforms import resized
from tests.networks import linear

# A vector, or what is laid over the shape of something else, costs nothing.
FREE = {"broadcast_in_dim", "reshape", "squeeze", "iota", "slice", "split"}


def computed(jaxpr, weights):
    """Names of the operations on arrays that are of `weights` alone."""
    known, names = set(weights), []
    for equation in jaxpr.eqns:
        variables = [v for v in equation.invars if not isinstance(v, Literal)]
        if variables and known.issuperset(variables):
            known.update(equation.outvars)
            large = max(v.aval.ndim for v in equation.outvars) > 1
            if large and equation.primitive.name not in FREE:
                names.append(equation.primitive.name)
    return names


def of_weights_alone(network, frozen, platform="cpu", shape=(16, 32, 32, 3)):
    """What `evaluate` computes of weights alone, frozen or not."""
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    with traced_for(platform):
        params, batch_stats = jax.eval_shape(network.init, jax.random.key(0), images)
        if frozen:
            freeze = functools.partial(network.freeze, image_shape=shape)
            batch_stats = jax.eval_shape(freeze, params, batch_stats)
        traced = jax.make_jaxpr(network.evaluate)(params, batch_stats, images)
    return computed(traced.jaxpr, traced.jaxpr.invars[:-1])


NETWORKS = {
    "resnet8": lambda: create("resnet8", num_classes=10),
    "bfloat16": lambda: create("resnet8", num_classes=10, dtype="bfloat16"),
    "winograd": lambda: create("wide_resnet", depth=10, width=2, num_classes=10),
    "vgg8": lambda: create("vgg8", num_classes=10),
    "mobilenet": lambda: create("mobilenet_v2_half", num_classes=10),
    "shufflenet_v1": lambda: create("shufflenet_v1", num_classes=10),
    "ensemble": lambda: ensemble((create("resnet8", num_classes=10),) * 2),
    "resized": lambda: resized(
        create("wide_resnet", depth=10, width=2, num_classes=10), (16, 16), "bilinear"
    ),
    "reused": lambda: with_reused_classifier(
        create("resnet8", num_classes=10), Reuse("stage3_preact", channels=8, bias=True)
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_is_left_to_fold(name):
    left = of_weights_alone(NETWORKS[name](), True)
    # SimKD's projector, which no teacher has, is folded as it runs.
    assert not left or (name == "reused" and len(left) < 20), left


def test_kernels_are_transposed_once_too():
    network = NETWORKS["bfloat16"]()
    assert of_weights_alone(network, False, "gpu").count("transpose") == 9
    assert not of_weights_alone(network, True, "gpu")


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_outputs_are_the_same_to_rounding(platform, dtype):
    network = create("wide_resnet", depth=10, width=2, num_classes=3, dtype=dtype)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(16, 16, 16, 3)), "float32")
    with traced_for(platform):
        params, batch_stats = jax.jit(network.init)(jax.random.key(0), images)
        # Moments that are not 0 and 1, which fold to nothing.
        batch_stats = jax.tree.map(lambda x: 0.5 * x + 0.01, batch_stats)
        freeze = jax.jit(network.freeze, static_argnums=2)
        frozen = freeze(params, batch_stats, images.shape)
        evaluate = jax.jit(network.evaluate)
        ours = evaluate(params, frozen, images)
        theirs = evaluate(params, batch_stats, images)
    assert isinstance(frozen, Frozen) and frozen.arrays
    tolerance = 2e-5 if dtype == "float32" else 2e-2
    np.testing.assert_allclose(ours.logits, theirs.logits, atol=tolerance)
    assert np.abs(theirs.logits).max() > 0.1


def test_a_network_without_such_layers_has_its_statistics_as_they_are():
    network = linear(3)
    images = jnp.ones((2, 4, 4, 1))
    params, batch_stats = network.init(jax.random.key(0), images)
    frozen = network.freeze(params, batch_stats, images.shape)
    ours = network.evaluate(params, frozen, images).logits
    assert np.array_equal(ours, network.evaluate(params, batch_stats, images).logits)
