"""Residual networks with the ReLU after the sum, He et al., arXiv 1512.03385.

One module for the CIFAR and ImageNet families. Features: "stem" after its ReLU, before
a max pool; "stage1".. after the stage's last ReLU; "stage1_preact".. before it; and
"pooled", [b, c] in float32.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.models import layers
from kdjax.types import Outputs


class _Block(nn.Module):
    width: int
    stride: int
    dtype: jnp.dtype

    def conv_norm(self, x, train, features, kernel, stride, suffix):
        name = f"conv{suffix}"
        conv = layers.Conv(features, kernel, stride, self.dtype, name=name)
        norm = layers.BatchNorm(features, self.dtype, name=f"norm{suffix}")
        return layers.conv_norm(conv, norm, x, train)

    def shortcut(self, x, train, features):
        if self.stride == 1 and x.shape[-1] == features:
            return x
        return self.conv_norm(x, train, features, 1, self.stride, "_shortcut")


class BasicBlock(_Block):
    """conv 3x3, batch norm, ReLU, conv 3x3, batch norm, sum. Returns the sum."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y = nn.relu(self.conv_norm(x, train, self.width, 3, self.stride, 1))
        y = self.conv_norm(y, train, self.width, 3, 1, 2)
        return y + self.shortcut(x, train, self.width)


class Bottleneck(_Block):
    """1x1, 3x3, 1x1 to four times the width, sum. Returns the sum.

    The stride sits in the 3x3 convolution, as in torchvision ("version 1.5"); in the
    paper it is in the first 1x1.
    """

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y = nn.relu(self.conv_norm(x, train, self.width, 1, 1, 1))
        y = nn.relu(self.conv_norm(y, train, self.width, 3, self.stride, 2))
        y = self.conv_norm(y, train, 4 * self.width, 1, 1, 3)
        return y + self.shortcut(x, train, 4 * self.width)


class ResNet(nn.Module):
    """Stem, stages with strides 1, 2, 2, ..., head.

    `large_images` picks the ImageNet stem (7x7 stride 2, max pool 3x3 stride 2) over
    3x3 of stride 1. `hint` ends the message for images that are too small.
    """

    where: str
    classes: int
    block: type[_Block]
    stem: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    dtype: jnp.dtype
    large_images: bool = False
    hint: str = ""

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> Outputs:
        halvings = len(self.widths) - 1 + 2 * self.large_images
        layers.check_images(self.where, images, halvings, self.hint)
        kernel, stride = (7, 2) if self.large_images else (3, 1)
        conv = layers.Conv(self.stem, kernel, stride, self.dtype, name="stem_conv")
        norm = layers.BatchNorm(self.stem, self.dtype, name="stem_norm")
        x = nn.relu(layers.conv_norm(conv, norm, images, train))
        features = {"stem": x}
        if self.large_images:
            x = nn.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))
        for stage, width in enumerate(self.widths, start=1):
            for block in range(1, self.blocks[stage - 1] + 1):
                stride = 2 if block == 1 and stage > 1 else 1
                name = f"stage{stage}_block{block}"
                summed = self.block(width, stride, self.dtype, name=name)(x, train)
                x = nn.relu(summed)
            features |= {f"stage{stage}": x, f"stage{stage}_preact": summed}
        pooled = layers.global_average_pool(x)
        logits = layers.head(self.classes, pooled.shape[-1], zero_bias=False)(pooled)
        return Outputs(logits, features | {"pooled": pooled})
