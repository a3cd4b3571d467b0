"""Networks that have the names of ours and are others: what differs, in words.

timm's resnetaa50, resnetblur18 and resnetblur50 have the names and shapes of resnet50
and resnet18: their pools have no weights. Only a file's name and metadata show it.
CIFAR's ResNets with shortcuts without parameters can be written as ours.
"""

import re
from collections.abc import Iterable, Mapping

import numpy as np

from kdjax.models.layers import BatchNorm
from kdjax.weights.layouts import Path

# A tensor's name -> what it says; the first that fits.
_DIFFERENCES = {
    r"^conv1\.\d\.weight$": "conv1.0 is of a stem of three convolutions (timm's "
    "resnet..d, which --model=resnet50d and so on read, and ..t)",
    r"\.downsample\.1\.weight$": "downsample.1 is a convolution: shortcuts that "
    "average before they project (timm's resnet..d, which --model=resnet50d and so on "
    "read)",
    r"^(cls_token|pos_embed)$": "cls_token and pos_embed are of a vision transformer",
    r"relative_position_bias_table$": "relative_position_bias_table is of a Swin "
    "transformer",
    r"\.denseblock\d": "denseblock is of a DenseNet",
    r"\.(se|attn)\.": "se and attn are of squeeze-and-excitation or attention",
    r"(^|\.)conv\w*\.bias$": "its convolutions have biases: were batch norms folded "
    "into them?",
    r"^conv_head\.weight$": "conv_head comes before the classifier (timm's "
    "mobilenetv1_100h)",
}
_UNSEEN = re.compile(r"\w*resnet(?:aa|blur)\w*", re.IGNORECASE)


def unseen(texts: Iterable[str]) -> str | None:
    """A network with the names and shapes of ours that a file's name or metadata names.

    >>> unseen(["resnet50_a1.pth"]), unseen(["timm/resnetaa50.a1h_in1k"])
    (None, 'resnetaa50')
    """
    matches = filter(None, map(_UNSEEN.search, texts))
    return next((match.group() for match in matches), None)


def differences(tensors: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What differs from the networks here, by {name: shape} of unexpected tensors.

    >>> differences({"layer1.0.se.fc1.weight": (8, 64, 1, 1)})
    ['se and attn are of squeeze-and-excitation or attention']
    """
    texts = []
    half = "conv2.0.weight" in tensors  # of mobilenet_v2_half, whose stem is conv1.0
    for name, shape in tensors.items():
        if half and name.startswith("conv1."):
            continue
        if "downsample.1." in name and len(shape) != 4:
            continue  # the batch norm that ours has there
        for pattern, text in _DIFFERENCES.items():
            if re.search(pattern, name):
                texts.append(text)
                break
    return list(dict.fromkeys(texts))


def pads_with_zeros(given: set[Path], wanted: dict[Path, tuple], heads: set[str]):
    """Whether a file is of a CIFAR ResNet whose shortcuts have no parameters.

    `heads` is what the file calls its classifier: such networks are published with
    `linear`; a file with `fc` that lacks projections is a damaged one.
    """
    stages = {path[1] for path in wanted if path[1].startswith("stage4")}
    projected = any(is_shortcut(path) for path in given)
    return heads == {"linear"} and not projected and not stages


def is_shortcut(path: Path) -> bool:
    return path[-2] in ("conv_shortcut", "norm_shortcut")


def zero_padded(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The array at the path of a shortcut without parameters, of that shape.

    He et al., arXiv 1512.03385, option A: every other pixel, and channels of zeros
    before and behind. A 1x1 convolution of ones and zeros with a batch norm that
    changes nothing is the same in evaluation; trained further, it is a projection.

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
