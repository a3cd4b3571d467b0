"""MobileNetV2, Sandler et al., arXiv 1801.04381: torchvision's, and at half width.

`mobilenet_v2` has width multiplier 1, and no dropout before the classifier. Features:
"stem", after its activation; "stage1" to "stage7", the rows of the paper's table 2, at
strides 2, 4, 8, 16, 16, 32 and 32: what a stage's last block returns, which nothing
rectifies; "last" after the final 1x1 convolution's ReLU6, "last_preact" before it; and
"pooled", [b, c] in float32.

`mobilenet_v2_half` is the student of the distillation benchmark on CIFAR-100 (CRD,
arXiv 1910.10699), which calls it MobileNetV2 and, in code, mobile_half: width .5 but
for the last 1280 channels, the second row at stride 1, ReLU in place of ReLU6, and an
expansion by 1 in the first block. Its stages are the benchmark's four, rows 2, 3, 5 and
7 of the table, at strides 2, 4, 8 and 16. They are linear, so "stage1_preact".. are the
same arrays, as `preact` changes nothing there. The rest is as above.
"""

from collections.abc import Callable

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
HALF_STEM = STEM // 2
HALF_STAGES = tuple(
    (width // 2, blocks, 1 if row == 2 else stride)
    for row, (width, blocks, stride) in enumerate(STAGES, start=1)
)
HALF_FEATURES = (2, 3, 5, 7)  # the rows whose outputs are stages of the benchmark


class InvertedResidual(nn.Module):
    """1x1 to `expansion` times the width, depthwise 3x3, 1x1; plus a fitting input."""

    width: int
    stride: int
    dtype: jnp.dtype
    expansion: int = EXPANSION
    activate: Callable = nn.relu6
    depthwise_init: Callable | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        wide = self.expansion * x.shape[-1]
        options = {"name": "conv2"}
        if self.depthwise_init is not None:
            options["kernel_init"] = self.depthwise_init
        conv1 = layers.Conv(wide, 1, 1, self.dtype, name="conv1")
        conv2 = depthwise.DepthwiseConv(self.stride, self.dtype, **options)
        conv3 = layers.Conv(self.width, 1, 1, self.dtype, name="conv3")
        norm1, norm2, norm3 = (
            layers.BatchNorm(features, self.dtype, name=f"norm{number}")
            for number, features in enumerate((wide, wide, self.width), start=1)
        )
        y = self.activate(layers.conv_norm(conv1, norm1, x, train))
        y = self.activate(layers.conv_norm(conv2, norm2, y, train))
        y = layers.conv_norm(conv3, norm3, y, train)
        return x + y if x.shape == y.shape else y


class MobileNetV2(nn.Module):
    """Stem of stride 2, stages, a last 1x1 convolution, head.

    `benchmark` is of what differs beside sizes in the distillation benchmark's.
    """

    where: str
    classes: int
    dtype: jnp.dtype
    stem: int = STEM
    stages: tuple[tuple[int, int, int], ...] = STAGES
    last: int = LAST
    benchmark: bool = False

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> Outputs:
        halvings = 1 + sum(stride == 2 for _, _, stride in self.stages)
        layers.check_images(self.where, images, halvings)
        activate = nn.relu if self.benchmark else nn.relu6
        conv = layers.Conv(self.stem, 3, 2, self.dtype, name="stem_conv")
        norm = layers.BatchNorm(self.stem, self.dtype, name="stem_norm")
        x = activate(layers.conv_norm(conv, norm, images, train))
        features = {"stem": x}
        for row, (width, blocks, first) in enumerate(self.stages, start=1):
            for block in range(1, blocks + 1):
                stride = first if block == 1 else 1
                name = f"stage{row}_block{block}"
                x = self._block(row, width, stride, name)(x, train)
            features |= self._features(row, x)
        conv = layers.Conv(self.last, 1, 1, self.dtype, name="last_conv")
        norm = layers.BatchNorm(self.last, self.dtype, name="last_norm")
        before = layers.conv_norm(conv, norm, x, train)
        x = activate(before)
        pooled = layers.global_average_pool(x)
        std = 0.01 if self.benchmark else None
        head = layers.head(self.classes, self.last, zero_bias=True, kernel_std=std)
        features |= {"last": x, "last_preact": before, "pooled": pooled}
        return Outputs(head(pooled), features)

    def _block(self, row: int, width: int, stride: int, name: str) -> nn.Module:
        if not self.benchmark:
            block = SeparableBlock if row == 1 else InvertedResidual
            options = {"activate": nn.relu6}
        else:
            block = InvertedResidual
            options = {"expansion": 1 if row == 1 else EXPANSION, "activate": nn.relu}
            # N(0, sqrt(2 / (k k out))), with all channels as if there were no groups.
            options["depthwise_init"] = layers.fan_out_normal
        return block(width, stride, dtype=self.dtype, name=name, **options)

    def _features(self, row: int, x: jax.Array) -> dict[str, jax.Array]:
        if not self.benchmark:
            return {f"stage{row}": x}
        if row not in HALF_FEATURES:
            return {}
        stage = HALF_FEATURES.index(row) + 1
        return {f"stage{stage}": x, f"stage{stage}_preact": x}


def mobilenet_v2(*, num_classes: int, dtype: str = "float32") -> Network:
    """mobilenet_v2, of 3.50 million parameters at 1000 classes."""
    return _network("mobilenet_v2", num_classes, dtype)


def mobilenet_v2_half(*, num_classes: int, dtype: str = "float32") -> Network:
    """mobilenet_v2_half, of 0.81 million parameters at 100 classes; from 16x16 on."""
    sizes = {"stem": HALF_STEM, "stages": HALF_STAGES}
    return _network("mobilenet_v2_half", num_classes, dtype, benchmark=True, **sizes)


def _network(where: str, num_classes: int, dtype: str, **rest) -> Network:
    layers.positive_integer(where, "num_classes", num_classes)
    dtype = layers.activation_dtype(where, dtype)
    return from_linen(MobileNetV2(where, num_classes, dtype, **rest))
