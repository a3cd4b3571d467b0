"""Gradient accumulation: one update from the gradients of several microbatches."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from kdjax.training.state import TrainState
from kdjax.training.update import Gradients
from kdjax.types import PyTree


def accumulate(
    compute: Callable[[dict[str, TrainState], jax.Array, PyTree], dict[str, Gradients]],
    states: dict[str, TrainState],
    batch_spec: PyTree,
    count: int,
    unrolled: bool,
) -> dict[str, Gradients]:
    """Means of the gradients and metrics of `count` microbatches of a batch, in turn.

    In a loop one microbatch has its activations in memory at a time. Batch statistics
    and the memories of methods go through all of them, one after another.

    Args:
      compute: (states, number of the microbatch, its rows of `batch_spec`) -> name ->
        Gradients.
      unrolled: no loop, for devices that are slow inside one; it saves no memory.
    """

    def one(carry, numbered):
        (sums, changes), (number, rows) = carry, numbered
        present = {
            name: dataclasses.replace(state, **changes[name])
            for name, state in states.items()
        }
        computed = compute(present, number, rows)
        gradients = {name: own.gradients for name, own in computed.items()}
        sums = jax.tree.map(jnp.add, sums, gradients)
        changes = {name: own.changes for name, own in computed.items()}
        return (sums, changes), {name: own.metrics for name, own in computed.items()}

    zeros = {n: jax.tree.map(jnp.zeros_like, s.trained) for n, s in states.items()}
    carry = zeros, {name: changeable(state) for name, state in states.items()}
    numbered = jnp.arange(count), microbatches(batch_spec, count)
    unroll = count if unrolled else 1
    (sums, changes), metrics = jax.lax.scan(one, carry, numbered, unroll=unroll)
    sums = jax.tree.map(lambda x: x / count, sums)
    metrics = jax.tree.map(lambda x: jnp.mean(x, 0), metrics)
    return {
        name: Gradients(sums[name], changes[name], metrics[name]) for name in states
    }


def changeable(state: TrainState) -> dict[str, PyTree]:
    """What a microbatch changes of a state: all but the weights and the optimizer's."""
    names = ("batch_stats", "supervision_state", "connectors")
    return {name: getattr(state, name) for name in names}


def microbatches(batch_spec: PyTree, count: int) -> PyTree:
    """Rows [b, ...] as [count, b / count, ...]: microbatch i has rows i, i + count, ...

    So each device keeps its own rows, and which samples are together does not depend on
    the number of devices.
    """

    def divided(rows):
        size = rows.shape[0]
        if size % count:
            raise ValueError(
                f"accumulation_steps is {count} and the batch has {size} samples; "
                "expected a number that divides them."
            )
        return rows.reshape(size // count, count, *rows.shape[1:]).swapaxes(0, 1)

    return jax.tree.map(divided, batch_spec)
