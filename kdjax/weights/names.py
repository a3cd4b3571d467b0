"""PyTorch's name of an array, and the path of the same array here.

The names are those of torchvision's ResNets, which timm has too: conv1, bn1,
layer1.0.conv1, layer2.0.downsample.0, fc. CIFAR ResNets by others have the same modules
and call the classifier `linear` and the projection `shortcut`; both are read.
"""

import re

import numpy as np

Path = tuple[str, ...]  # the collection (params or batch_stats), modules, the leaf

_OUTER = {"conv1": "stem_conv", "bn1": "stem_norm", "fc": "head", "linear": "head"}
_PROJECTIONS = ("downsample", "shortcut")
_BLOCK = re.compile(r"layer([1-9]\d*)\.(0|[1-9]\d*)\.(.+)")
_OUR_BLOCK = re.compile(r"stage([1-9]\d*)_block([1-9]\d*)")
_INNER = re.compile(r"(conv|bn)([1-3])")
_OUR_INNER = re.compile(r"(conv|norm)([1-3]|_shortcut)")
_LEAVES = {
    "conv": {"weight": ("params", "kernel")},
    "norm": {
        "weight": ("params", "scale"),
        "bias": ("params", "bias"),
        "running_mean": ("batch_stats", "mean"),
        "running_var": ("batch_stats", "var"),
    },
    "head": {"weight": ("params", "kernel"), "bias": ("params", "bias")},
}
COUNTER = "num_batches_tracked"  # PyTorch counts steps in it; nothing here reads it


def our_path(name: str) -> Path | None:
    """Where the tensor of that name belongs, or None where it belongs nowhere.

    >>> our_path("layer2.0.downsample.1.running_var")
    ('batch_stats', 'stage2_block1', 'norm_shortcut', 'var')
    >>> our_path("layer1.0.se.fc1.weight") is None
    True
    """
    module, _, leaf = name.rpartition(".")
    modules = _our_modules(module)
    if modules is None:
        return None
    collection, ours = _LEAVES[_kind(modules[-1])].get(leaf, (None, None))
    return None if collection is None else (collection, *modules, ours)


def torch_name(path: Path) -> str | None:
    """torchvision's name for a path, or None where a ResNet has no such array.

    >>> torch_name(("params", "stage1_block2", "conv1", "kernel"))
    'layer1.1.conv1.weight'
    """
    module, leaf = _torch_module(list(path[1:-1])), torch_leaf(path)
    return f"{module}.{leaf}" if module and leaf else None


def torch_leaf(path: Path) -> str | None:
    """PyTorch's last word for a path, or None where its modules have no such array.

    >>> torch_leaf(("batch_stats", "norm", "var"))
    'running_var'
    """
    collection, *_, module, leaf = path
    kind = next((kind for kind in _LEAVES if kind in module), None)
    leaves = _LEAVES[kind] if kind else {}
    return next((n for n, ours in leaves.items() if ours == (collection, leaf)), None)


def to_ours(tensor: np.ndarray) -> np.ndarray:
    """OIHW -> HWIO and OI -> IO; vectors stay.

    >>> to_ours(np.zeros((64, 3, 7, 7))).shape
    (7, 7, 3, 64)
    """
    return tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T


def to_torch(array: np.ndarray) -> np.ndarray:
    """HWIO -> OIHW and IO -> OI; vectors stay."""
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def _kind(module: str) -> str:
    """conv, norm or head, of a module's name here."""
    return next(kind for kind in _LEAVES if kind in module)


def _our_modules(module: str) -> Path | None:
    if module in _OUTER:
        return (_OUTER[module],)
    match = _BLOCK.fullmatch(module)
    if match is None:
        return None
    stage, block, inner = match.groups()
    place = f"stage{stage}_block{int(block) + 1}"
    owner, _, number = inner.partition(".")
    if owner in _PROJECTIONS and number in ("0", "1"):
        return place, ("conv_shortcut", "norm_shortcut")[int(number)]
    match = _INNER.fullmatch(inner)
    if match is None:
        return None
    return place, inner.replace("bn", "norm")


def _torch_module(modules: list[str]) -> str | None:
    if len(modules) == 1:
        # Reversed: the head is fc, not linear.
        outer = {ours: name for name, ours in reversed(_OUTER.items())}
        return outer.get(modules[0])
    if len(modules) != 2:
        return None
    place, inner = map(re.fullmatch, (_OUR_BLOCK, _OUR_INNER), modules)
    if place is None or inner is None:
        return None
    where = f"layer{place[1]}.{int(place[2]) - 1}"
    kind, number = inner.groups()
    if number == "_shortcut":
        return f"{where}.downsample.{('conv', 'norm').index(kind)}"
    return f"{where}.{'bn' if kind == 'norm' else kind}{number}"
