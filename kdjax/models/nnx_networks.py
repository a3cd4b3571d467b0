"""Flax NNX modules as networks."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from kdjax.contracts import is_traced
from kdjax.models.network import FLAGS, Network, read_result
from kdjax.models.plain_trees import PlainTree, call_with
from kdjax.types import Outputs, PyTree


def from_nnx(
    module: nnx.Module | Callable[..., nnx.Module],
    *,
    features: Mapping[str, str] | None = None,
) -> Network:
    """Makes a `Network` of an NNX classifier, or of a function that makes one.

        from_nnx(lambda rngs: Net(64, rngs=rngs))   # or Net itself, if it takes rngs

    A function draws its weights from the key of `init`, so that seeds differ. A module
    is copied, and `init` gives the weights that it has whatever the key: a teacher, or
    a student that goes on. `module(images)` returns `Outputs`, `(logits, {name:
    array})` or just logits, which come out in float32.

    Layers train as after `module.train()` and evaluate as after `module.eval()`. A
    `__call__` may also have a flag (`train`, `training`, `is_training`,
    `deterministic`, `use_running_average`), and `rngs`. Random numbers of dropout are
    drawn from the key of `train`. `nnx.Param` are trained; what else the module keeps
    (`nnx.BatchStat`, other Variables, arrays) is its `batch_stats`.

    Args:
      features: feature name -> path of a submodule ("stem", "blocks/2/conv") whose
        output becomes that feature; this taps a module without changing it.

    Raises:
      TypeError: no module, and no function that returns one; or, while tracing, the
        module returns something else.
      ValueError: while tracing, if the module asks for random numbers while evaluating,
        makes new Variables, or does not call the path of a feature once.

    >>> class Linear(nnx.Module):
    ...     def __init__(self, rngs):
    ...         self.head = nnx.Linear(16, 10, rngs=rngs)
    ...     def __call__(self, images):
    ...         return self.head(images.reshape(images.shape[0], -1))
    >>> network = from_nnx(Linear, features={"scores": "head"})
    >>> images = jnp.ones((2, 4, 4, 1))
    >>> params, batch_stats = network.init(jax.random.key(0), images)
    >>> params["head"]["kernel"].shape, batch_stats
    ((16, 10), {})
    >>> outputs = network.evaluate(params, batch_stats, images)
    >>> outputs.logits.shape, list(outputs.features)
    ((2, 10), ['scores'])
    """
    if isinstance(module, nnx.Module):
        # What `sow` left from earlier calls is no part of it.
        module = nnx.clone(module)
        nnx.pop(module, nnx.Intermediate)
    elif not callable(module):
        raise TypeError(
            f"from_nnx: module is {type(module).__name__}; expected an nnx.Module, or "
            "a function of nnx.Rngs that returns one."
        )
    own = _Nnx(module, dict(features or {}))
    return Network(own.init, own.train, own.evaluate)


def bridge_switches(bridge) -> bool:
    """Whether a layer of what `nnx.bridge.to_linen` wraps was made to train."""

    def make():
        rngs = {} if bridge.skip_rng else {"rngs": nnx.Rngs(0)}
        return bridge.nnx_class(*bridge.args, **bridge.kwargs, **rngs)

    module = nnx.eval_shape(make)
    nodes = (node for _, node in nnx.iter_graph(module))
    layers = [node for node in nodes if isinstance(node, nnx.Module)]
    names = ("deterministic", "use_running_average")
    return any(
        getattr(layer, name, None) is False for layer in layers for name in names
    )


class _Parts(NamedTuple):
    """A module without its arrays."""

    where: str  # opens messages
    graphdefs: dict  # (training, draws random numbers) -> structure in that mode
    random: PyTree  # shapes of the state of random numbers
    params: PlainTree
    rest: PlainTree


class _Drawn(Exception):
    """A stream that nobody may draw from was drawn from."""


class _NoRandom(nnx.RngStream):
    """A stream where there is no key."""

    def __call__(self):
        raise _Drawn


@dataclasses.dataclass(frozen=True)
class _Nnx:
    """What the three functions of an NNX network have in common."""

    source: nnx.Module | Callable
    taps: dict[str, str]

    @functools.cached_property
    def parts(self) -> "_Parts":
        graphdefs, name = {}, ""

        def states(key):
            nonlocal name
            module = nnx.clone(self._make(key))
            name = type(module).__name__
            for draws in (True, False):
                if not draws:
                    _refuse_draws(module)
                module.train()
                graphdefs[True, draws] = _split(module)[0]
                module.eval()
                graphdefs[False, draws] = _split(module)[0]
            return _split(module)[1:]

        params, random, rest = jax.eval_shape(states, jax.random.key(0))
        layouts = PlainTree.of(params), PlainTree.of(rest)
        return _Parts(f"from_nnx({name})", graphdefs, random, *layouts)

    def init(self, key, images) -> tuple[PyTree, PyTree]:
        _, params, _, rest = _split(self._make(key))
        variables = self.parts.params.plain(params), self.parts.rest.plain(rest)
        return jax.tree.map(jnp.asarray, variables)

    def train(self, params, batch_stats, images, key=None) -> tuple[Outputs, PyTree]:
        outputs, module = self._apply(params, batch_stats, images, True, key)
        rest = _split(module)[3]
        paths, expected = PlainTree.of(rest).paths, self.parts.rest.paths
        if paths != expected:
            new = sorted({"/".join(path) for path in set(paths) ^ set(expected)})
            raise ValueError(
                f"{self.parts.where}: a call changes which Variables there are: "
                f"{', '.join(new)}; expected those that it was made with."
            )
        return outputs, self.parts.rest.plain(rest)

    def evaluate(self, params, batch_stats, images) -> Outputs:
        return self._apply(params, batch_stats, images, False, None)[0]

    def _make(self, key) -> nnx.Module:
        if isinstance(self.source, nnx.Module):
            return self.source
        module = call_with(self.source, "rngs", nnx.Rngs(key))
        if not isinstance(module, nnx.Module):
            raise TypeError(
                f"from_nnx: the function returned {type(module).__name__}; expected "
                "an nnx.Module."
            )
        # Traced arrays that a module keeps without a Variable NNX takes for constants.
        for _, node in list(nnx.iter_graph(module)):
            attributes = vars(node).items() if isinstance(node, nnx.Module) else ()
            for name, value in [pair for pair in attributes if is_traced(pair[1])]:
                setattr(node, name, nnx.data(value))
        return module

    def _apply(
        self, params, batch_stats, images, training, key
    ) -> tuple[Outputs, nnx.Module]:
        parts, random = self.parts, _seeded(self.parts.random, key)
        trees = parts.params.tree(params), random, parts.rest.tree(batch_stats)
        module = nnx.merge(parts.graphdefs[training, key is not None], *trees)
        takes, given = inspect.signature(type(module).__call__).parameters, {}
        given |= {name: FLAGS[name] == training for name in FLAGS if name in takes}
        if "rngs" in takes:
            given["rngs"] = None if key is None else nnx.Rngs(key)
        tapped = self._tap(module)
        try:
            result = module(images, **given)
        except _Drawn as error:
            raise ValueError(
                f"{parts.where}: the module asks for random numbers where it has no "
                "key: it is evaluated, or `train` was called without one. Expected "
                "layers that eval() turns off, with the attribute `deterministic`."
            ) from error
        logits, features = read_result(parts.where, result)
        for name, outputs in tapped.items():
            if len(outputs) != 1:
                raise self._not_a_feature(name, f"was called {len(outputs)} times")
            features[name] = outputs.pop()
        return Outputs(logits.astype(jnp.float32), features), module

    def _tap(self, module: nnx.Module) -> dict[str, list]:
        """Feature name -> a list, to which that submodule's calls add their output."""
        tapped: dict[str, list] = {}
        for name, path in self.taps.items():
            node = module
            for part in path.split("/"):
                node = _child(node, part)
            if not isinstance(node, nnx.Module):
                raise self._not_a_feature(name, "is no submodule")
            tapped[name] = _record_calls(node)
        return tapped

    def _not_a_feature(self, name: str, why: str) -> ValueError:
        return ValueError(
            f"{self.parts.where}: features[{name!r}] is {self.taps[name]!r}, which "
            f"{why}; expected the path of a submodule that is called once, of "
            'attributes and positions, such as "blocks/2/conv".'
        )


def _refuse_draws(module: nnx.Module) -> None:
    for _, node in list(nnx.iter_graph(module)):
        if isinstance(node, nnx.RngStream):
            object.__setattr__(node, "__class__", _NoRandom)


def _split(module: nnx.Module) -> tuple:
    graphdef, params, random, _, rest = nnx.split(
        module, nnx.Param, nnx.RngState, nnx.Intermediate, ...
    )
    return graphdef, params, random, rest


def _seeded(random: PyTree, key) -> PyTree:
    """The state of all streams at their start, each with a key of its own."""
    if key is None:
        key = jax.random.key(0)  # nobody may draw
    leaves, structure = jax.tree.flatten(random)
    values = []
    for number, leaf in enumerate(leaves):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            own = jax.random.fold_in(key, number)
            values.append(jax.random.split(own, leaf.shape) if leaf.shape else own)
        else:
            values.append(jnp.zeros(leaf.shape, leaf.dtype))
    return jax.tree.unflatten(structure, values)


def _child(node, part: str):
    """An attribute of a module, or an entry of its lists and dicts; None for none."""
    if hasattr(node, part):
        return getattr(node, part)
    try:
        return node[int(part) if part.isdigit() else part]
    except (TypeError, KeyError, IndexError):
        return None


def _record_calls(node: nnx.Module) -> list:
    """Makes a module of one trace add what its calls return to a list."""
    outputs: list = []

    class Tapped(type(node)):
        def __call__(self, *args, **kwargs):
            outputs.append(super().__call__(*args, **kwargs))
            return outputs[-1]

    object.__setattr__(node, "__class__", Tapped)
    return outputs
