"""Networks that have the names of ours and are others: what differs, in words.

timm's resnetaa50, resnetblur18 and resnetblur50 have the names and shapes of resnet50
and resnet18: their pools have no weights. Only a file's name and metadata show it.
"""

import re
from collections.abc import Iterable, Mapping

# A tensor's name -> what it says; the first that fits.
_DIFFERENCES = {
    r"^conv1\.\d\.weight$": "conv1.0 is of a stem of three convolutions (timm's "
    "resnet..d and ..t)",
    r"\.downsample\.1\.weight$": "downsample.1 is a convolution: shortcuts that "
    "average before they project (timm's resnet..d)",
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
    for name, shape in tensors.items():
        if "downsample.1." in name and len(shape) != 4:
            continue  # the batch norm that ours has there
        for pattern, text in _DIFFERENCES.items():
            if re.search(pattern, name):
                texts.append(text)
                break
    return list(dict.fromkeys(texts))
