"""What a method says of a network's answers: named terms to one scalar.

The only place where a loss is averaged over the batch.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax.methods import Method
from kdjax.methods.base import Term
from kdjax.supervision.pipeline import supervise
from kdjax.types import Batch, LossInputs, MemoryInputs, Outputs, PyTree, Signals


def compute_loss(
    method: Method,
    student_outputs: Outputs,
    teacher_outputs: Outputs | None,
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
        method, student_outputs, teacher_outputs, batch, selection, step, known, mixed
    )
    # A mixture may train on more rows than the batch has; the first are its own.
    top = jnp.argmax(student_outputs.logits[: batch.label.shape[0]], -1)
    top1 = jnp.mean(top == batch.label, dtype=jnp.float32)
    return loss, (known, {"loss": loss, "top1": top1} | metrics)


def objective_of(
    method: Method,
    student_outputs: Outputs,
    teacher_outputs: Outputs | None,
    batch: Batch,
    selection: Float[Array, " batch"],
    step: Array,
    known: PyTree,
    mixed: PyTree = None,
) -> tuple[Float[Array, ""], tuple[PyTree, dict[str, Array]]]:
    """`judge`, without the metrics that every method has."""
    supervision, temperature_state, told = _supervision(
        method,
        known["temperature"],
        student_outputs,
        teacher_outputs,
        batch,
        selection,
        step,
    )
    remembered, traces = _memory(method, known["memory"], student_outputs, batch, step)
    inputs = LossInputs(
        student=student_outputs,
        teacher=teacher_outputs,
        labels=batch.label,
        supervision=supervision,
        selection=selection,
        step=step,
        remembered=remembered,
        mixed=mixed,
    )
    loss, metrics = evaluate_terms(method.terms, inputs, step)
    return loss, ({"temperature": temperature_state, "memory": traces}, metrics | told)


def evaluate_terms(
    terms: tuple[Term, ...], inputs: LossInputs, step: Array
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Sums coefficient times batch mean over the terms.

    The mean runs over the whole global batch: under `jit` with a sharded batch that is
    so on any number of devices.

    Returns:
      The objective and one metric per term, "loss/<name>", before its coefficient.
    """
    total, metrics = jnp.zeros((), jnp.float32), {}
    for term in terms:
        mean = jnp.mean(term.values(inputs))
        scheduled = callable(term.coefficient)
        coefficient = term.coefficient(step) if scheduled else term.coefficient
        total = total + coefficient * mean
        metrics[f"loss/{term.name}"] = mean
    return total, metrics


def _supervision(
    method: Method,
    temperature_state: PyTree,
    student_outputs: Outputs,
    teacher_outputs: Outputs | None,
    batch: Batch,
    selection: Array,
    step: Array,
):
    """(Supervision, next state of the temperature rule, what to log of it)."""
    if method.supervisor is None:
        return None, temperature_state, {}
    signals = Signals(
        student_logits=student_outputs.logits,
        teacher_logits=teacher_outputs.logits,
        labels=batch.label,
        index=batch.index,
        selection=selection,
        step=step,
        members=teacher_outputs.features.get("members"),
    )
    supervision, temperature_state = supervise(
        method.supervisor, temperature_state, signals
    )
    lowest = method.supervisor.temperature.lowest
    if not lowest:
        return supervision, temperature_state, {}
    floored = supervision.temperature <= lowest
    told = {
        "temperature/mean": jnp.mean(supervision.temperature),
        "temperature/floored": jnp.mean(floored, dtype=jnp.float32),
    }
    return supervision, temperature_state, told


def _memory(
    method: Method, traces: PyTree, student_outputs: Outputs, batch: Batch, step: Array
):
    """(what is remembered of the batch's samples, next state of the memory)."""
    if method.memory is None:
        return None, traces
    present = MemoryInputs(student_outputs.logits, batch.label, batch.index, step)
    return method.memory.update(traces, jax.lax.stop_gradient(present))
