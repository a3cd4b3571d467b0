"""The residual networks of ImageNet, He et al., arXiv 1512.03385, as in torchvision.

With them wide ones (arXiv 1605.07146), ResNeXt (arXiv 1611.05431) and those with the
stem and the shortcuts of the "bag of tricks" (arXiv 1812.01187), ResNet-D. Features are
those of `residual`.
"""

import functools

import jax
from flax import linen as nn

from kdjax.models import grouped, layers
from kdjax.models.network import Network, from_linen
from kdjax.models.residual import BasicBlock, Block, ResNet


class Bottleneck(Block):
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
            options = {"dtype": self.dtype, "name": "conv2"}
            conv = grouped.GroupedConv(inner, self.groups, self.stride, **options)
            norm = layers.BatchNorm(inner, self.dtype, name="norm2")
            y = layers.conv_norm(conv, norm, y, train)
        y = nn.relu(y)
        y = self.conv_norm(y, train, 4 * self.width, 1, 1, 3)
        return y + self.shortcut(x, train, 4 * self.width)


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
