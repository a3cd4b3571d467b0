"""Weights and connectors of another run, which a training begins with."""

import dataclasses

import jax
import numpy as np

from kdjax.contracts import InputError
from kdjax.experiment.pretrained import Initial
from kdjax.training import sharding
from kdjax.training.state import TrainState


def begin_with(name: str, state: TrainState, initial: Initial, mesh) -> TrainState:
    """The state with another run's weights and statistics, and shared connectors."""
    shared = {
        key: value
        for key, value in initial.connectors.items()
        if key in state.connectors
    }
    pairs = [
        (state.connectors[key], value, f"connector {key!r}", "method")
        for key, value in shared.items()
    ]
    if initial.variables is not None:
        own = (state.params, state.batch_stats)
        pairs.append((own, initial.variables, "network", "model"))
    for own, other, what, section in pairs:
        if jax.tree.map(np.shape, own) != jax.tree.map(np.shape, other):
            raise InputError(
                f"config.initial: that run's {what} is not the one of {name}: it has "
                f"{len(jax.tree.leaves(other))} arrays of other names or shapes than "
                f"these; expected the same config.{section}, or config.initial.parts "
                "without it (weights or connectors)."
            )
    connectors = state.connectors | sharding.copy_replicated(shared, mesh)
    state = dataclasses.replace(state, connectors=connectors)
    if initial.variables is None:
        return state
    params, batch_stats = sharding.copy_replicated(initial.variables, mesh)
    return dataclasses.replace(state, params=params, batch_stats=batch_stats)
