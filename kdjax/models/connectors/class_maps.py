"""Class activation maps, for CAT-KD: the classifier before the pooling."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax import contracts
from kdjax.models.network import Network
from kdjax.types import Outputs


def class_activation_maps(
    features: jax.Array, kernel: jax.Array, bias: jax.Array | None = None
) -> jax.Array:
    """CAM[b, h, w, k] = sum_c features[b, h, w, c] kernel[c, k] + bias[k], in float32.

    Their mean over positions is the classifier's logits of the pooled features.

    Args:
      features: [batch, height, width, channels], what the network pools.
      kernel: [channels, classes] of the classifier.
      bias: [classes], or None.

    Raises:
      ValueError: shapes that disagree.

    Guo et al., "Class Attention Transfer Based Knowledge Distillation", arXiv
    2304.12777.

    >>> maps = class_activation_maps(jnp.ones((2, 4, 4, 3)), jnp.ones((3, 10)))
    >>> maps.shape
    (2, 4, 4, 10)
    """
    bias = jnp.zeros(kernel.shape[-1:]) if bias is None else bias
    contracts.shapes(
        "class_activation_maps",
        features=(features, "batch height width channels"),
        kernel=(kernel, "channels classes"),
        bias=(bias, "classes"),
    )
    x, kernel, bias = (a.astype(jnp.float32) for a in (features, kernel, bias))
    return jnp.einsum("bhwc,ck->bhwk", x, kernel) + bias[None, None, None, :]


def with_class_maps(
    network: Network, feature: str = "stage3_preact", *, bias: bool = True
) -> Network:
    """The same network with "class_maps" among its features: `class_activation_maps`.

    The classifier is the network's own, `params["head"]`, so the student's gradient
    reaches it through the maps too, and no parameter is added.

    Args:
      feature: a map [b, h, w, c] whose ReLU is what the network pools: "stage3_preact"
        of the residual networks for CIFAR, wide ones included.
      bias: adds the head's bias to every position, so that the maps' mean is the
        logits. CAT-KD's public code has classifiers without one.

    Raises:
      ValueError: while tracing, if there is no such feature or no such head.

    >>> from kdjax.models import create
    >>> network = with_class_maps(create("resnet8", num_classes=10))
    >>> images = jnp.ones((2, 8, 8, 3))
    >>> variables = jax.jit(network.init)(jax.random.key(0), images)
    >>> outputs = jax.eval_shape(network.evaluate, *variables, images)
    >>> outputs.features["class_maps"].shape
    (2, 2, 2, 10)
    """

    def add_maps(params, outputs: Outputs) -> Outputs:
        head = params.get("head", {})
        if feature not in outputs.features or "kernel" not in head:
            raise ValueError(
                f"with_class_maps: expected the feature {feature!r} and the parameters "
                f"head/kernel; the network has {', '.join(sorted(outputs.features))} "
                f"and {', '.join(sorted(params))}."
            )
        x = nn.relu(outputs.features[feature])
        shift = head.get("bias") if bias else None
        maps = class_activation_maps(x, head["kernel"], shift)
        return outputs._replace(features=outputs.features | {"class_maps": maps})

    def train(params, batch_stats, *inputs):
        outputs, batch_stats = network.train(params, batch_stats, *inputs)
        return add_maps(params, outputs), batch_stats

    def evaluate(params, batch_stats, *inputs):
        return add_maps(params, network.evaluate(params, batch_stats, *inputs))

    return network._replace(train=train, evaluate=evaluate)
