"""A `Connector` of any Linen module: Flax stays behind two pure functions."""

import dataclasses

import flax
import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax import contracts
from kdjax.types import Connector, ConnectorInputs, PyTree


def from_module(module: nn.Module, rate: float = 1.0) -> Connector:
    """Makes a `Connector` of a Linen module.

    `module(student, teacher, train)` takes the `Outputs` of both networks and a bool,
    and returns a pytree of arrays, which come out in float32. It may have a
    `batch_stats` collection, which is the connector's state; without one the state is
    an empty dict. Params and state are plain dicts. `init` takes arrays or
    `jax.ShapeDtypeStruct`s and reads no value.

    Args:
      rate: times the student's learning rate; 0 freezes the parameters.

    Raises:
      ValueError: a rate below 0; while tracing, if the module asks for random numbers
        (dropout), keeps another collection or changes its state without `train`.

    >>> from kdjax.types import Outputs
    >>> class Embedding(nn.Module):
    ...     @nn.compact
    ...     def __call__(self, student, teacher, train: bool):
    ...         return nn.Dense(3)(student.features["pooled"])
    >>> outputs = Outputs(jnp.zeros((2, 10)), {"pooled": jnp.ones((2, 5))})
    >>> inputs = ConnectorInputs(student=outputs, teacher=outputs)
    >>> connector = from_module(Embedding())
    >>> params, state = connector.init(jax.random.key(0), inputs)
    >>> embedded, state = connector.apply(params, state, inputs, True)
    >>> embedded.shape, state
    ((2, 3), {})
    """
    contracts.not_negative("from_module", "rate", rate)
    linen = _Linen(module)
    return Connector(linen.init, linen.apply, rate)


@dataclasses.dataclass(frozen=True)
class _Linen:
    """What the two functions of a connector have in common."""

    module: nn.Module

    @property
    def where(self) -> str:
        return f"from_module({type(self.module).__name__})"

    def init(self, key, inputs: ConnectorInputs) -> tuple[PyTree, PyTree]:
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), inputs)
        variables = self._call(self.module.lazy_init, key, *shapes, train=True)
        others = sorted(set(variables) - {"params", "batch_stats"})
        if others:
            raise ValueError(
                f"{self.where}: the module keeps the collections {', '.join(others)}; "
                "a Connector carries params and batch_stats only."
            )
        plain = flax.core.unfreeze(variables)
        return plain.get("params", {}), plain.get("batch_stats", {})

    def apply(
        self, params, state, inputs: ConnectorInputs, train: bool
    ) -> tuple[PyTree, PyTree]:
        outputs, changed = self._call(
            self.module.apply,
            {"params": params, "batch_stats": state},
            *inputs,
            train=train,
            mutable=["batch_stats"] * train,
        )
        state = flax.core.unfreeze(changed.get("batch_stats", state))
        return jax.tree.map(_as_float32, outputs), state

    def _call(self, function, *args, **kwargs):
        """Calls Flax; its errors about state become ours."""
        try:
            return function(*args, **kwargs)
        except flax.errors.InvalidRngError as error:
            raise ValueError(
                f"{self.where}: the module asks for random numbers (dropout?); a "
                "Connector is a function of its inputs. Set the rate to 0."
            ) from error
        except flax.errors.ModifyScopeVariableError as error:
            raise ValueError(
                f"{self.where}: the module changes its state with train=False. Pass "
                "use_running_average=not train to every batch norm."
            ) from error


def _as_float32(x: jax.Array) -> jax.Array:
    return x.astype(jnp.float32) if jnp.issubdtype(x.dtype, jnp.floating) else x
