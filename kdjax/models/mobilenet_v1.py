"""MobileNet, Howard et al., arXiv 1704.04861: depthwise separable convolutions.

Width multiplier 1, resolution free. Features: "stem", after its activation; "stage1" to
"stage5", at strides 2, 4, 8, 16 and 32, after the stage's last activation;
"stage1_preact".. before it; and "pooled", [b, c] in float32. Stages 2 to 5 have the
sizes of a ResNet's stages 1 to 4.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.models import depthwise, layers
from kdjax.models.network import Network, from_linen
from kdjax.types import Outputs

STEM = 32
# (channels, blocks, stride of the first): table 1 of the paper, by width.
STAGES = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))
ACTIVATIONS = {"relu": nn.relu, "relu6": nn.relu6}


class SeparableBlock(nn.Module):
    """Depthwise 3x3, norm, activation, 1x1, norm. The activation after it is missing.

    So returned values are "preact" features, and the second MobileNet's first block.
    """

    width: int
    stride: int
    activate: Callable
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        conv1 = depthwise.DepthwiseConv(self.stride, self.dtype, name="conv1")
        norm1 = layers.BatchNorm(x.shape[-1], self.dtype, name="norm1")
        conv2 = layers.Conv(self.width, 1, 1, self.dtype, name="conv2")
        norm2 = layers.BatchNorm(self.width, self.dtype, name="norm2")
        x = self.activate(layers.conv_norm(conv1, norm1, x, train))
        return layers.conv_norm(conv2, norm2, x, train)


class MobileNetV1(nn.Module):
    """Stem of stride 2, stages, head."""

    where: str
    classes: int
    activation: str
    dtype: jnp.dtype
    stem: int = STEM
    stages: tuple[tuple[int, int, int], ...] = STAGES

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> Outputs:
        layers.check_images(self.where, images, halvings=5)
        activate = ACTIVATIONS[self.activation]
        conv = layers.Conv(self.stem, 3, 2, self.dtype, name="stem_conv")
        norm = layers.BatchNorm(self.stem, self.dtype, name="stem_norm")
        x = activate(layers.conv_norm(conv, norm, images, train))
        features = {"stem": x}
        for stage, (width, blocks, first) in enumerate(self.stages, start=1):
            for block in range(1, blocks + 1):
                stride = first if block == 1 else 1
                name = f"stage{stage}_block{block}"
                module = SeparableBlock(width, stride, activate, self.dtype, name=name)
                before = module(x, train)
                x = activate(before)
            features |= {f"stage{stage}": x, f"stage{stage}_preact": before}
        pooled = layers.global_average_pool(x)
        logits = layers.head(self.classes, pooled.shape[-1], zero_bias=False)(pooled)
        return Outputs(logits, features | {"pooled": pooled})


def mobilenet_v1(
    *, num_classes: int, activation: str = "relu", dtype: str = "float32"
) -> Network:
    """mobilenet_v1, of 4.23 million parameters at 1000 classes.

    `activation` is "relu" or "relu6". The paper says ReLU, and so do the students of
    distillation benchmarks on ImageNet; the authors' code, and timm's, has ReLU6.
    """
    where = "mobilenet_v1" + ("_relu6" if activation == "relu6" else "")
    if activation not in ACTIVATIONS:
        expected = "'relu' or 'relu6'"
        raise ValueError(f"{where}: activation is {activation!r}; expected {expected}.")
    layers.positive_integer(where, "num_classes", num_classes)
    dtype = layers.activation_dtype(where, dtype)
    return from_linen(MobileNetV1(where, num_classes, activation, dtype))
