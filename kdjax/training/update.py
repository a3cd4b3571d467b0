"""A student's update: the optimizer's, unless something is not finite."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from kdjax.training import ema
from kdjax.training.state import Student, TrainState
from kdjax.types import PyTree

Metrics = dict[str, jax.Array]


class Gradients(NamedTuple):
    """What a student's update is made of: the gradients, and what else changes."""

    gradients: PyTree  # of `TrainState.trained`
    changes: dict[str, PyTree]  # fields of the state that no gradient changes -> new
    metrics: dict[str, jax.Array]


def apply_finite(
    student: Student, state: TrainState, computed: Gradients
) -> tuple[TrainState, Metrics]:
    """(the next state, metrics); of what is not finite nothing is applied."""
    gradients, changes, metrics = computed
    norm = optax.tree.norm(gradients)
    finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(norm)
    metrics |= {"gradient_norm": norm, "skipped": 1.0 - finite.astype(jnp.float32)}
    new = apply_gradients(student, state, gradients, changes)
    # A bad batch must not poison weights, statistics or momentum: only step moves on.
    # The loop counts such steps and stops the run when it happens again and again.
    kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, state)
    return dataclasses.replace(kept, step=new.step), metrics


def apply_gradients(
    student: Student, state: TrainState, gradients: PyTree, changes: dict[str, PyTree]
) -> TrainState:
    """The state after the optimizer's update; `changes` are those of `Gradients`."""
    old = state.trained
    updates, opt_state = student.optimizer.update(gradients, state.opt_state, old)
    if state.connectors:
        rates = {name: one.rate for name, one in student.method.connectors.items()}
        own = {
            name: jax.tree.map(lambda update, rate=rates[name]: rate * update, tree)
            for name, tree in updates["connectors"].items()
        }
        updates = updates | {"connectors": own}
    params, connectors = optax.apply_updates(old, updates), {}
    if state.connectors:
        connectors = {
            name: one | {"params": params["connectors"][name]}
            for name, one in changes["connectors"].items()
        }
        params = params["network"]
    average, batch_stats = {}, changes["batch_stats"]
    if student.ema_decay:
        average = ema.update(state.ema, student.ema_decay, params, batch_stats)
    return TrainState(
        step=state.step + 1,
        params=params,
        batch_stats=batch_stats,
        opt_state=opt_state,
        supervision_state=changes["supervision_state"],
        connectors=connectors,
        ema=average,
    )
