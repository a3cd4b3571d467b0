"""Finds the network among a file's tensors, below whatever prefix a trainer has left.

DataParallel leaves `module.`, torch.compile `_orig_mod.`, Lightning `model.`; several
may come one after another, and student and teacher may lie in one file.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from kdjax.contracts import InputError
from kdjax.weights import layouts, variants
from kdjax.weights.trees import HEAD, Read, listed


class Network(NamedTuple):
    """One network of a file."""

    prefix: str  # such as "module.student."
    classes: int
    read: Read
    others: int  # tensors of the file that are not its own


def find(
    where: str,
    tensors: Mapping[str, Any],
    prefix: str | None,
    read: Callable[[Mapping[str, Any], int], Read],
) -> Network:
    """The only network of a file that `read` takes, of its tensors and classes.

    `prefix` is what --prefix names; "": what has none; None: any. InputError where none
    is taken, or several are that differ.
    """
    if not tensors:
        raise InputError(
            f"{where}: there are no tensors; expected a network's weights."
        )
    classes = heads(where, tensors)
    wanted = None if prefix is None else _named(where, prefix, classes)
    fitting: dict[str, Network] = {}
    errors: dict[str, InputError] = {}
    for one in sorted(classes, key=len, reverse=True):
        own = _below(tensors, one, fitting)
        try:
            network = read(own, classes[one])
        except InputError as error:
            errors[one] = error
        else:
            others = len(tensors) - len(own)
            fitting[one] = Network(one, classes[one], network, others)
    if wanted is not None:
        errors = {wanted: errors[wanted]} if wanted in errors else {}
        fitting = {wanted: fitting[wanted]} if wanted in fitting else {}
    if not fitting:
        raise _none(where, errors)
    first = next(iter(fitting.values()))
    if not all(_are_same(first.read, other.read) for other in fitting.values()):
        raise InputError(
            f"{where}: several networks in it are what --model names; expected one of "
            f"{', '.join(f'--prefix={one[:-1]}' for one in sorted(fitting))}."
        )
    return first


def heads(where: str, tensors: Mapping[str, Any]) -> dict[str, int]:
    """Prefix -> number of classes, of every classifier among a file's tensors.

    >>> heads("f", {"net.fc.weight": np.zeros((10, 64)), "net.fc.bias": np.zeros(10)})
    {'net.': 10}
    """
    ours, classes = ".".join(HEAD[0]), {}
    names = {ours: 1} | {f"{head}.weight": 0 for head in layouts.HEADS}
    for original, tensor in tensors.items():
        for name, axis in names.items():
            is_name = original == name or original.endswith(f".{name}")
            if is_name and len(np.shape(tensor)) == 2:
                classes[original.removesuffix(name)] = int(np.shape(tensor)[axis])
    if classes:
        return classes
    shapes = {name: np.shape(tensor) for name, tensor in tensors.items()}
    different = "".join(f" {what}." for what in variants.differences(shapes))
    raise InputError(
        f"{where}: there is no classifier; expected a matrix called "
        f"{', '.join(names)} among {listed(list(tensors))}.{different}"
    )


def _named(where: str, prefix: str, classes: Mapping[str, int]) -> str:
    prefix = f"{prefix.rstrip('.')}." if prefix else ""
    if prefix not in classes:
        raise InputError(
            f"--prefix is {prefix!r}, and {where} has no classifier below it; expected "
            f"one of {listed([repr(one) for one in classes])}."
        )
    return prefix


def _below(
    tensors: Mapping[str, Any], prefix: str, others: Collection[str]
) -> dict[str, Any]:
    """The tensors below a prefix, without it, but for those of other networks there."""
    excluded = tuple(one for one in others if one != prefix)
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix) and not name.startswith(excluded)
    }


def _none(where: str, errors: Mapping[str, InputError]) -> InputError:
    """The error about the network with the shortest prefix, and where others are."""
    first, *rest = sorted(errors, key=len)
    text = str(errors[first])
    if first:
        text = text.replace(where, f"{where}, below {first!r}", 1)
    if rest:
        more = listed([repr(one) for one in rest])
        text += f" Nor is what lies below {more}, which have classifiers too."
    return InputError(text)


def _are_same(one: Read, other: Read) -> bool:
    """Whether two networks have the same arrays, bit for bit."""
    from kdjax import checkpoints

    first, second = (checkpoints.digest(each.variables) for each in (one, other))
    return first == second
