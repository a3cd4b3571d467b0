"""What the name of a network that is not here says of its family."""

import difflib
import re
from collections.abc import Iterable

# The first that fits a name, as torchvision and timm write them.
_FAMILIES = {
    r"resnext": "a ResNeXt",
    r"(wide_resnet|wrn)": "a wide ResNet",
    r"(resnetv2|preact_?resnet)": "a ResNet with the activation first",
    r"(se_?resne|seresne|ecaresnet|skresne|resnest|res2ne)": "a ResNet with attention",
    r"resnet(rs|aa|blur)": "a ResNet of another kind",
    r"resnet": "a ResNet",
    r"mobilenet_?v?3": "a MobileNetV3",
    r"mobilenet": "a MobileNet",
    r"shufflenet": "a ShuffleNet",
    r"vgg": "a VGG",
    r"(tf_)?efficientnet": "an EfficientNet",
    r"(vit|deit|beit|eva|flexivit)": "a vision transformer",
    r"swin": "a Swin transformer",
    r"convnext": "a ConvNeXt",
    r"densenet": "a DenseNet",
    r"regnet": "a RegNet",
    r"(inception|googlenet|xception)": "an Inception network",
    r"(mnasnet|ghostnet|squeezenet|alexnet|dla|hrnet|mixer|dpn)": "of another family",
}


def suggestion(name: str, names: Iterable[str]) -> str:
    """The end of a sentence on a name that is none of `names`, by its family.

    >>> suggestion("resnext50_32x8d", ["resnet18", "resnext50_32x4d"])
    'near are resnext50_32x4d. It is a ResNeXt.'
    >>> suggestion("vit_small", ["resnet18"])
    'it is a vision transformer, and there is none; there are resnet18.'
    """
    names, family = sorted(names), _family(name)
    same = [one for one in names if _family(one) == family] if family else names
    if not same:
        return f"it is {family}, and there is none; there are {', '.join(names)}."
    near = difflib.get_close_matches(name, same, n=3) or same
    text = f"near are {', '.join(near)}."
    return f"{text} It is {family}." if family else text


def _family(name: str) -> str:
    matches = (v for k, v in _FAMILIES.items() if re.match(k, name, re.IGNORECASE))
    return next(matches, "")
