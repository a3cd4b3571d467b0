"""MobileNetV2, Sandler et al., arXiv 1801.04381, as torchvision has it.

Width multiplier 1; no dropout before the classifier, since a `Network` draws nothing.
Features: "stem", after its activation; "stage1" to "stage7", the rows of the paper's
table 2, at strides 2, 4, 8, 16, 16, 32 and 32: what a stage's last block returns, which
nothing rectifies; "last" after the final 1x1 convolution's ReLU6, "last_preact" before
it; and "pooled", [b, c] in float32.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.models import depthwise, layers
from kdjax.models.mobilenet_v1 import SeparableBlock
from kdjax.models.network import Network, from_linen
from kdjax.types import Outputs

STEM, LAST = 32, 1280
EXPANSION = 6
# (channels, blocks, stride of the first). Only the first stage does not expand.
STAGES = (
    *((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2)),
    *((96, 3, 1), (160, 3, 2), (320, 1, 1)),
)


class InvertedResidual(nn.Module):
    """1x1 to six times the width, depthwise 3x3, 1x1; plus the input where it fits."""

    width: int
    stride: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        wide = EXPANSION * x.shape[-1]
        conv1 = layers.Conv(wide, 1, 1, self.dtype, name="conv1")
        conv2 = depthwise.DepthwiseConv(self.stride, self.dtype, name="conv2")
        conv3 = layers.Conv(self.width, 1, 1, self.dtype, name="conv3")
        norm1, norm2, norm3 = (
            layers.BatchNorm(features, self.dtype, name=f"norm{number}")
            for number, features in enumerate((wide, wide, self.width), start=1)
        )
        y = nn.relu6(layers.conv_norm(conv1, norm1, x, train))
        y = nn.relu6(layers.conv_norm(conv2, norm2, y, train))
        y = layers.conv_norm(conv3, norm3, y, train)
        return x + y if x.shape == y.shape else y


class MobileNetV2(nn.Module):
    """Stem of stride 2, stages, a last 1x1 convolution, head."""

    where: str
    classes: int
    dtype: jnp.dtype
    stem: int = STEM
    stages: tuple[tuple[int, int, int], ...] = STAGES
    last: int = LAST

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> Outputs:
        layers.check_images(self.where, images, halvings=5)
        conv = layers.Conv(self.stem, 3, 2, self.dtype, name="stem_conv")
        norm = layers.BatchNorm(self.stem, self.dtype, name="stem_norm")
        x = nn.relu6(layers.conv_norm(conv, norm, images, train))
        features = {"stem": x}
        for stage, (width, blocks, first) in enumerate(self.stages, start=1):
            for block in range(1, blocks + 1):
                stride = first if block == 1 else 1
                name = f"stage{stage}_block{block}"
                x = self._block(stage, width, stride, name)(x, train)
            features[f"stage{stage}"] = x
        conv = layers.Conv(self.last, 1, 1, self.dtype, name="last_conv")
        norm = layers.BatchNorm(self.last, self.dtype, name="last_norm")
        before = layers.conv_norm(conv, norm, x, train)
        x = nn.relu6(before)
        pooled = layers.global_average_pool(x)
        logits = layers.head(self.classes, pooled.shape[-1], zero_bias=True)(pooled)
        features |= {"last": x, "last_preact": before, "pooled": pooled}
        return Outputs(logits, features)

    def _block(self, stage: int, width: int, stride: int, name: str) -> nn.Module:
        if stage == 1:
            return SeparableBlock(width, stride, nn.relu6, self.dtype, name=name)
        return InvertedResidual(width, stride, self.dtype, name=name)


def mobilenet_v2(*, num_classes: int, dtype: str = "float32") -> Network:
    """mobilenet_v2, of 3.50 million parameters at 1000 classes."""
    where = "mobilenet_v2"
    layers.positive_integer(where, "num_classes", num_classes)
    dtype = layers.activation_dtype(where, dtype)
    return from_linen(MobileNetV2(where, num_classes, dtype))
