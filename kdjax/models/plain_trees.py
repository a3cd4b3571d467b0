"""Trees of other libraries' nodes as nested dicts of arrays, and back."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import jax

from kdjax.contracts import InputError
from kdjax.types import PyTree


@dataclasses.dataclass(frozen=True)
class PlainTree:
    """The layout of a tree: checkpoints and optimizers see dicts of names alone.

    >>> layout = PlainTree.of({"layers": [1.0, 2.0]})
    >>> layout.plain({"layers": [3.0, 4.0]})
    {'layers': {'0': 3.0, '1': 4.0}}
    >>> layout.tree({"layers": {"0": 3.0, "1": 4.0}})
    {'layers': [3.0, 4.0]}
    """

    paths: tuple[tuple[str, ...], ...]  # of the leaves, in their order
    structure: Any

    @classmethod
    def of(cls, tree: PyTree) -> "PlainTree":
        leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
        return cls(tuple(names(path) for path, _ in leaves), structure)

    def plain(self, tree: PyTree) -> dict:
        """The leaves of a tree of this layout, as nested dicts."""
        result: dict = {}
        for path, leaf in zip(self.paths, jax.tree.leaves(tree), strict=True):
            parent(result, path)[path[-1]] = leaf
        return result

    def tree(self, plain: dict) -> PyTree:
        """The tree whose leaves those nested dicts hold; KeyError where one lacks."""
        leaves = [parent(plain, path)[path[-1]] for path in self.paths]
        return jax.tree.unflatten(self.structure, leaves)


def parent(plain: dict, path: tuple[str, ...]) -> dict:
    """The dict that holds the leaf of a path; a new one where there is none."""
    for name in path[:-1]:
        plain = plain.setdefault(name, {})
    return plain


def names(path: tuple) -> tuple[str, ...]:
    """What the keys of a path are called: attributes, keys and positions."""
    fields = ("name", "key", "idx")
    texts = [next(getattr(k, f) for f in fields if hasattr(k, f)) for k in path]
    if len(texts) > 1 and texts[-1] == "value":  # of a Variable of NNX
        texts.pop()
    return tuple(map(str, texts))


def call_with(function: Callable, name: str, value: Any) -> Any:
    """Calls what makes a module: by keyword, where it may take that one."""
    _check_call(function, name, value)
    parameters = inspect.signature(function).parameters.values()
    if any(p.name == name or p.kind is p.VAR_KEYWORD for p in parameters):
        return function(**{name: value})
    return function(value)


def _check_call(function: Callable, name: str, value: Any) -> None:
    """Refuses a class that needs more arguments than that one."""
    if not isinstance(function, type):
        return
    signature = inspect.signature(function.__init__)
    if name not in signature.parameters:
        return
    try:
        signature.bind(None, **{name: value})
    except TypeError as error:
        own = function.__name__
        raise InputError(
            f"{own}(..., {name}={name}): {error}; expected a function of {name} alone: "
            f"lambda {name}: {own}(..., {name}={name})."
        ) from error
