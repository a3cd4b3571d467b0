"""Residual networks with the ReLU after the sum, He et al., arXiv 1512.03385.

With them wide ones (arXiv 1605.07146), ResNeXt (arXiv 1611.05431) and those with the
stem and the shortcuts of the "bag of tricks" (arXiv 1812.01187), ResNet-D.

Features: "stem" after its ReLU, before a max pool; "stage1".. after the stage's last
ReLU; "stage1_preact".. before it; and "pooled", [b, c] in float32.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.models import layers
from kdjax.models.network import Network, from_linen
from kdjax.models.pooling import max_pool
from kdjax.types import Outputs


class _Block(nn.Module):
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
    paper it is in the first 1x1. Inside there are `groups` of `base_width` channels for
    each 64 of the width.
    """

    groups: int = 1
    base_width: int = 64

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        inner = self.width * self.base_width // 64 * self.groups
        y = nn.relu(self.conv_norm(x, train, inner, 1, 1, 1))
        if self.groups == 1:
            y = self.conv_norm(y, train, inner, 3, self.stride, 2)
        else:
            from kdjax.models import grouped  # of ResNeXts alone

            options = {"dtype": self.dtype, "name": "conv2"}
            conv = grouped.GroupedConv(inner, self.groups, self.stride, **options)
            norm = layers.BatchNorm(inner, self.dtype, name="norm2")
            y = layers.conv_norm(conv, norm, y, train)
        y = nn.relu(y)
        y = self.conv_norm(y, train, 4 * self.width, 1, 1, 3)
        return y + self.shortcut(x, train, 4 * self.width)


class ResNet(nn.Module):
    """Stem, stages with strides 1, 2, 2, ..., head.

    `large_images` picks the ImageNet stem (7x7 stride 2, max pool 3x3 stride 2) over
    3x3 of stride 1; with `deep_stem` three of 3x3 are in place of the 7x7, the first
    two with half of the channels. `hint` ends the message for images that are too
    small.
    """

    where: str
    classes: int
    block: Callable[..., _Block]
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


_DEPTHS = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


def imagenet_resnet(
    *,
    num_classes: int,
    depth: int,
    small_images: bool = False,
    groups: int = 1,
    base_width: int = 64,
    tricks: bool = False,
    name: str = "",
    dtype: str = "float32",
) -> Network:
    """resnet`depth` as in torchvision, or resnet`depth`_cifar with `small_images`.

    Widths 64 to 512, stride in the bottleneck's 3x3, He initialisation over the
    fan-out, batch norm scales all 1 (no zero-initialised residual). The stem for small
    images, 8x8 and up, is one 3x3 convolution of stride 1 without max pool, as in
    CIFAR-100 papers; the other takes 32x32 and up.

    Args:
      groups, base_width: of the bottlenecks: 32 and 4 for ResNeXt-50 32x4d, 1 and 128
        for wide_resnet50_2, both as in torchvision.
      tricks: the stem of three convolutions and the averaged shortcuts of timm's
        resnet`depth`d.
      name: in errors.
    """
    where = name or f"resnet{depth}{'_cifar' if small_images else ''}"
    if depth not in _DEPTHS:
        expected = f"one of {list(_DEPTHS)}"
        raise ValueError(f"{where}: depth is {depth!r}; expected {expected}.")
    layers.positive_integer(where, "num_classes", num_classes)
    block, blocks = _DEPTHS[depth]
    has_small = depth <= 50 and where == f"resnet{depth}"
    if groups != 1 or base_width != 64:
        block = functools.partial(block, groups=groups, base_width=base_width)
    if tricks:
        block = functools.partial(block, averages=True)
    module = ResNet(
        where,
        num_classes,
        block,
        stem=64,
        widths=(64, 128, 256, 512),
        blocks=blocks,
        dtype=layers.activation_dtype(where, dtype),
        large_images=not small_images,
        deep_stem=tricks,
        hint=f"{where}_cifar takes smaller ones" if has_small else "",
    )
    return from_linen(module)
