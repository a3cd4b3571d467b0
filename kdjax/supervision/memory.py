"""Temperature rules that remember each sample from one epoch to the next."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Integer

from kdjax import contracts
from kdjax.losses.numerics import AnyArray, Number, one_or_nan
from kdjax.supervision.pipeline import TemperatureRule
from kdjax.types import PyTree, Signals


def remembered(
    rule: TemperatureRule, num_examples: int | None, decay: Number | None
) -> TemperatureRule:
    """Averages a rule's temperatures of each sample over the epochs.

        tau <- decay * tau + (1 - decay) * the rule's;   at first the rule's

    The state is one float32 a sample, 0 before its first batch, beside the rule's own.
    A batch across the border of two epochs may hold a sample twice: both blend
    with the same old value, and the lower result is kept, in whatever order they come.

    Args:
      rule: gives the temperatures of this step.
      num_examples: size of the training split; `Signals.index` points into it. NaN
        where a traced index is out of range; a concrete one is a ValueError.
      decay: from 0 to 1, the first temperature for ever; None returns the rule itself.
    """
    if decay is None:
        return rule
    contracts.whole("remembered", "num_examples", num_examples, 1)
    contracts.fraction("remembered", "decay", decay)

    def init() -> PyTree:
        return {"rule": rule.init(), "table": jnp.zeros(num_examples, jnp.float32)}

    def update(state: PyTree, signals: Signals) -> tuple[Array, PyTree]:
        fresh, inner = rule.update(state["rule"], signals)
        table, index = state["table"], _in_table(signals.index, num_examples)
        before = table.at[index].get(mode="clip")
        blended = before + (1.0 - float(decay)) * (fresh - before)
        blended = jnp.maximum(blended, rule.lowest)  # rounding may end just below it
        temperature = jnp.where(before == 0, fresh, blended)
        temperature = temperature * one_or_nan(index < num_examples)
        # The order of several writes to one entry is undefined: first a value that is
        # the same for all, then the minimum, which has no order.
        table = table.at[index].set(jnp.inf, mode="drop")
        table = table.at[index].min(temperature, mode="drop")
        return temperature, {"rule": inner, "table": table}

    return TemperatureRule(init, update, rule.lowest, rule.reads | {"index"})


def _in_table(
    index: Integer[AnyArray, " batch"], num_examples: int
) -> Integer[Array, " batch"]:
    """Indices as int32, checked unless traced; below 0 becomes num_examples."""
    if not contracts.is_traced(index):
        host = np.asarray(index)
        low, high = int(host.min(initial=0)), int(host.max(initial=0))
        if low < 0 or high >= num_examples:
            raise ValueError(
                f"remembered: index runs from {low} to {high}; expected 0 to "
                f"{num_examples - 1}: num_examples is the size of the training split."
            )
    index = jnp.asarray(index).astype(jnp.int32)
    return jnp.where(index < 0, num_examples, index)
