"""Class maps, reversed gradients, and what connectors refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from kdjax.models import connectors, create
from kdjax.models.connectors import from_module, reverse_gradient
from kdjax.types import ConnectorInputs, Outputs

KEY = jax.random.key(0)


def test_class_maps_average_to_the_logits():
    network = create("wrn_16_2", num_classes=7)
    images = jax.random.normal(KEY, (2, 8, 8, 3))
    variables = jax.jit(network.init)(KEY, images)
    outputs = jax.jit(network.evaluate)(*variables, images)
    pooled, head = jax.nn.relu(outputs.features["stage3_preact"]), variables[0]["head"]
    maps = connectors.class_activation_maps(pooled, head["kernel"], head["bias"])
    assert maps.shape == (2, 2, 2, 7)
    np.testing.assert_allclose(maps.mean((1, 2)), outputs.logits, rtol=1e-4, atol=1e-5)


def test_reversed_gradients_ascend_by_a_traced_scale():
    x = jnp.float32([0.5, -2.0])
    loss = jax.jit(jax.value_and_grad(lambda x, s: (reverse_gradient(x, s) ** 3).sum()))
    for scale in (0.0, 0.5, 1.0):
        value, gradient = loss(x, scale)
        np.testing.assert_allclose(value, 0.5**3 - 8.0, rtol=1e-6)
        np.testing.assert_allclose(gradient, -scale * 3 * x**2, rtol=1e-6)
    assert jax.grad(lambda s: reverse_gradient(x, s).sum())(1.0) == 0
    check_grads(lambda x: reverse_gradient(x, -1.0) ** 2, (x,), 1, ["rev"])


@pytest.mark.errors
@pytest.mark.parametrize(
    "module, message",
    [
        (connectors.HintRegressors((("small", "map"),)), "is 3x3, the teacher's 4x4"),
        (connectors.HintRegressors(()), "pairs is \\(\\)"),
        (connectors.VariationalHeads((("map", "a"), ("map", "b"))), "twice"),
        (connectors.HintRegressors((("pooled", "map"),)), "student's pooled has shape"),
        (connectors.WassersteinProjector("map", "map", "linear"), "form is 'linear'"),
        (
            connectors.WassersteinProjector("small", "map", "bottleneck"),
            "needs equal sides",
        ),
        (connectors.ReviewFusion(("map",), ()), "as many names"),
        (connectors.ReviewFusion(("map",), ("map",), 0), "mid is 0"),
        (connectors.Paraphraser("map", k=0.1), "leaves none of 6 channels"),
        (connectors.LinearEmbeddings(True, feature="map"), "student's map has shape"),
        (connectors.LinearEmbeddings(True, width=0), "width is 0"),
        (connectors.VariationalHeads((("map", "map"),), variance=0.0), "variance is 0"),
    ],
)
def test_what_cannot_work_is_named(module, message):
    shapes = {"map": (2, 4, 4, 6), "small": (2, 3, 3, 6), "pooled": (2, 6)}
    outputs = Outputs(None, {n: jnp.zeros(s) for n, s in shapes.items()})
    inputs = ConnectorInputs(outputs, outputs)
    with pytest.raises(ValueError, match=message):
        from_module(module).init(KEY, inputs)
