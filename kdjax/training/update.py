"""One student's step: the network's half and the method's half. Pure, not jitted."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from kdjax.training.objective import compute_loss
from kdjax.training.state import Student, TrainState
from kdjax.types import Batch, Outputs, PyTree

Updated = tuple[TrainState, dict[str, jax.Array]]
# What the network said -> (number to descend, (next supervision state, metrics)).
Objective = Callable[[Outputs], tuple[jax.Array, tuple[PyTree, dict[str, jax.Array]]]]


def update_student(
    student: Student,
    state: TrainState,
    teacher_outputs: Outputs | None,
    batch: Batch,
    sample_info: dict[str, jax.Array],
) -> Updated:
    """One optimizer step. A non-finite loss or gradient leaves the state as it was.

    Returns:
      The next state, and scalars: loss, loss/<term>, top1, gradient_norm, skipped and
      what the supervisor reports.
    """
    images, mixed = _prepare(student, state, batch, sample_info)
    selection = selected(batch, sample_info)

    def objective(student_outputs):
        known = state.supervision_state
        return compute_loss(
            student.method,
            student_outputs,
            teacher_outputs,
            batch,
            selection,
            state.step,
            known,
            mixed,
        )

    return apply_gradients(student, state, images, objective)


def apply_gradients(
    student: Student, state: TrainState, images: PyTree, objective: Objective
) -> Updated:
    """The same for any objective of the answers; reads no method.

    Args:
      student: its network and optimizer.
      state: before the step.
      images: what the network is trained on.
      objective: only the gradient of its number counts; its metrics have the loss.
    """

    def number(params):
        student_outputs, batch_stats = student.network.train(
            params, state.batch_stats, images
        )
        value, (known, metrics) = objective(student_outputs)
        return value, (batch_stats, known, metrics)

    gradient = jax.grad(number, has_aux=True)
    gradients, (batch_stats, known, metrics) = gradient(state.params)
    norm = optax.tree.norm(gradients)
    good = jnp.isfinite(metrics["loss"]) & jnp.isfinite(norm)
    metrics |= {"gradient_norm": norm, "skipped": 1.0 - good.astype(jnp.float32)}
    new = _stepped(student, state, gradients, batch_stats, known)
    return _keep_good(good, new, state), metrics


def selected(batch: Batch, sample_info: dict[str, jax.Array]) -> jax.Array:
    """A student's weights of the samples: all 1 unless its notes say otherwise."""
    return sample_info.get("selection", jnp.ones(batch.label.shape, jnp.float32))


def _stepped(
    student: Student, state: TrainState, gradients, batch_stats, memory
) -> TrainState:
    updates, opt_state = student.optimizer.update(
        gradients, state.opt_state, state.params
    )
    return TrainState(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
        supervision_state=memory,
    )


def _keep_good(good: jax.Array, new: TrainState, old: TrainState) -> TrainState:
    """A bad batch must not poison weights, statistics or momentum: only step moves on.

    The loop counts such steps and stops the run when it happens again and again.
    """
    kept = jax.tree.map(lambda new, old: jnp.where(good, new, old), new, old)
    return dataclasses.replace(kept, step=new.step)


def _prepare(student: Student, state: TrainState, batch: Batch, sample_info: dict):
    """What the network is trained on: the batch's images unless the method mixes."""
    if student.method.mixture is None:
        return batch.image, None

    def predict(images):
        return student.network.evaluate(state.params, state.batch_stats, images)

    prepared = student.method.mixture.prepare(predict, batch, sample_info, state.step)
    return jax.lax.stop_gradient(prepared)
