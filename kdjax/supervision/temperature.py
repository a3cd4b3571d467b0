"""Temperature rules: how soft the teacher speaks, per sample."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array

from kdjax import contracts
from kdjax.losses.numerics import Number, as_float32, one_or_nan
from kdjax.supervision.pipeline import TemperatureRule, stateless
from kdjax.types import Signals


def fixed(value: Number) -> TemperatureRule:
    """The same temperature for every sample and step.

    Args:
      value: dimensionless, > 0; infinity is allowed and makes the target uniform (for
        the loss at infinity see `kdjax.losses.logits.logit_matching`).

    Raises:
      ValueError: value is not one number above 0.

    >>> fixed(0)
    Traceback (most recent call last):
    ...
    ValueError: fixed: temperature is 0; expected a number above 0 or infinity.
    """
    contracts.shapes("fixed", temperature=(value, ""))
    contracts.positive("fixed", "temperature", value, infinity=True)

    def rule(signals: Signals) -> Array:
        return jnp.full(signals.labels.shape, value, jnp.float32)

    return stateless(rule)


def scheduled(schedule: Callable[[Array], Array]) -> TemperatureRule:
    """A temperature that follows the step, the same for every sample.

    Args:
      schedule: step -> scalar temperature > 0, such as an Optax schedule.

    Raises:
      ValueError: outside jit, the schedule gives a temperature that is not above 0; it
        gives another shape than a scalar. Inside jit such a temperature becomes NaN,
        for a KL at tau = -1 is finite and would train without a word.

    >>> import jax.numpy as jnp
    >>> cooling = scheduled(lambda step: 8.0 * 0.5 ** (step / 100))
    """

    def rule(signals: Signals) -> Array:
        value = schedule(signals.step)
        contracts.shapes("scheduled", temperature=(value, ""))
        contracts.positive("scheduled", "temperature", value, infinity=True)
        value = as_float32(value)
        value = value * one_or_nan(value > 0)
        return jnp.broadcast_to(value, signals.labels.shape)

    return stateless(rule)
