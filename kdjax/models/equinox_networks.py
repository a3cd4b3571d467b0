"""Equinox modules as networks. Equinox is imported when one is made."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from kdjax.contracts import InputError
from kdjax.models.network import Network, read_result
from kdjax.models.plain_trees import PlainTree, call_with, names, parent
from kdjax.types import Outputs, PyTree

BATCH = "batch"  # the name of the vmapped axis where no layer has one


def from_equinox(
    module: Any, state: Any = None, *, channels_first: bool = True
) -> Network:
    """Makes a `Network` of an Equinox classifier, or of a function that makes one.

        from_equinox(lambda key: Net(64, key=key))   # or Net itself, if it takes key

    A function draws its weights from the key of `init`, so that seeds differ. Of a
    module, with its `state` where `eqx.nn.make_with_state` made it, `init` gives the
    weights that it has whatever the key: a teacher, or a student that goes on.

    The module is called as Equinox calls it, with one image and inside a `jax.vmap`
    over the whole batch, whose axis has the name that its batch norms have. It is
    `module(image)`, with `key=` where it takes one, and with `state=` where it has
    state, which it then returns too. The result is logits [classes] or `(logits,
    {name: array})`; logits come out in float32.

    Layers train and evaluate as `eqx.nn.inference_mode` has them. Each image's key is
    drawn from that of `train`. In evaluation the key is None where that is its default,
    and else the same for all. Floating-point arrays are trained; the state and other
    arrays are `batch_stats`. Biases of convolutions, [channels, 1, 1] there, are
    [channels] in `params`, so that optimizers know them for biases.

    Args:
      channels_first: gives images as [channels, height, width], as Equinox's
        convolutions take them, and turns features of that rank back.

    Raises:
      InputError: Equinox is not installed, or the module lacks its state.
      TypeError: no module, and no function that returns one; or, while tracing, the
        module returns something else.
      ValueError: while tracing, if the module has state and takes none, or if its batch
        norms have several axis names.

    >>> import equinox as eqx
    >>> mlp = functools.partial(eqx.nn.MLP, 16, 10, width_size=8, depth=1)
    >>> flat = eqx.nn.Lambda(jnp.ravel)
    >>> network = from_equinox(lambda key: eqx.nn.Sequential([flat, mlp(key=key)]))
    >>> images = jnp.ones((2, 4, 4, 1))
    >>> params, batch_stats = network.init(jax.random.key(0), images)
    >>> params["layers"]["1"]["layers"]["0"]["weight"].shape
    (8, 16)
    >>> network.evaluate(params, batch_stats, images).logits.shape
    (2, 10)
    """
    try:
        import equinox as eqx
    except ModuleNotFoundError as error:
        raise InputError(
            "from_equinox: the package equinox is not installed: pip install equinox"
        ) from error
    if isinstance(module, eqx.Module):
        if _lacks_state(eqx, module) and state is None:
            raise InputError(
                f"from_equinox({type(module).__name__}): the module has no state of "
                "its own; expected that of eqx.nn.make_with_state as well: "
                "from_equinox(module, state)."
            )
    elif not callable(module):
        raise TypeError(
            f"from_equinox: module is {type(module).__name__}; expected an "
            "equinox.Module, or a function of a key that returns one."
        )
    own = _Equinox(eqx, module, state, channels_first)
    return Network(own.init, own.train, own.evaluate)


class _Parts(NamedTuple):
    """A module without its arrays."""

    where: str  # opens messages
    static: PyTree  # what is no array
    params: PlainTree  # of the module's floating-point arrays
    rest: PlainTree  # of (its other arrays, its state)
    biases: dict  # path -> shape, of those that are stored flat
    has_state: bool
    axis_name: str | None  # that its layers use
    key: inspect.Parameter | None  # of the module's __call__


@dataclasses.dataclass(frozen=True)
class _Equinox:
    """What the three functions of an Equinox network have in common."""

    eqx: Any
    source: Any
    given_state: Any
    channels_first: bool

    @functools.cached_property
    def parts(self) -> _Parts:
        model, state = self.eqx.filter_eval_shape(self._make, jax.random.key(0))
        where = f"from_equinox({type(model).__name__})"
        params, others, static = _partition(self.eqx, model)
        layout, indices = PlainTree.of(params), _indices(self.eqx, model)
        parameters = inspect.signature(type(model).__call__).parameters
        if indices and "state" not in parameters:
            raise ValueError(
                f"{where}: the module has state ({'/'.join(next(iter(indices)))}), and "
                "its __call__ takes none; expected __call__(self, x, state, ...)."
            )
        paths = PlainTree.of(others).paths
        for path, index in indices.items():
            count = len(jax.tree.leaves(state.get(index)))
            paths += tuple((*path, str(number)) for number in range(count))
        return _Parts(
            where=where,
            static=static,
            params=layout,
            rest=PlainTree(paths, jax.tree.structure((others, state))),
            biases=_biases(layout, params),
            has_state=bool(indices),
            axis_name=_axis_name(where, model),
            key=parameters.get("key"),
        )

    def init(self, key, images) -> tuple[PyTree, PyTree]:
        model, state = self._make(key)
        params, others, _ = _partition(self.eqx, model)
        plain = self.parts.params.plain(params)
        for path in self.parts.biases:
            _change(plain, path, jnp.ravel)
        return _strong((plain, self.parts.rest.plain((others, state))))

    def train(self, params, batch_stats, images, key=None) -> tuple[Outputs, PyTree]:
        outputs, rest = self._apply(params, batch_stats, images, True, key)
        return outputs, _strong(self.parts.rest.plain(rest))

    def evaluate(self, params, batch_stats, images) -> Outputs:
        return self._apply(params, batch_stats, images, False, None)[0]

    def _make(self, key):
        """(the module, its state)."""
        pair = self.source, self.given_state
        if not isinstance(self.source, self.eqx.Module):
            pair = call_with(self.source, "key", key)
            pair = pair if isinstance(pair, tuple) else (pair, None)
        model, state = pair
        if not isinstance(model, self.eqx.Module):
            raise TypeError(
                f"from_equinox: the function returned {type(model).__name__}; expected "
                "an equinox.Module, or (module, state)."
            )
        return (
            pair if state is not None else self.eqx.nn.make_with_state(lambda: model)()
        )

    def _apply(self, params, batch_stats, images, training: bool, key):
        """(outputs, (arrays that are not trained, the state after the call))."""
        parts, params = self.parts, jax.tree.map(lambda x: x, params)  # own dicts
        if parts.axis_name and jax.sharding.get_abstract_mesh().manual_axes:
            # In JAX 0.10 a mean over a vmapped axis fails within a shard_map.
            raise InputError(
                f"{parts.where}: batch norms of Equinox see the whole batch; expected "
                "config.batch_norm=global."
            )
        for path, shape in parts.biases.items():
            _change(params, path, lambda x, shape=shape: jnp.reshape(x, shape))
        others, state = parts.rest.tree(batch_stats)
        model = self.eqx.combine(parts.params.tree(params), others, parts.static)
        model = self.eqx.nn.inference_mode(model, not training)
        keys, axis = _keys(parts.key, key, images)

        def one(image, own):
            call = {"state": state} if parts.has_state else {}
            call |= {} if parts.key is None else {"key": own}
            return self._result(model(image, **call))

        if self.channels_first:
            images = jnp.moveaxis(images, -1, 1)
        axes = {"in_axes": (0, axis), "out_axes": (0, None)}
        mapped = jax.vmap(one, **axes, axis_name=parts.axis_name or BATCH)
        result, following = mapped(images, keys)
        logits, features = read_result(parts.where, result)
        if self.channels_first:
            for name, feature in features.items():
                last = feature.ndim == 4
                features[name] = jnp.moveaxis(feature, 1, -1) if last else feature
        outputs = Outputs(logits.astype(jnp.float32), features)
        return outputs, (others, following if parts.has_state else state)

    def _result(self, result):
        """(logits and features, state) of what a module returned for one image."""
        if not self.parts.has_state:
            return result, None
        if isinstance(result, tuple) and isinstance(result[-1], self.eqx.nn.State):
            return (result[0] if len(result) == 2 else result[:-1]), result[-1]
        raise TypeError(
            f"{self.parts.where}: the module returned {type(result).__name__}; "
            "expected (logits, state), as it has state."
        )


def _partition(eqx, model) -> tuple[PyTree, PyTree, PyTree]:
    """(what is trained, other arrays, the rest), of arrays or of their shapes."""

    def is_array(x):
        return eqx.is_array(x) or isinstance(x, jax.ShapeDtypeStruct)

    def is_trained(x):
        return is_array(x) and jnp.issubdtype(x.dtype, jnp.inexact)

    params, rest = eqx.partition(model, is_trained)
    return params, *eqx.partition(rest, is_array)


def _indices(eqx, model) -> dict[tuple[str, ...], Any]:
    """Path -> `StateIndex`, in the order of the state; layers may share one."""
    indices: dict = {}
    is_index = functools.partial(_is_a, eqx.nn.StateIndex)
    for path, leaf in jax.tree_util.tree_flatten_with_path(model, is_leaf=is_index)[0]:
        if is_index(leaf):
            indices.setdefault(leaf.marker, (names(path), leaf))
    return dict(indices.values())


def _lacks_state(eqx, model) -> bool:
    """Whether `make_with_state` has taken the initial state out of the module."""
    return any(not jax.tree.leaves(one.init) for one in _indices(eqx, model).values())


def _biases(layout: PlainTree, params) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Path -> shape [channels, 1, ...] of the biases of convolutions."""
    leaves = zip(layout.paths, jax.tree.leaves(params), strict=True)
    return {
        path: leaf.shape
        for path, leaf in leaves
        if path[-1] == "bias" and leaf.ndim > 1 and leaf.size == leaf.shape[0]
    }


def _keys(parameter: inspect.Parameter | None, key, images) -> tuple[Any, int | None]:
    """(a key for each image, its axis), or one for all, or None."""
    if parameter is None or (key is None and parameter.default is None):
        return None, None
    if key is None:
        return jax.random.key(0), None
    return jax.random.split(key, len(images)), 0


def _axis_name(where: str, model) -> str | None:
    """What the layers call the batch; None where none looks at it."""
    nodes = jax.tree.leaves(model, is_leaf=lambda x: hasattr(x, "axis_name"))
    axes = set()
    for node in nodes:
        name = getattr(node, "axis_name", ())
        axes |= {name} if isinstance(name, str) else set(name)
    if len(axes) > 1:
        raise ValueError(
            f"{where}: its layers call the batch {', '.join(sorted(map(str, axes)))}; "
            "expected one axis_name."
        )
    return axes.pop() if axes else None


def _strong(tree: PyTree) -> PyTree:
    """Arrays whose dtype is fixed: a counter plus 1 would compile a second program."""
    return jax.tree.map(lambda x: jnp.asarray(x, x.dtype), tree)


def _is_a(kind: type, node) -> bool:
    return isinstance(node, kind)


def _change(plain: dict, path: tuple[str, ...], function: Callable) -> None:
    """Replaces the leaf at a path by a function of it."""
    at = parent(plain, path)
    at[path[-1]] = function(at[path[-1]])
