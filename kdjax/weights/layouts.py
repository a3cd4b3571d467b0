"""Families of networks, and what PyTorch's packages call the arrays of each.

torchvision   ResNets, CIFAR's too, as the benchmark on CIFAR-100 has them; MobileNetV2.
              Others, and the benchmark's ResNet50, call the classifier `linear` and
              projections `shortcut`; both are read
timm          ResNets, as torchvision, and those with the stem and shortcuts of
              resnet50d; mobilenetv1_100, which has ReLU6; mobilenetv2_100
mdistiller    MobileNetV1 with ReLU, the student of benchmarks on ImageNet
repdistiller  Wide ResNets, VGG, MobileNetV2 of half width and ShuffleNets of the
              benchmark on CIFAR-100; mdistiller's files have the same names
kdjax         any network: a path with dots between, in our layouts
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

Path = tuple[str, ...]  # the collection (params or batch_stats), modules, the leaf

OURS = "kdjax"
COUNTER = "num_batches_tracked"  # PyTorch counts steps in it; nothing here reads it
# Kind of a module -> our collection and leaf -> PyTorch's leaf.
_LEAVES = {
    "conv": {("params", "kernel"): "weight", ("params", "bias"): "bias"},
    "norm": {
        ("params", "scale"): "weight",
        ("params", "bias"): "bias",
        ("batch_stats", "mean"): "running_mean",
        ("batch_stats", "var"): "running_var",
    },
    "head": {("params", "kernel"): "weight", ("params", "bias"): "bias"},
}
_BLOCK = re.compile(r"(?:stage([1-9]\d*)|stem)_block([1-9]\d*)")


class Layout(NamedTuple):
    """Names of modules; {end} is one more than there are blocks.

    In a block's, {stage} is from 1, 0 for a stem of blocks; {row} and {number} from 0;
    {index}, of all blocks, from 1; {conv} and {norm} count convolution, norm and ReLU.
    """

    outer: Mapping[str, str]
    block: str
    inner: Mapping[str, str]
    first: Mapping[str, str] | None = None  # instead of `inner`, in stage 1


_RESNET = Layout(
    {"stem_conv": "conv1", "stem_norm": "bn1", "head": "fc"},
    "layer{stage}.{number}",
    {"conv_shortcut": "downsample.0", "norm_shortcut": "downsample.1"}
    | {f"conv{n}": f"conv{n}" for n in (1, 2, 3)}
    | {f"norm{n}": f"bn{n}" for n in (1, 2, 3)},
)
# The stem of three convolutions, and shortcuts that average first.
_RESNET_D = Layout(
    {"stem_conv1": "conv1.0", "stem_norm1": "conv1.1", "stem_conv2": "conv1.3"}
    | {
        "stem_norm2": "conv1.4",
        "stem_conv": "conv1.6",
        "stem_norm": "bn1",
        "head": "fc",
    },
    _RESNET.block,
    _RESNET.inner | {"conv_shortcut": "downsample.1", "norm_shortcut": "downsample.2"},
)
_SEPARABLE = {"conv1": "conv_dw", "norm1": "bn1", "conv2": "conv_pw", "norm2": "bn2"}
_INVERTED = {"conv1": "conv_pw", "norm1": "bn1", "conv2": "conv_dw", "norm2": "bn2"}
_TIMM = {"stem_conv": "conv_stem", "stem_norm": "bn1", "head": "classifier"}
_WIDE = {"norm1": "bn1", "conv1": "conv1", "norm2": "bn2", "conv2": "conv2"}
_SHUFFLE = {f"conv{n}": f"conv{n}" for n in range(1, 6)}
_SHUFFLE |= {f"norm{n}": f"bn{n}" for n in range(1, 6)}
_LINEAR = {"stem_conv": "conv1", "stem_norm": "bn1", "head": "linear"}
_PLAIN = {"conv1": "0.0", "norm1": "0.1", "conv2": "1", "norm2": "2"}

# Family -> layouts, the one that an export has by itself first.
LAYOUTS: dict[str, dict[str, Layout]] = {
    "resnet": {"torchvision": _RESNET, "timm": _RESNET},
    "resnet_d": {"timm": _RESNET_D},
    "wide_resnet": {
        "repdistiller": Layout(
            {"stem_conv": "conv1", "norm": "bn1", "head": "fc"},
            "block{stage}.layer.{number}",
            _WIDE | {"conv_shortcut": "convShortcut"},
        )
    },
    "mobilenet_v1": {
        "mdistiller": Layout(
            {"stem_conv": "model.0.0", "stem_norm": "model.0.1", "head": "fc"},
            "model.{index}",
            {"conv1": "0", "norm1": "1", "conv2": "3", "norm2": "4"},
        ),
        "timm": Layout(_TIMM, "blocks.{row}.{number}", _SEPARABLE),
    },
    "mobilenet_v2": {
        "torchvision": Layout(
            {
                **{"stem_conv": "features.0.0", "stem_norm": "features.0.1"},
                **{"last_conv": "features.{end}.0", "last_norm": "features.{end}.1"},
                "head": "classifier.1",
            },
            "features.{index}.conv",
            _PLAIN | {"conv2": "1.0", "norm2": "1.1", "conv3": "2", "norm3": "3"},
            first=_PLAIN,
        ),
        "timm": Layout(
            _TIMM | {"last_conv": "conv_head", "last_norm": "bn2"},
            "blocks.{row}.{number}",
            _INVERTED | {"conv3": "conv_pwl", "norm3": "bn3"},
            first=_SEPARABLE,
        ),
    },
    "mobilenet_v2_half": {
        "repdistiller": Layout(
            {
                **{"stem_conv": "conv1.0", "stem_norm": "conv1.1"},
                **{"last_conv": "conv2.0", "last_norm": "conv2.1"},
                "head": "classifier.0",
            },
            "blocks.{row}.{number}.conv",
            {"conv1": "0", "norm1": "1", "conv2": "3", "norm2": "4"}
            | {"conv3": "6", "norm3": "7"},
        ),
    },
    "shufflenet_v1": {
        "repdistiller": Layout(_LINEAR, "layer{stage}.{number}", _SHUFFLE)
    },
    "shufflenet_v2": {
        "repdistiller": Layout(
            _LINEAR | {"last_conv": "conv2", "last_norm": "bn2"},
            "layer{stage}.{number}",
            _SHUFFLE,
        )
    },
    "vgg": {
        "repdistiller": Layout(
            {"head": "classifier"}, "block{stage}", {"conv": "{conv}", "norm": "{norm}"}
        )
    },
}
# What classifiers are called.
HEADS = ("fc", "linear", "classifier", "classifier.0", "classifier.1")

# MobileNetV1 has two activations; its arrays do not show which.
ACTIVATIONS = {"mdistiller": "mobilenet_v1", "timm": "mobilenet_v1_relu6"}
OTHERS = ("mobilenet_v1_relu6",)  # have the arrays of another network here


def activated(layout: str, model: str) -> str | None:
    """The model that a layout's package has instead of `model`, None for the same.

    >>> activated("timm", "mobilenet_v1"), activated("timm", "mobilenet_v2")
    ('mobilenet_v1_relu6', None)
    """
    if model not in ACTIVATIONS.values() or layout not in ACTIVATIONS:
        return None
    return ACTIVATIONS[layout] if ACTIVATIONS[layout] != model else None


def family(shapes: Mapping[Path, tuple[int, ...]]) -> str | None:
    """Which of `LAYOUTS` has arrays at such paths, of such shapes; None for another.

    >>> family({("params", "last_conv", "kernel"): (1, 1, 320, 1280)})
    'mobilenet_v2'
    """
    modules = {path[1] for path in shapes}
    if "stem_block1" in modules:
        return "vgg"
    first = {path[2]: shape for path, shape in shapes.items() if _is_first(path)}
    if "last_conv" in modules:
        if "conv5" in first:
            return "shufflenet_v2"
        return "mobilenet_v2_half" if "conv3" in first else "mobilenet_v2"
    if "stem_conv1" in modules:
        return "resnet_d"
    stem = shapes.get(("params", "stem_conv", "kernel"))
    if stem is None or "conv1" not in first:
        return None
    if "norm" in modules:
        return "wide_resnet"
    if stem[0] == 1:
        return "shufflenet_v1"
    return "mobilenet_v1" if first["conv1"][2] == 1 else "resnet"  # depthwise, of one


def _is_first(path: Path) -> bool:
    """Whether it is of a kernel in the first block of the first stage."""
    return path[:2] == ("params", "stage1_block1") and path[-1] == "kernel"


def blocks(paths: Iterable[Path]) -> list[tuple[int, int]]:
    """(stage, block) of a network in the order that they are called, from 1.

    A stem of blocks is stage 0.
    """
    matches = filter(None, (_BLOCK.fullmatch(path[1]) for path in paths))
    return sorted({(int(match[1] or 0), int(match[2])) for match in matches})


def names_of(kind: str, layout: str, paths: Iterable[Path]) -> dict[Path, str | None]:
    """What LAYOUTS[kind][layout] calls the array at each path of a network, or None."""
    paths = list(paths)
    order = blocks(paths)
    return {path: _name(LAYOUTS[kind][layout], order, path) for path in paths}


def torchvision_name(name: str) -> str:
    """A name of a published CIFAR ResNet as torchvision has it; others as they are.

    >>> torchvision_name("layer2.0.shortcut.1.weight"), torchvision_name("linear.bias")
    ('layer2.0.downsample.1.weight', 'fc.bias')
    """
    name = re.sub(r"^linear(?=\.\w+$)", "fc", name)
    return re.sub(r"^(layer\d+\.\d+\.)shortcut(?=\.[01]\.)", r"\1downsample", name)


def _name(table: Layout, order: list[tuple[int, int]], path: Path) -> str | None:
    _, *modules, _ = path
    match = _BLOCK.fullmatch(modules[0])
    if match is None:
        module = table.outer.get(modules[0]) if len(modules) == 1 else None
        return _joined(module and module.format(end=len(order) + 1), path)
    stage, block = int(match[1] or 0), int(match[2])
    inner = table.first if table.first and stage == 1 else table.inner
    if len(modules) != 2 or modules[1] not in inner:
        return None
    where = {"stage": stage, "row": stage - 1, "number": block - 1}
    where |= {"conv": 3 * (block - 1), "norm": 3 * (block - 1) + 1}
    name = f"{table.block}.{inner[modules[1]]}"
    return _joined(name.format(index=order.index((stage, block)) + 1, **where), path)


def _joined(module: str | None, path: Path) -> str | None:
    collection, *_, own, leaf = path
    kind = next((kind for kind in _LEAVES if kind in own), None)
    theirs = _LEAVES.get(kind, {}).get((collection, leaf))
    return f"{module}.{theirs}" if module and theirs else None


def to_ours(tensor: np.ndarray) -> np.ndarray:
    """OIHW -> HWIO and OI -> IO; vectors stay.

    >>> to_ours(np.zeros((64, 3, 7, 7))).shape
    (7, 7, 3, 64)
    """
    return tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T


def to_torch(array: np.ndarray) -> np.ndarray:
    """HWIO -> OIHW and IO -> OI; vectors stay."""
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
