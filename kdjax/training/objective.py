"""What a method says of a network's answers: named terms to one scalar.

The only place where a loss is averaged over the batch.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax.methods import Method
from kdjax.supervision.pipeline import supervise
from kdjax.methods.base import Term
from kdjax.types import Batch, Outputs, PyTree, Signals, Traces, Views


def judge(
    method: Method,
    seen: Outputs,
    taught: Outputs | None,
    batch: Batch,
    selection: Float[Array, " batch"],
    step: Array,
    known: PyTree,
    mixed: PyTree = None,
) -> tuple[Float[Array, ""], tuple[PyTree, dict[str, Array]]]:
    """A method's objective: what it makes of a student's and a teacher's answers.

    `known` is `TrainState.supervision_state`, `mixed` what a mixture prepared.

    Returns:
      (the loss, (next `known`, metrics)); see `update_student` for the metrics.
    """
    loss, (known, metrics) = objective_of(
        method, seen, taught, batch, selection, step, known, mixed
    )
    # A mixture may train on more rows than the batch has; the first are its own.
    top = jnp.argmax(seen.logits[: batch.label.shape[0]], -1)
    top1 = jnp.mean(top == batch.label, dtype=jnp.float32)
    return loss, (known, {"loss": loss, "top1": top1} | metrics)


def objective_of(
    method: Method,
    seen: Outputs,
    taught: Outputs | None,
    batch: Batch,
    selection: Float[Array, " batch"],
    step: Array,
    known: PyTree,
    mixed: PyTree = None,
) -> tuple[Float[Array, ""], tuple[PyTree, dict[str, Array]]]:
    """`judge`, without the metrics that every method has."""
    supervision, warmth, told = _supervision(
        method, known["temperature"], seen, taught, batch, selection, step
    )
    remembered, traces = _memory(method, known["memory"], seen, batch, step)
    views = Views(
        student=seen,
        teacher=taught,
        labels=batch.label,
        supervision=supervision,
        selection=selection,
        step=step,
        remembered=remembered,
        mixed=mixed,
    )
    loss, metrics = evaluate_terms(method.terms, views, step)
    return loss, ({"temperature": warmth, "memory": traces}, metrics | told)


def evaluate_terms(
    terms: tuple[Term, ...], views: Views, step: Array
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Sums coefficient times batch mean over the terms.

    The mean runs over the whole global batch: under `jit` with a sharded batch that is
    so on any number of devices.

    Returns:
      The objective and one metric per term, "loss/<name>", before its coefficient.
    """
    total, metrics = jnp.zeros((), jnp.float32), {}
    for term in terms:
        mean = jnp.mean(term.values(views))
        scheduled = callable(term.coefficient)
        coefficient = term.coefficient(step) if scheduled else term.coefficient
        total = total + coefficient * mean
        metrics[f"loss/{term.name}"] = mean
    return total, metrics


def _supervision(
    method: Method,
    warmth: PyTree,
    seen: Outputs,
    taught: Outputs | None,
    batch: Batch,
    selection: Array,
    step: Array,
):
    """(Supervision, next state of the temperature rule, what to log of it)."""
    if method.supervisor is None:
        return None, warmth, {}
    signals = Signals(
        student_logits=seen.logits,
        teacher_logits=taught.logits,
        labels=batch.label,
        index=batch.index,
        selection=selection,
        step=step,
        members=taught.features.get("members"),
    )
    supervision, warmth = supervise(method.supervisor, warmth, signals)
    lowest = method.supervisor.temperature.lowest
    if not lowest:
        return supervision, warmth, {}
    floored = supervision.temperature <= lowest
    told = {
        "temperature/mean": jnp.mean(supervision.temperature),
        "temperature/floored": jnp.mean(floored, dtype=jnp.float32),
    }
    return supervision, warmth, told


def _memory(method: Method, traces: PyTree, seen: Outputs, batch: Batch, step: Array):
    """(what is remembered of the batch's samples, next state of the memory)."""
    if method.memory is None:
        return None, traces
    present = Traces(seen.logits, batch.label, batch.index, step)
    return method.memory.update(traces, jax.lax.stop_gradient(present))
