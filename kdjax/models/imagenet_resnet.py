"""ResNet-18 to ResNet-152 as in torchvision, and with a stem for small images.

Widths 64 to 512, stride in the bottleneck's 3x3, He initialisation over the fan-out,
batch norm scales all 1 (no zero-initialised residual). The stem for small images is one
3x3 convolution of stride 1 without max pool: the ResNets of CIFAR-100 papers.
"""

from kdjax.models import layers
from kdjax.models.network import Network, from_linen
from kdjax.models.residual import BasicBlock, Bottleneck, ResNet

_DEPTHS = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


def imagenet_resnet(
    *, num_classes: int, depth: int, small_images: bool = False, dtype: str = "float32"
) -> Network:
    """resnet`depth`, or resnet`depth`_cifar with `small_images`.

    Args:
      depth: 18, 34, 50, 101 or 152.
      small_images: the CIFAR stem, for images of 8x8 and up; otherwise 32x32 and up.
    """
    where = f"resnet{depth}{'_cifar' if small_images else ''}"
    if depth not in _DEPTHS:
        raise ValueError(
            f"{where}: depth is {depth!r}; expected one of {list(_DEPTHS)}."
        )
    layers.positive_integer(where, "num_classes", num_classes)
    block, blocks = _DEPTHS[depth]
    hint = f"{where}_cifar takes smaller ones" if depth <= 50 else ""
    return from_linen(
        ResNet(
            where,
            num_classes,
            block,
            stem=64,
            widths=(64, 128, 256, 512),
            blocks=blocks,
            dtype=layers.activation_dtype(where, dtype),
            large_images=not small_images,
            hint="" if small_images else hint,
        )
    )
