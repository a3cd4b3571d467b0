"""A network is a few pure functions. Flax Linen stays behind them.

Only plain-dict pytrees pass between it and the rest of the project, which has no
module, no variable collection, no train flag. Batch norm sees the global batch under
`jax.jit` (no axis name anywhere), so it is synchronised over devices by construction.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.contracts import InputError
from kdjax.types import Outputs, PyTree

# What modules call their flags, and the value of each while training.
FLAGS = {"train": True, "training": True, "is_training": True}
FLAGS |= {"deterministic": False, "use_running_average": False}


FROZEN = "frozen"  # what Linen calls the arrays of `freeze`


class Frozen(NamedTuple):
    """Statistics for `evaluate`, beside what it would compute of the weights alone."""

    batch_stats: PyTree
    arrays: PyTree  # folded kernels and the like, by module


def _as_they_are(params, batch_stats, image_shape) -> PyTree:
    return batch_stats


class Network(NamedTuple):
    """Three pure functions, and what saves a frozen teacher work in every step."""

    init: Callable  # (key, images) -> (params, batch_stats); reads no pixel
    # (params, batch_stats, images, key) -> (Outputs, batch_stats); the key is drawn
    # from (seed, step), for dropout and stochastic depth.
    train: Callable
    evaluate: Callable  # (params, batch_stats, images) -> Outputs
    # (params, batch_stats, image_shape) -> batch_stats for `evaluate` with the same
    # params: it finds there, computed once, what depends on the weights alone.
    freeze: Callable = _as_they_are


def from_linen(
    module: nn.Module, *, features: Mapping[str, str] | None = None
) -> Network:
    """Makes a `Network` of any Linen classifier.

    `module(images)` returns `Outputs`, `(logits, {name: array})` or just logits. It may
    have flags (`train`, `training`, `is_training`, `deterministic` and
    `use_running_average`; all it has are set) and a `batch_stats` collection. Logits
    come out in float32.

    Args:
      features: feature name -> path of a submodule ("Conv_0", "encoder/block2") whose
        output becomes that feature; this taps a module without changing it.

    Raises:
      ValueError: while tracing, if the module asks for random numbers while evaluating
        (dropout without a flag), keeps another collection, updates statistics while
        evaluating, or never calls a path.
      TypeError: while tracing, if the module returns something else.

    >>> class Linear(nn.Module):
    ...     @nn.compact
    ...     def __call__(self, images):
    ...         return nn.Dense(10)(images.reshape(images.shape[0], -1))
    >>> network = from_linen(Linear(), features={"scores": "Dense_0"})
    >>> images = jnp.ones((2, 4, 4, 1))
    >>> outputs = network.evaluate(*network.init(jax.random.key(0), images), images)
    >>> outputs.logits.shape, list(outputs.features)
    ((2, 10), ['scores'])
    """
    parameters = inspect.signature(type(module).__call__).parameters
    flags = tuple(name for name in FLAGS if name in parameters)
    linen = Linen(module, flags, dict(features or {}))
    return Network(linen.init, linen.train, linen.evaluate, linen.freeze)


@dataclasses.dataclass(frozen=True)
class Linen:
    """What the three functions of a Linen network have in common."""

    module: nn.Module
    flags: tuple[str, ...]
    paths: dict[str, str]

    @property
    def where(self) -> str:
        return f"from_linen({type(self.module).__name__})"

    def init(self, key, images) -> tuple[PyTree, PyTree]:
        shape = jax.ShapeDtypeStruct(jnp.shape(images), jnp.result_type(images))
        variables = self._call(self.module.lazy_init, True, key, shape)
        others = sorted(set(variables) - {"params", "batch_stats"})
        if others:
            raise ValueError(
                f"{self.where}: the module keeps the collections {', '.join(others)}; "
                "a Network carries params and batch_stats only."
            )
        plain = flax.core.unfreeze(variables)
        return plain.get("params", {}), plain.get("batch_stats", {})

    def train(self, params, batch_stats, images, key=None) -> tuple[Outputs, PyTree]:
        outputs, changed = self._apply(params, batch_stats, images, True, key)
        return outputs, flax.core.unfreeze(changed.get("batch_stats", batch_stats))

    def evaluate(self, params, batch_stats, images) -> Outputs:
        return self._apply(params, batch_stats, images, False, None)[0]

    def freeze(self, params, batch_stats, image_shape) -> Frozen:
        variables = {"params": params, "batch_stats": batch_stats}
        images = jnp.zeros(image_shape)
        kept = {"mutable": [FROZEN]}
        _, arrays = self._call(self.module.apply, False, variables, images, **kept)
        return Frozen(batch_stats, flax.core.unfreeze(arrays.get(FROZEN, {})))

    def _apply(
        self, params, batch_stats, images, training, key
    ) -> tuple[Outputs, Mapping]:
        variables = {"params": params, "batch_stats": batch_stats}
        if isinstance(batch_stats, Frozen):
            variables["batch_stats"], variables[FROZEN] = batch_stats
        result, changed = self._call(
            self.module.apply,
            training,
            variables,
            images,
            # Whatever a module calls its stream of random numbers, Flax takes "params".
            rngs=None if key is None else {"params": key},
            capture_intermediates=self._is_tapped if self.paths else False,
            mutable=["batch_stats"] * training + ["intermediates"] * bool(self.paths),
        )
        logits, features = read_result(self.where, result)
        features |= self._tapped(changed.get("intermediates", {}))
        return Outputs(logits.astype(jnp.float32), features), changed

    def _call(self, function, training: bool, *args, **kwargs):
        """Calls Flax with the flags; its errors about state become ours."""
        kwargs |= {name: FLAGS[name] == training for name in self.flags}
        try:
            with nn.intercept_methods(functools.partial(_check_bridged, self.where)):
                return function(*args, **kwargs)
        except flax.errors.InvalidRngError as error:
            raise ValueError(
                f"{self.where}: the module asks for random numbers (dropout?) where it "
                "has no key: it is evaluated, or `train` was called without one. "
                f"Expected a flag ({', '.join(FLAGS)}) that turns them off."
            ) from error
        except flax.errors.ModifyScopeVariableError as error:
            flag = ", ".join(self.flags) or f"no flag (looked for {', '.join(FLAGS)})"
            raise ValueError(
                f"{self.where}: the module changes its variables while evaluating; its "
                f"__call__ takes {flag}. Pass use_running_average to every batch norm."
            ) from error

    def _is_tapped(self, submodule: nn.Module, method: str) -> bool:
        return method == "__call__" and "/".join(submodule.path) in self.paths.values()

    def _tapped(self, intermediates: Mapping) -> dict[str, jax.Array]:
        plain = flax.core.unfreeze(intermediates)
        calls = flax.traverse_util.flatten_dict(plain, sep="/")
        features = {}
        for name, path in self.paths.items():
            outputs = calls.get(f"{path}/__call__", ())
            if len(outputs) != 1:
                raise ValueError(
                    f"{self.where}: features[{name!r}] is {path!r}, which was called "
                    f"{len(outputs)} times; expected the path of a submodule that is "
                    "called once. module.tabulate(key, images) lists them."
                )
            features[name] = outputs[0]
        return features


def _check_bridged(where: str, call: Callable, args, kwargs, context):
    """Calls a method; refuses an NNX module that keeps its mode in evaluation.

    `nnx.bridge` calls it as it was made, so a batch norm that trains would evaluate
    with the statistics of the batch, and dropout would drop, without a word.
    """
    module = context.module
    bridged = any(kind.__name__ == "ToLinen" for kind in type(module).__mro__)
    if (
        bridged
        and context.method_name == "__call__"
        and not FLAGS.keys() & kwargs.keys()
    ):
        from kdjax.models.nnx_networks import bridge_switches

        if bridge_switches(module):
            name = getattr(module.nnx_class, "__name__", "Net")
            raise ValueError(
                f"{where}: nnx.bridge.to_linen({name}) does not know whether it "
                "trains, and would evaluate as it trains. Expected the NNX module "
                f"itself: kdjax.models.from_nnx(lambda rngs: {name}(..., rngs=rngs))."
            )
    return call(*args, **kwargs)


def read_result(where: str, result) -> tuple[jax.Array, dict[str, jax.Array]]:
    """(logits, features) of what the module returned."""
    if isinstance(result, Outputs):
        result = (result.logits, result.features)
    pair = isinstance(result, tuple) and len(result) == 2
    has_features = pair and isinstance(result[1], Mapping)
    logits, features = (result[0], dict(result[1])) if has_features else (result, {})
    if not isinstance(logits, jax.Array):
        raise TypeError(
            f"{where}: the module returned {type(result).__name__}; expected logits, "
            "(logits, {name: array}) or Outputs."
        )
    if logits.ndim != 2:
        raise ValueError(
            f"{where}: logits has shape {logits.shape}; expected [batch, classes]."
        )
    return logits, features


def call_init(network: Network, key, images) -> tuple[PyTree, PyTree]:
    """What `init` gives, checked: anyone may write one."""
    variables = network.init(key, images)
    if not isinstance(variables, tuple) or len(variables) != 2:
        raise InputError(
            f"the network's init returned {_kind(variables)}; expected (params, "
            "batch_stats), with {} for no statistics."
        )
    return variables


def call_evaluate(network: Network, params, batch_stats, images) -> Outputs:
    """What `evaluate` gives, checked."""
    outputs = network.evaluate(params, batch_stats, images)
    if not isinstance(outputs, Outputs):
        raise InputError(
            f"the network's evaluate returned {_kind(outputs)}; expected "
            "kdjax.types.Outputs(logits, features), {} for no features."
        )
    return outputs


def call_train(network: Network, params, batch_stats, images, key):
    """What `train` gives, checked."""
    result = network.train(params, batch_stats, images, key)
    is_pair = isinstance(result, tuple) and len(result) == 2
    if isinstance(result, Outputs) or not is_pair or not isinstance(result[0], Outputs):
        raise InputError(
            f"the network's train returned {_kind(result)}; expected (Outputs, "
            "batch_stats): kdjax.types.Outputs(logits, {}) and, of no statistics, the "
            "batch_stats that it was given."
        )
    was, now = map(jax.tree.structure, (batch_stats, result[1]))
    if was != now:
        raise InputError(
            f"the network's train returned batch_stats of the structure {now}; "
            f"expected that of those it was given, {was}."
        )
    return result


def _kind(value) -> str:
    """A value in few words, and a tuple by what it holds."""
    if isinstance(value, tuple) and not isinstance(value, Outputs):
        return f"({', '.join(map(_kind, value))})"
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"an array of shape {shape}"
