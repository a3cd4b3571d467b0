"""Networks that have the names of ours and are others: what differs, in words.

timm's resnetaa50, resnetblur18 and resnetblur50 have the very names and shapes of
resnet50 and resnet18: their pools before strides have no weights. Only what a file is
called, its metadata or its accuracy show the difference.
"""

import re
from collections.abc import Iterable, Mapping

_STEM = "conv1.0 is of a stem of three convolutions (timm's resnet..d and ..t)"
_POOLED = (
    "downsample.1 is a convolution: shortcuts that average before they project (timm's "
    "resnet..d)"
)
_ATTENDED = "se and attn are of squeeze-and-excitation or attention"
_BIASED = "its convolutions have biases: were batch norms folded into them?"
_HEADED = "conv_head comes before the classifier (timm's mobilenetv1_100h)"


_UNSEEN = re.compile(r"\w*resnet(?:aa|blur)\w*", re.IGNORECASE)


def unseen(texts: Iterable[str]) -> str | None:
    """A network with the names and shapes of ours that one of the texts names.

    Args:
      texts: the name of a file, and its metadata.

    >>> unseen(["resnet50_a1.pth"]), unseen(["timm/resnetaa50.a1h_in1k"])
    (None, 'resnetaa50')
    """
    matches = filter(None, map(_UNSEEN.search, texts))
    return next((match.group() for match in matches), None)


def differences(tensors: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The differences, by a file's names and shapes, from the networks here.

    Args:
      tensors: name -> shape, of those that have no place in the network.

    >>> differences({"layer1.0.se.fc1.weight": (8, 64, 1, 1)})
    ['se and attn are of squeeze-and-excitation or attention']
    """
    texts = []
    for name, shape in tensors.items():
        if re.fullmatch(r"conv1\.\d\.weight", name):
            texts.append(_STEM)
        elif re.search(r"\.downsample\.1\.weight$", name) and len(shape) == 4:
            texts.append(_POOLED)
        elif re.search(r"\.(se|attn)\.", name):
            texts.append(_ATTENDED)
        elif re.search(r"(^|\.)conv\w*\.bias$", name):
            texts.append(_BIASED)
        elif name == "conv_head.weight":
            texts.append(_HEADED)
    return list(dict.fromkeys(texts))
