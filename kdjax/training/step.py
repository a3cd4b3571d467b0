"""The train step: a tuple of students against one teacher forward. Pure, not jitted."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from kdjax.methods import Method
from kdjax.models.network import Network
from kdjax.supervision.pipeline import supervise
from kdjax.training.objective import evaluate_terms
from kdjax.training.state import Student, TrainState
from kdjax.types import Batch, Outputs, PyTree, Signals, Traces, Views

Metrics = dict[str, dict[str, jax.Array]]


def make_train_step(
    students: dict[str, Student],
    teacher: Network | None,
    materialise: Callable[[PyTree, PyTree], Batch],
    augment: Callable[[Batch, int], jax.Array],
) -> Callable[..., tuple[dict[str, TrainState], Metrics]]:
    """Builds `step(states, teacher_variables, source, ticket) -> (states, metrics)`.

    Data, augmentation and teacher are computed once and shared by all students, so a
    grid of students is one program.

    Args:
      students: name -> functions. A single student is a dict of one.
      teacher: only its `evaluate` is used; None where no method needs one, and where
        `materialise` gives its answers as `Batch.taught`.
      materialise: (source, ticket) -> Batch; the feed's pure half.
      augment: (Batch, view) -> normalised images; another view is another crop.
    """
    crops_twice = any(s.method.mixture is not None for s in students.values())

    def train_step(states, teacher_variables, source, ticket):
        batch = materialise(source, ticket)
        second = augment(batch, 1) if crops_twice else None
        batch = batch._replace(image=augment(batch, 0), second=second)
        taught = batch.taught
        if taught is None and teacher is not None:
            taught = teacher.evaluate(*teacher_variables, batch.image)
        taught = jax.lax.stop_gradient(taught)
        results = {
            name: update_student(
                student, states[name], taught, batch, batch.notes.get(name, {})
            )
            for name, student in students.items()
        }
        new_states = {name: state for name, (state, _) in results.items()}
        return new_states, {name: metrics for name, (_, metrics) in results.items()}

    return train_step


def update_student(
    student: Student,
    state: TrainState,
    taught: Outputs | None,
    batch: Batch,
    notes: dict[str, jax.Array],
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One optimizer step. A non-finite loss or gradient leaves the state as it was.

    Returns:
      The next state, and scalars: loss, loss/<term>, top1, gradient_norm, skipped and
      what the supervisor reports.
    """
    method = student.method
    images, mixed = _prepare(student, state, batch, notes)
    selection = notes.get("selection", jnp.ones(batch.label.shape, jnp.float32))

    def objective(params):
        seen, batch_stats = student.network.train(params, state.batch_stats, images)
        supervision, warmth, told = _supervision(
            method, state, seen, taught, batch, selection
        )
        remembered, traces = _memory(method, state, seen, batch)
        memory = {"temperature": warmth, "memory": traces}
        views = Views(
            student=seen,
            teacher=taught,
            labels=batch.label,
            supervision=supervision,
            selection=selection,
            step=state.step,
            remembered=remembered,
            mixed=mixed,
        )
        loss, metrics = evaluate_terms(method.terms, views, state.step)
        # A mixture may train on more rows than the batch has; the first are its own.
        top = jnp.argmax(seen.logits[: batch.label.shape[0]], -1)
        top1 = jnp.mean(top == batch.label, dtype=jnp.float32)
        metrics = {"loss": loss, "top1": top1} | metrics | told
        return loss, (batch_stats, memory, metrics)

    gradient = jax.value_and_grad(objective, has_aux=True)
    (loss, (batch_stats, memory, metrics)), gradients = gradient(state.params)
    norm = optax.tree.norm(gradients)
    good = jnp.isfinite(loss) & jnp.isfinite(norm)
    metrics |= {"gradient_norm": norm, "skipped": 1.0 - good.astype(jnp.float32)}
    new = _stepped(student, state, gradients, batch_stats, memory)
    return _keep_good(good, new, state), metrics


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


def _prepare(student: Student, state: TrainState, batch: Batch, notes: dict):
    """What the network is trained on: the batch's images unless the method mixes."""
    if student.method.mixture is None:
        return batch.image, None

    def predict(images):
        return student.network.evaluate(state.params, state.batch_stats, images)

    prepared = student.method.mixture.prepare(predict, batch, notes, state.step)
    return jax.lax.stop_gradient(prepared)


def _supervision(
    method: Method,
    state: TrainState,
    seen: Outputs,
    taught: Outputs,
    batch: Batch,
    selection: jax.Array,
):
    """(Supervision, next state of the temperature rule, what to log of it)."""
    warmth = state.supervision_state["temperature"]
    if method.supervisor is None:
        return None, warmth, {}
    signals = Signals(
        student_logits=seen.logits,
        teacher_logits=taught.logits,
        labels=batch.label,
        index=batch.index,
        selection=selection,
        step=state.step,
        members=taught.features.get("members"),
    )
    supervision, warmth = supervise(method.supervisor, warmth, signals)
    lowest = method.supervisor.temperature.lowest
    if not lowest:
        return supervision, warmth, {}
    floored = supervision.temperature <= lowest
    return (
        supervision,
        warmth,
        {
            "temperature/mean": jnp.mean(supervision.temperature),
            "temperature/floored": jnp.mean(floored, dtype=jnp.float32),
        },
    )


def _memory(method: Method, state: TrainState, seen: Outputs, batch: Batch):
    """(what is remembered of the batch's samples, next state of the memory)."""
    if method.memory is None:
        return None, state.supervision_state["memory"]
    traces = Traces(seen.logits, batch.label, batch.index, state.step)
    traces = jax.lax.stop_gradient(traces)
    return method.memory.update(state.supervision_state["memory"], traces)
