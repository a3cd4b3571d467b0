"""Networks that have the names of ours and are others: what differs, in words."""

import re
from collections.abc import Mapping

_STEM = "conv1.0 is of a stem of three convolutions (timm's resnet..d and ..t)"
_POOLED = (
    "downsample.1 is a convolution: shortcuts that average before they project (timm's "
    "resnet..d)"
)
_ATTENDED = "se and attn are of squeeze-and-excitation or attention"
_BIASED = "its convolutions have biases: were batch norms folded into them?"
_HEADED = "conv_head comes before the classifier (timm's mobilenetv1_100h)"


def differences(tensors: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What a file's names and shapes tell of a network that is none of ours.

    Args:
      tensors: name -> shape, of those that have no place in the network.

    >>> differences({"layer1.0.se.fc1.weight": (8, 64, 1, 1)})
    ['se and attn are of squeeze-and-excitation or attention']
    """
    found = []
    for name, shape in tensors.items():
        if re.fullmatch(r"conv1\.\d\.weight", name):
            found.append(_STEM)
        elif re.search(r"\.downsample\.1\.weight$", name) and len(shape) == 4:
            found.append(_POOLED)
        elif re.search(r"\.(se|attn)\.", name):
            found.append(_ATTENDED)
        elif re.search(r"(^|\.)conv\w*\.bias$", name):
            found.append(_BIASED)
        elif name == "conv_head.weight":
            found.append(_HEADED)
    return list(dict.fromkeys(found))
