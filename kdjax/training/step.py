"""The train step: a tuple of students against one teacher forward. Pure, not jitted."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from kdjax.models.network import Network
from kdjax.training.objective import compute_loss
from kdjax.training.state import Student, TrainState
from kdjax.types import Batch, Outputs, PyTree

Metrics = dict[str, jax.Array]


def make_train_step(
    students: dict[str, Student],
    teacher: Network | None,
    gather_batch: Callable[[PyTree, PyTree], Batch],
    augment: Callable[[Batch, int], jax.Array],
) -> Callable[..., tuple[dict[str, TrainState], dict[str, Metrics]]]:
    """Builds `(states, teacher_variables, source, batch_spec) -> (states, metrics)`.

    Data, augmentation and teacher are computed once and shared by all students, so a
    grid of students is one program.

    Args:
      teacher: only its `evaluate` is used; None where no method needs one, and where
        `gather_batch` gives its outputs as `Batch.teacher_outputs`.
      gather_batch: (source, batch_spec) -> Batch; the loader's pure half.
      augment: (Batch, view) -> normalised images; another view is another crop.
    """
    has_second_view = any(s.method.mixture is not None for s in students.values())

    def train_step(states, teacher_variables, source, batch_spec):
        batch = gather_batch(source, batch_spec)
        second = augment(batch, 1) if has_second_view else None
        batch = batch._replace(image=augment(batch, 0), second=second)
        teacher_outputs = batch.teacher_outputs
        if teacher_outputs is None and teacher is not None:
            teacher_outputs = teacher.evaluate(*teacher_variables, batch.image)
        teacher_outputs = jax.lax.stop_gradient(teacher_outputs)
        next_states, metrics = {}, {}
        for name, student in students.items():
            info = batch.sample_info.get(name, {})
            next_states[name], metrics[name] = update_student(
                student, states[name], teacher_outputs, batch, info
            )
        return next_states, metrics

    return train_step


def update_student(
    student: Student,
    state: TrainState,
    teacher_outputs: Outputs | None,
    batch: Batch,
    sample_info: dict[str, jax.Array],
) -> tuple[TrainState, Metrics]:
    """One optimizer step. A non-finite loss or gradient leaves the state as it was.

    The metrics are loss, loss/<term>, top1, gradient_norm, skipped and what the
    supervisor reports.
    """
    network, mixture = student.network, student.method.mixture
    images, mixed = batch.image, None
    if mixture is not None:
        predict = functools.partial(network.evaluate, state.params, state.batch_stats)
        prepared = mixture.prepare(predict, batch, sample_info, state.step)
        images, mixed = jax.lax.stop_gradient(prepared)
    selection = sample_info.get("selection", jnp.ones(batch.label.shape, jnp.float32))

    inputs = (batch, selection, state.step, state.supervision_state, mixed)

    def loss_of(params):
        outputs, batch_stats = network.train(params, state.batch_stats, images)
        loss, (supervision_state, metrics) = compute_loss(
            student.method, outputs, teacher_outputs, *inputs
        )
        return loss, (batch_stats, supervision_state, metrics)

    gradients, (*rest, metrics) = jax.grad(loss_of, has_aux=True)(state.params)
    norm = optax.tree.norm(gradients)
    finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(norm)
    metrics |= {"gradient_norm": norm, "skipped": 1.0 - finite.astype(jnp.float32)}
    new = apply_gradients(student, state, gradients, *rest)
    # A bad batch must not poison weights, statistics or momentum: only step moves on.
    # The loop counts such steps and stops the run when it happens again and again.
    kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, state)
    return dataclasses.replace(kept, step=new.step), metrics


def apply_gradients(
    student: Student, state: TrainState, gradients, batch_stats, supervision_state
) -> TrainState:
    """The state after the optimizer's update, with the other states of the step."""
    updates, opt_state = student.optimizer.update(
        gradients, state.opt_state, state.params
    )
    return TrainState(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
        supervision_state=supervision_state,
    )
