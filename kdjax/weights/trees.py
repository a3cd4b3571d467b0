"""A file's tensors as (params, batch_stats), and back; each is used once.

Files have either PyTorch's names (`names`), or ours: a path with dots between, such as
params.stage1_block1.conv1.kernel, with our layouts, for networks that PyTorch's
packages do not have.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from kdjax.contracts import InputError
from kdjax.types import PyTree
from kdjax.weights import names, shortcuts
from kdjax.weights.names import Path

COLLECTIONS = ("params", "batch_stats")
HEAD = (("params", "head", "kernel"), ("params", "head", "bias"))
LISTED = 6  # names in an error


class Read(NamedTuple):
    """What a file holds."""

    variables: tuple[PyTree, PyTree]
    layout: str  # torchvision, torchvision without projections, or kdjax


def flatten(variables: tuple[PyTree, PyTree]) -> dict[Path, object]:
    """(params, batch_stats), nested dicts, as path -> leaf.

    >>> flatten(({"head": {"bias": 0}}, {}))
    {('params', 'head', 'bias'): 0}
    """
    found = {}

    def walk(path, tree):
        if isinstance(tree, Mapping):
            for name, inner in tree.items():
                walk((*path, name), inner)
        else:
            found[path] = tree

    for collection, tree in zip(COLLECTIONS, variables, strict=True):
        walk((collection,), tree)
    return found


def unflatten(arrays: Mapping[Path, object]) -> tuple[PyTree, PyTree]:
    roots: dict = {collection: {} for collection in COLLECTIONS}
    for path, array in arrays.items():
        place = roots
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = array
    return roots["params"], roots["batch_stats"]


def to_tensors(variables: tuple[PyTree, PyTree]) -> tuple[dict[str, np.ndarray], str]:
    """Names and layouts of torchvision where all arrays have them, else ours.

    Returns:
      (name -> array, "torchvision" or "kdjax"). PyTorch's counters of steps are left
      out; `load_state_dict` fills them in.
    """
    arrays = {path: np.asarray(leaf) for path, leaf in flatten(variables).items()}
    theirs = {path: names.torch_name(path) for path in arrays}
    if None in theirs.values():
        return {".".join(path): array for path, array in arrays.items()}, "kdjax"
    return {theirs[p]: names.to_torch(a) for p, a in arrays.items()}, "torchvision"


def to_variables(
    where: str, tensors: Mapping[str, np.ndarray], wanted: tuple[PyTree, PyTree]
) -> Read:
    """The variables of a network from a file's tensors.

    Args:
      where: the file, for errors.
      tensors: name -> array.
      wanted: (params, batch_stats) of anything with a shape.

    Raises:
      InputError: tensors are missing, unknown, twice there, of another shape, not
        floating point or not finite; it names them.
    """
    shapes = {path: tuple(leaf.shape) for path, leaf in flatten(wanted).items()}
    named = _paths(where, tensors)
    ours = is_ours(named)
    arrays, problems = {}, {"of no array of the network": [], "of another shape": []}
    for name, path in named.items():
        array = tensors[name] if ours else names.to_ours(tensors[name])
        if path not in shapes:
            problems["of no array of the network"].append(name)
        elif array.shape != shapes[path]:
            shape = _shape(shapes[path], ours)
            told = f"{name} {tensors[name].shape}, expected {shape}"
            problems["of another shape"].append(told)
            arrays[path] = None  # it is there
        else:
            arrays[path] = _float32(where, name, array)
    layout = "kdjax" if ours else "torchvision"
    heads = {name.split(".")[-2] for name, path in named.items() if path in HEAD}
    if not ours and shortcuts.pads_with_zeros(set(arrays), shapes, heads):
        layout = "torchvision without projections"
        arrays |= {
            path: shortcuts.zero_padded(path, shape)
            for path, shape in shapes.items()
            if shortcuts.is_shortcut(path)
        }
    problems["missing"] = [_name(p, ours) for p in shapes if p not in arrays]
    _refuse(where, problems)
    return Read(unflatten(arrays), layout)


def _refuse(where: str, problems: dict[str, list[str]]) -> None:
    told = [f"{what}: {_listed(found)}" for what, found in problems.items() if found]
    if told:
        raise InputError(
            f"{where}: the tensors are not those of the network; {'; '.join(told)}. "
            "Is --model the network of this file?"
        )


def is_ours(named: Mapping[str, Path | None]) -> bool:
    return all(name.split(".")[0] in COLLECTIONS for name in named)


def counted_classes(where: str, tensors: Mapping[str, np.ndarray]) -> int:
    """How many classes the file's classifier tells apart."""
    for name, path in _paths(where, tensors).items():
        if path == HEAD[0] and np.ndim(tensors[name]) == 2:
            ours = name.startswith("params.")
            return tensors[name].shape[1 if ours else 0]
    raise InputError(
        f"{where}: there is no classifier; expected a matrix called fc.weight, "
        f"linear.weight or params.head.kernel among {_listed(list(tensors))}."
    )


def _paths(where: str, tensors: Mapping[str, np.ndarray]) -> dict[str, Path | None]:
    """Where each tensor belongs; None for those that belong nowhere."""
    if not tensors:
        raise InputError(
            f"{where}: there are no tensors; expected a network's weights."
        )
    plain = [name for name in tensors if name.split(".")[-1] != names.COUNTER]
    if all(name.split(".")[0] in COLLECTIONS for name in plain):
        return {name: tuple(name.split(".")) for name in plain}
    # What DataParallel saved has one module more around it.
    wrapped = all(name.startswith("module.") for name in plain)
    named, owners = {}, {}
    for name in plain:
        path = names.our_path(name.removeprefix("module.") if wrapped else name)
        if path is not None and path in owners:
            raise InputError(
                f"{where}: {owners[path]} and {name} are the same array of the "
                "network; expected one of them."
            )
        named[name] = path
        owners[path] = name
    return named


def _float32(where: str, name: str, array: np.ndarray) -> np.ndarray:
    # bfloat16, of another package, is of kind V.
    if array.dtype.kind not in "fV":
        raise InputError(
            f"{where}: {name} is {array.dtype}; expected floating point weights."
        )
    array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"{where}: {name} holds NaN or infinity.")
    return array


def _shape(shape: tuple[int, ...], ours: bool) -> tuple[int, ...]:
    """A shape as the file would have it."""
    return shape if ours else names.to_torch(np.broadcast_to(0.0, shape)).shape


def _name(path: Path, ours: bool) -> str:
    return ".".join(path) if ours else names.torch_name(path) or ".".join(path)


def _listed(items: list[str]) -> str:
    more = len(items) - LISTED
    return ", ".join(items[:LISTED]) + (f" and {more} more" if more > 0 else "")
