"""PyTorch's word for an array of a module, and the order of its axes."""

import numpy as np

Path = tuple[str, ...]  # the collection (params or batch_stats), modules, the leaf

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
