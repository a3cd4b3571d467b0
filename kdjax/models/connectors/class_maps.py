"""Class activation maps, for CAT-KD: the classifier before the pooling."""

import jax
import jax.numpy as jnp

from kdjax import contracts


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
