"""The shortcut without parameters, written as the one that our CIFAR ResNets have.

He et al., arXiv 1512.03385, option A: where a stage begins, every other pixel of the
input, and as many channels of zeros before and behind as the width grows by. Ours is a
1x1 convolution of that stride and a batch norm, which can be the same: a kernel of ones
and zeros that picks channels, and statistics by which the norm changes nothing.

The same while it answers, that is. Trained further, the kernel learns, and the norm
normalises by the batch: a network that goes on from such weights is one with
projections.
"""

import numpy as np

from kdjax.models.layers import BatchNorm
from kdjax.weights.names import Path


def pads_with_zeros(given: set[Path], wanted: dict[Path, tuple], heads: set[str]):
    """Whether a file is of such a network: CIFAR's, and no shortcut has an array.

    Args:
      given: paths that the file has arrays for.
      wanted: the shape of every path of the network.
      heads: what the file calls its classifier; those who publish such networks call it
        `linear`. A file with `fc` that lacks projections is a damaged one.
    """
    stages = {path[1] for path in wanted if path[1].startswith("stage4")}
    projected = any(is_shortcut(path) for path in given)
    return heads == {"linear"} and not projected and not stages


def is_shortcut(path: Path) -> bool:
    return path[-2] in ("conv_shortcut", "norm_shortcut")


def zero_padded(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The array at a shortcut's path.

    Args:
      path: of a kernel [1, 1, inputs, outputs], or of a norm's [outputs].
      shape: of that array.

    >>> path = ("params", "stage2_block1", "conv_shortcut", "kernel")
    >>> zero_padded(path, (1, 1, 2, 4))[0, 0]
    array([[0., 1., 0., 0.],
           [0., 0., 1., 0.]], dtype=float32)
    """
    leaf = path[-1]
    if leaf == "kernel":
        inputs, outputs = shape[2:]
        kernel = np.eye(inputs, outputs, (outputs - inputs) // 2, np.float32)
        return kernel.reshape(shape)
    # 1 / sqrt(var + epsilon) is 1.
    value = {"scale": 1.0, "bias": 0.0, "mean": 0.0, "var": 1.0 - BatchNorm.epsilon}
    return np.full(shape, value[leaf], np.float32)
