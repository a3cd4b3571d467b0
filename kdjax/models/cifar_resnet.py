"""The three-stage CIFAR ResNets of the distillation benchmark (CRD, arXiv 1910.10699).

resnet8 to resnet110 have 16, 32 and 64 channels and a stem of 16; "x4" has 64, 128 and
256 and a stem of 32. Where shapes change the shortcut is a 1x1 convolution with batch
norm, not the parameter-free one of He et al.; the benchmark's numbers belong to these.
"""

from kdjax.models import layers
from kdjax.models.network import Network, from_linen
from kdjax.models.residual import BasicBlock, ResNet


def cifar_resnet(
    *, num_classes: int, depth: int, four_times: bool = False, dtype: str = "float32"
) -> Network:
    """resnet`depth`, or resnet`depth`x4 with `four_times`.

    Args:
      depth: 6 n + 2, for n basic blocks a stage.
      four_times: wide stages.
    """
    where = f"resnet{depth}{'x4' if four_times else ''}"
    if not isinstance(depth, int) or depth < 8 or (depth - 2) % 6:
        raise ValueError(
            f"{where}: depth is {depth!r}; expected 6n + 2: 8, 14, 20, ..."
        )
    layers.positive_integer(where, "num_classes", num_classes)
    return from_linen(
        ResNet(
            where,
            num_classes,
            BasicBlock,
            stem=32 if four_times else 16,
            widths=(64, 128, 256) if four_times else (16, 32, 64),
            blocks=((depth - 2) // 6,) * 3,
            dtype=layers.activation_dtype(where, dtype),
        )
    )
