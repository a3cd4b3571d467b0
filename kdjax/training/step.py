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
from kdjax.types import Batch, Outputs, PyTree, Signals, Views

Metrics = dict[str, dict[str, jax.Array]]


def make_train_step(
    students: dict[str, Student],
    teacher: Network | None,
    materialise: Callable[[PyTree, PyTree], Batch],
    augment: Callable[[Batch], jax.Array],
) -> Callable[..., tuple[dict[str, TrainState], Metrics]]:
    """Builds `step(states, teacher_variables, source, ticket) -> (states, metrics)`.

    Data, augmentation and teacher are computed once and shared by all students, so a
    grid of students is one program.

    Args:
      students: name -> functions. A single student is a dict of one.
      teacher: only its `evaluate` is used; None where no method needs one.
      materialise: (source, ticket) -> Batch; the feed's pure half.
      augment: Batch -> normalised images.
    """

    def train_step(states, teacher_variables, source, ticket):
        batch = materialise(source, ticket)
        batch = batch._replace(image=augment(batch))
        taught = None
        if teacher is not None:
            taught = teacher.evaluate(*teacher_variables, batch.image)
            taught = jax.lax.stop_gradient(taught)
        results = {
            name: update_student(student, states[name], taught, batch)
            for name, student in students.items()
        }
        new_states = {name: state for name, (state, _) in results.items()}
        return new_states, {name: metrics for name, (_, metrics) in results.items()}

    return train_step


def update_student(
    student: Student, state: TrainState, taught: Outputs | None, batch: Batch
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One optimizer step. A non-finite loss or gradient leaves the state as it was.

    Returns:
      The next state, and scalars: loss, loss/<term>, top1, gradient_norm, skipped and
      what the supervisor reports.
    """

    def objective(params):
        seen, batch_stats = student.network.train(
            params, state.batch_stats, batch.image
        )
        supervision, memory = _supervision(student.method, state, seen, taught, batch)
        views = Views(seen, taught, batch.label, supervision)
        loss, metrics = evaluate_terms(student.method.terms, views, state.step)
        top1 = jnp.mean(jnp.argmax(seen.logits, -1) == batch.label, dtype=jnp.float32)
        metrics = {"loss": loss, "top1": top1} | metrics
        return loss, (batch_stats, memory, metrics)

    gradient = jax.value_and_grad(objective, has_aux=True)
    (loss, (batch_stats, memory, metrics)), gradients = gradient(state.params)
    norm = optax.tree.norm(gradients)
    updates, opt_state = student.optimizer.update(
        gradients, state.opt_state, state.params
    )
    new = TrainState(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        batch_stats=batch_stats,
        opt_state=opt_state,
        supervision_state=memory,
    )
    good = jnp.isfinite(loss) & jnp.isfinite(norm)
    metrics |= {"gradient_norm": norm, "skipped": 1.0 - good.astype(jnp.float32)}
    return _keep_good(good, new, state), metrics


def _keep_good(good: jax.Array, new: TrainState, old: TrainState) -> TrainState:
    """A bad batch must not poison weights, statistics or momentum: only step moves on.

    The loop counts such steps and stops the run when it happens again and again.
    """
    kept = jax.tree.map(lambda new, old: jnp.where(good, new, old), new, old)
    return dataclasses.replace(kept, step=new.step)


def _supervision(
    method: Method, state: TrainState, seen: Outputs, taught: Outputs, batch: Batch
):
    if method.supervisor is None:
        return None, state.supervision_state
    signals = Signals(
        student_logits=seen.logits,
        teacher_logits=taught.logits,
        labels=batch.label,
        index=batch.index,
        selection=batch.selection,
        step=state.step,
    )
    return supervise(method.supervisor, state.supervision_state, signals)
