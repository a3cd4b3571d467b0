"""A file's tensors as (params, batch_stats), and back; each is used once.

Files have the names of one of PyTorch's packages (`layouts`), or ours, such as
params.stage1_block1.conv1.kernel, with arrays as they are here.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from kdjax.contracts import InputError
from kdjax.types import PyTree
from kdjax.weights import layouts, variants
from kdjax.weights.layouts import Path

COLLECTIONS = ("params", "batch_stats")
HEAD = (("params", "head", "kernel"), ("params", "head", "bias"))
LISTED = 6  # names in an error


class Unusable(NamedTuple):
    """A tensor that has no values an array could hold."""

    shape: tuple[int, ...]
    reason: str  # "is sparse; ..."


class Read(NamedTuple):
    """What a file holds."""

    variables: tuple[PyTree, PyTree]
    layout: str  # one of `layouts`, or torchvision without projections


def flatten(variables: tuple[PyTree, PyTree]) -> dict[Path, object]:
    """(params, batch_stats), nested dicts, as path -> leaf.

    >>> flatten(({"head": {"bias": 0}}, {}))
    {('params', 'head', 'bias'): 0}
    """
    return {
        (collection, *(key.key for key in path)): leaf
        for collection, tree in zip(COLLECTIONS, variables, strict=True)
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def unflatten(arrays: Mapping[Path, object]) -> tuple[PyTree, PyTree]:
    roots: dict = {collection: {} for collection in COLLECTIONS}
    for path, array in arrays.items():
        tree = roots
        for name in path[:-1]:
            tree = tree.setdefault(name, {})
        tree[path[-1]] = array
    return roots["params"], roots["batch_stats"]


def to_tensors(
    variables: tuple[PyTree, PyTree], layout: str = ""
) -> tuple[dict[str, np.ndarray], str]:
    """(name -> array, layout): the names of a package that has all, else ours.

    `layout` is of `layouts.LAYOUTS`, or "kdjax"; "": the first that has all names.
    PyTorch's counters of steps are left out; `load_state_dict` fills them in.
    """
    arrays = {path: np.asarray(leaf) for path, leaf in flatten(variables).items()}
    by_layout = _layouts({path: array.shape for path, array in arrays.items()})
    layout = layout or next(iter(by_layout), layouts.OURS)
    if layout == layouts.OURS:
        return {".".join(path): array for path, array in arrays.items()}, layout
    if layout not in by_layout:
        raise InputError(
            f"there are no names of {layout} for this network; expected one of "
            f"{', '.join((*by_layout, layouts.OURS))}."
        )
    theirs = by_layout[layout]
    return {theirs[path]: layouts.to_torch(a) for path, a in arrays.items()}, layout


def _layouts(shapes: Mapping[Path, tuple]) -> dict[str, dict[Path, str]]:
    """Layout -> path -> name, of the layouts that have a name for every path."""
    kind = layouts.family(shapes)
    names = layouts.LAYOUTS.get(kind, ())
    tables = {name: layouts.names_of(kind, name, shapes) for name in names}
    return {k: table for k, table in tables.items() if None not in table.values()}


def to_variables(
    where: str, tensors: Mapping[str, np.ndarray], wanted: tuple[PyTree, PyTree]
) -> Read:
    """The variables of a network from a file's tensors.

    `wanted` is (params, batch_stats) of anything with a shape and a type, as of
    counters; `where` names the file. InputError names the tensors that are missing,
    unknown, twice there, of another shape or type, not finite, or variances below 0.
    """
    leaves = flatten(wanted)
    shapes = {path: tuple(leaf.shape) for path, leaf in leaves.items()}
    layout, named = _named(where, tensors, shapes)
    ours = layout == layouts.OURS
    arrays, problems = {}, {"of no array of the network": [], "of another shape": []}
    for name, path in named.items():
        if path not in shapes:
            problems["of no array of the network"].append(name)
            continue
        if isinstance(tensors[name], Unusable):
            raise InputError(f"{where}: {name} {tensors[name].reason}.")
        array = tensors[name] if ours else layouts.to_ours(tensors[name])
        if array.shape != shapes[path]:
            empty = np.broadcast_to(0.0, shapes[path])
            shape = shapes[path] if ours else layouts.to_torch(empty).shape
            text = f"{name} {tensors[name].shape}, expected {shape}"
            problems["of another shape"].append(text)
            arrays[path] = None  # not missing
        else:
            arrays[path] = _typed(where, name, path, array, leaves[path])
    theirs = {} if ours else _layouts(shapes).get(layout, {})
    heads = {name.split(".")[-2] for name, path in named.items() if path in HEAD}
    padded = variants.pads_with_zeros(set(arrays), shapes, heads)
    if layout == "torchvision" and padded:
        layout = "torchvision without projections"
        for path in filter(variants.is_shortcut, shapes):
            arrays[path] = variants.zero_padded(path, shapes[path])
    problems["missing"] = [
        theirs.get(path, ".".join(path)) for path in shapes if path not in arrays
    ]
    odd = [name for name, path in named.items() if arrays.get(path) is None]
    _refuse(where, problems, {name: np.shape(tensors[name]) for name in odd})
    return Read(unflatten(arrays), layout)


def _refuse(where: str, problems: dict[str, list[str]], odd: dict) -> None:
    texts = [f"{what}: {listed(names)}" for what, names in problems.items() if names]
    if texts:
        different = [f"{what}." for what in variants.differences(odd)]
        raise InputError(
            f"{where}: the tensors are not those of the network; {'; '.join(texts)}. "
            + (" ".join(different) or "Is --model the network of this file?")
        )


def _named(
    where: str, tensors: Mapping[str, np.ndarray], shapes: Mapping[Path, tuple]
) -> tuple[str, dict[str, Path | None]]:
    """The layout with the most names in common, and each tensor's path or None."""
    if not tensors:
        text = f"{where}: there are no tensors; expected a network's weights."
        raise InputError(text)
    given = [name for name in tensors if name.split(".")[-1] != layouts.COUNTER]
    plain = dict(zip(given, given, strict=True))
    if all(name.split(".")[0] in COLLECTIONS for name in plain):
        return layouts.OURS, {name: tuple(name.split(".")) for name in plain}
    if layouts.family(shapes) == "resnet":
        plain = _as_torchvision(where, plain)
    tables = _layouts(shapes)
    shared = {k: len(plain.keys() & table.values()) for k, table in tables.items()}
    best = max(shared, key=shared.get, default="")
    paths = {name: path for path, name in tables.get(best, {}).items()}
    named = {original: paths.get(name) for name, original in plain.items()}
    return best or "torchvision", named


def _as_torchvision(where: str, plain: Mapping[str, str]) -> dict[str, str]:
    """torchvision's name -> the file's, of a ResNet by any of the names it may have."""
    renamed: dict[str, str] = {}
    for name, original in plain.items():
        name = layouts.torchvision_name(name)
        if name in renamed:
            raise InputError(
                f"{where}: {renamed[name]} and {original} are the same array of the "
                "network; expected one of them."
            )
        renamed[name] = original
    return renamed


def _typed(where: str, name: str, path: Path, array: np.ndarray, leaf) -> np.ndarray:
    """Weights as float32; counters and flags as the network has them."""
    dtype = getattr(leaf, "dtype", np.float32)
    if np.dtype(dtype).kind not in "iub":
        return _float32(where, name, path, array)
    # Some versions wrote all tensors in floating point.
    with np.errstate(invalid="ignore"):
        whole = array.astype(dtype) if array.dtype.kind in "iubf" else None
    if whole is None or not np.array_equal(whole, array):
        raise InputError(f"{where}: {name} is {array.dtype}; expected {dtype}.")
    return whole


def _float32(where: str, name: str, path: Path, array: np.ndarray) -> np.ndarray:
    # bfloat16, of another package, is of kind V.
    if array.dtype.kind not in "fV":
        text = f"{where}: {name} is {array.dtype}; expected floating point weights."
        raise InputError(text)
    with np.errstate(over="ignore"):  # infinity is refused below
        array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"{where}: {name} holds NaN or infinity.")
    if path[-1] == "var" and (array < 0).any():
        raise InputError(
            f"{where}: {name} holds {array.min():g}; expected variances of 0 or more."
        )
    return array


def listed(items: list[str]) -> str:
    """Names for an error: the first few, and how many more there are."""
    more = len(items) - LISTED
    return ", ".join(items[:LISTED]) + (f" and {more} more" if more > 0 else "")
