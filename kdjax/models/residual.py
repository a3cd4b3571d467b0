"""Residual networks with the ReLU after the sum, He et al., arXiv 1512.03385.

Those of CIFAR, and what the ones of ImageNet, in `imagenet_resnet`, share with them.

Features: "stem" after its ReLU, before a max pool; "stage1".. after the stage's last
ReLU; "stage1_preact".. before it; and "pooled", [b, c] in float32.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.models import layers
from kdjax.models.network import Network, from_linen
from kdjax.types import Outputs


class Block(nn.Module):
    """What the blocks of a residual network share."""

    width: int
    stride: int
    dtype: jnp.dtype
    averages: bool = False  # the shortcut, over 2x2, where it would skip pixels

    def conv_norm(self, x, train, features, kernel, stride, suffix):
        name = f"conv{suffix}"
        conv = layers.Conv(features, kernel, stride, self.dtype, name=name)
        norm = layers.BatchNorm(features, self.dtype, name=f"norm{suffix}")
        return layers.conv_norm(conv, norm, x, train)

    def shortcut(self, x, train, features):
        if self.stride == 1 and x.shape[-1] == features:
            return x
        stride = self.stride
        if self.averages and stride == 2:
            # At an odd border the mean is over the pixels that there are.
            odd = ((0, x.shape[1] % 2), (0, x.shape[2] % 2))
            options = {"strides": (2, 2), "padding": odd, "count_include_pad": False}
            x, stride = nn.avg_pool(x.astype(jnp.float32), (2, 2), **options), 1
        return self.conv_norm(x, train, features, 1, stride, "_shortcut")


class BasicBlock(Block):
    """conv 3x3, batch norm, ReLU, conv 3x3, batch norm, sum. Returns the sum."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        y = nn.relu(self.conv_norm(x, train, self.width, 3, self.stride, 1))
        y = self.conv_norm(y, train, self.width, 3, 1, 2)
        return y + self.shortcut(x, train, self.width)


class ResNet(nn.Module):
    """Stem, stages with strides 1, 2, 2, ..., head.

    `large_images` picks the ImageNet stem (7x7 stride 2, max pool 3x3 stride 2) over
    3x3 of stride 1; with `deep_stem` three of 3x3 are in place of the 7x7, the first
    two with half of the channels. `hint` ends the message for images that are too
    small.
    """

    where: str
    classes: int
    block: Callable[..., Block]
    stem: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    dtype: jnp.dtype
    large_images: bool = False
    deep_stem: bool = False
    hint: str = ""

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> Outputs:
        halvings = len(self.widths) - 1 + 2 * self.large_images
        layers.check_images(self.where, images, halvings, self.hint)
        x = self._stem(images, train)
        features = {"stem": x}
        if self.large_images:
            from kdjax.models.pooling import max_pool

            x = max_pool(x, size=3, stride=2, pad=1)
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

    def _stem(self, x: jax.Array, train: bool) -> jax.Array:
        kernel, stride = (7, 2) if self.large_images else (3, 1)
        shapes = {"": (self.stem, kernel, stride)}
        if self.deep_stem:
            half = self.stem // 2
            shapes = {"1": (half, 3, 2), "2": (half, 3, 1), "": (self.stem, 3, 1)}
        for number, shape in shapes.items():
            conv = layers.Conv(*shape, self.dtype, name=f"stem_conv{number}")
            norm = layers.BatchNorm(shape[0], self.dtype, name=f"stem_norm{number}")
            x = nn.relu(layers.conv_norm(conv, norm, x, train))
        return x


def cifar_resnet(
    *, num_classes: int, depth: int, four_times: bool = False, dtype: str = "float32"
) -> Network:
    """resnet`depth`, depth 6 n + 2, or resnet`depth`x4 with `four_times`.

    The three-stage CIFAR ResNets of the distillation benchmark (CRD, arXiv 1910.10699).
    resnet8 to resnet110 have 16, 32 and 64 channels and a stem of 16; "x4" has 64, 128
    and 256 and a stem of 32. Where shapes change the shortcut is a 1x1 convolution with
    batch norm, not the parameter-free one of He et al., as in the benchmark.
    """
    where = f"resnet{depth}{'x4' if four_times else ''}"
    if not isinstance(depth, int) or depth < 8 or (depth - 2) % 6:
        expected = "6n + 2: 8, 14, 20, ..."
        raise ValueError(f"{where}: depth is {depth!r}; expected {expected}")
    layers.positive_integer(where, "num_classes", num_classes)
    module = ResNet(
        where,
        num_classes,
        BasicBlock,
        stem=32 if four_times else 16,
        widths=(64, 128, 256) if four_times else (16, 32, 64),
        blocks=((depth - 2) // 6,) * 3,
        dtype=layers.activation_dtype(where, dtype),
    )
    return from_linen(module)
