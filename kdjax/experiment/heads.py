"""Which arrays of a network are its head: those whose shape follows the classes."""

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.contracts import InputError
from kdjax.experiment.builders import guarded
from kdjax.experiment.pretrained import student_network
from kdjax.models.network import Network
from kdjax.training.optimizers import with_rate
from kdjax.types import PyTree

Shapes = dict[str, tuple[int, ...]]


def named(variables: tuple[PyTree, PyTree]) -> dict[str, PyTree]:
    """(params, batch_stats) as a tree whose paths `name_of` reads."""
    return dict(zip(("params", "batch_stats"), variables, strict=True))


def name_of(path) -> str:
    """Of an array in such a tree: "params/head/kernel"."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def shapes_of(variables: tuple[PyTree, PyTree]) -> Shapes:
    """Name of each array -> its shape."""
    leaves = jax.tree_util.tree_leaves_with_path(named(variables))
    return {name_of(path): tuple(np.shape(leaf)) for path, leaf in leaves}


def drawn_shapes(path: str, network: Network, image_shape) -> Shapes:
    """Of what a network draws for such images; computes nothing."""
    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
    return shapes_of(
        guarded(path, jax.eval_shape, network.init, jax.random.key(0), images)
    )


def class_axes(first: Shapes, second: Shapes, sizes: tuple[int, int]) -> dict[str, int]:
    """Name -> axis of the arrays that differ in that axis alone, as `sizes` do.

    >>> first = {"conv": (3, 3, 1, 8), "head/kernel": (8, 10), "head/bias": (10,)}
    >>> second = {"conv": (3, 3, 3, 8), "head/kernel": (8, 4), "head/bias": (4,)}
    >>> class_axes(first, second, (10, 4))
    {'head/kernel': 1, 'head/bias': 0}
    """
    axes = {}
    for name, shape in first.items():
        other = second.get(name, ())
        if len(shape) == len(other):
            pairs = enumerate(zip(shape, other, strict=True))
            different = [(axis, pair) for axis, pair in pairs if pair[0] != pair[1]]
            if [pair for _, pair in different] == [sizes]:
                axes[name] = different[0][0]
    return axes


def head_axes(
    path: str, section: dict, network: Network, image_shape, classes: int
) -> dict[str, int]:
    """Name of each array of a student's head -> its axis of the classes.

    `section` names the network, which is built once more for another number of classes.
    Of one that has the same arrays then, such as an object of the caller's, the head is
    the layer that is called so.

    Raises:
      InputError: it has no such layer.
    """
    own = drawn_shapes(path, network, image_shape)
    wider = student_network(path, section, classes + 1)
    other = drawn_shapes(path, wider, image_shape)
    axes = class_axes(own, other, (classes, classes + 1))
    if not axes:
        called = {n: shape for n, shape in own.items() if "head" in n.split("/")}
        axes = {n: len(s) - 1 for n, s in called.items() if s and s[-1] == classes}
    if not axes:
        raise InputError(
            f"{path}: which arrays of the network are its head is unknown: none "
            "follows the number of classes, and no layer is called head. Expected a "
            "function that takes num_classes, or a last layer such as "
            'nn.Dense(classes, name="head").'
        )
    return axes


def with_head_rate(
    optimizer,
    rate: float,
    path: str,
    section: dict,
    network: Network,
    image_shape,
    classes: int,
    has_connectors: bool,
):
    """The optimizer of a student, `rate` times its learning rate for the head.

    The rest is as in `head_axes`. With connectors the tree that is trained is
    {"network", "connectors"}.
    """
    axes = head_axes(path, section, network, image_shape, classes)
    start = "network/" if has_connectors else ""
    names = [name for name in axes if name.startswith("params/")]
    own = frozenset(start + name.removeprefix("params/") for name in names)
    return with_rate(optimizer, rate, own)
