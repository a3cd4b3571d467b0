"""The state of a student that begins with weights and connectors of another run."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.contracts import InputError
from kdjax.experiment import heads
from kdjax.experiment.initial import Head, Initial
from kdjax.training import sharding
from kdjax.training.state import Student, TrainState
from kdjax.types import PyTree


def begin_with(
    name: str, student: Student, state: TrainState, initial: Initial, mesh
) -> TrainState:
    """The state with another run's weights and statistics, and shared connectors."""
    shared = {
        key: value
        for key, value in initial.connectors.items()
        if key in state.connectors
    }
    for key, other in shared.items():
        own = state.connectors[key]
        if jax.tree.map(np.shape, own) != jax.tree.map(np.shape, other):
            raise InputError(
                f"config.initial: that run's connector {key!r} is not the one of "
                f"{name}: its {len(jax.tree.leaves(other))} arrays have other names or "
                "shapes than these; expected the same config.method and networks, or "
                "config.initial.parts='weights'."
            )
    connectors = state.connectors | sharding.copy_replicated(shared, mesh)
    state = dataclasses.replace(state, connectors=connectors)
    if initial.variables is not None:
        own = state.params, state.batch_stats
        variables = _merged(own, initial.variables, initial.heads[name])
        params, batch_stats = sharding.copy_replicated(variables, mesh)
        state = dataclasses.replace(state, params=params, batch_stats=batch_stats)
    # Some optimizers hold the weights that they begin with, such as schedule-free ones:
    # in buffers of their own, as both are donated.
    anew = sharding.compile_init(
        lambda trained: student.optimizer.init(jax.tree.map(jnp.copy, trained)), mesh
    )
    return dataclasses.replace(state, opt_state=anew(state.trained))


def _merged(own: tuple[PyTree, PyTree], other: tuple[PyTree, PyTree], head: Head):
    """The other variables with the own head, or with their own in another order."""

    def one(path, fresh, stored):
        axis = head.axes.get(heads.name_of(path))
        if axis is None:
            return stored
        if head.places is None:
            return np.asarray(fresh)
        return np.take(stored, head.places, axis)

    pair = heads.named(own), heads.named(other)
    merged = jax.tree_util.tree_map_with_path(one, *pair)
    return merged["params"], merged["batch_stats"]
