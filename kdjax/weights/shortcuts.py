"""The shortcut without parameters, written as the one that our CIFAR ResNets have.

He et al., arXiv 1512.03385, option A: every other pixel, and channels of zeros before
and behind. A 1x1 convolution of ones and zeros with a batch norm that changes nothing
is the same in evaluation; a network that is trained further is one with projections.
"""

import numpy as np

from kdjax.models.layers import BatchNorm
from kdjax.weights.layouts import Path


def pads_with_zeros(given: set[Path], wanted: dict[Path, tuple], heads: set[str]):
    """Whether a file is of such a network: CIFAR's, and no shortcut has an array.

    `heads` is what the file calls its classifier: such networks are published with
    `linear`; a file with `fc` that lacks projections is a damaged one.
    """
    stages = {path[1] for path in wanted if path[1].startswith("stage4")}
    projected = any(is_shortcut(path) for path in given)
    return heads == {"linear"} and not projected and not stages


def is_shortcut(path: Path) -> bool:
    return path[-2] in ("conv_shortcut", "norm_shortcut")


def zero_padded(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The array at a shortcut's path, a kernel's or a norm's, of that shape.

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
