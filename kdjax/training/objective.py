"""From a network's outputs to its method's loss: named terms to one scalar.

The only place where a loss is averaged over the batch.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax.methods.base import Method
from kdjax.supervision.pipeline import supervise
from kdjax.types import Batch, LossInputs, MemoryInputs, Outputs, PyTree, Signals


def compute_loss(
    method: Method,
    student_outputs: Outputs,
    teacher_outputs: Outputs | None,
    batch: Batch,
    selection: Float[Array, " batch"],
    step: Array,
    supervision_state: PyTree,
    mixed: PyTree = None,
) -> tuple[Float[Array, ""], tuple[PyTree, dict[str, Array]]]:
    """A method's loss: sum over its terms of coefficient times batch mean.

    The mean runs over the whole global batch: under `jit` with a sharded batch that is
    so on any number of devices.

    Args:
      selection: the run's weights of the samples.
      step: number of the training step, which coefficients may depend on.
      supervision_state: `TrainState.supervision_state`.
      mixed: what a mixture prepared.

    Returns:
      (the loss, (next `supervision_state`, metrics)); one metric per term,
      "loss/<name>", is its mean before the coefficient.
    """
    supervision, temperature_state, reported = _supervise(
        method.supervisor,
        supervision_state["temperature"],
        student_outputs,
        teacher_outputs,
        batch,
        selection,
        step,
    )
    remembered, memory = None, supervision_state["memory"]
    if method.memory is not None:
        present = MemoryInputs(student_outputs.logits, batch.label, batch.index, step)
        remembered, memory = method.memory.update(
            memory, jax.lax.stop_gradient(present)
        )
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
    loss, metrics = jnp.zeros((), jnp.float32), {}
    for term in method.terms:
        mean = jnp.mean(term.values(inputs))
        scheduled = callable(term.coefficient)
        coefficient = term.coefficient(step) if scheduled else term.coefficient
        loss = loss + coefficient * mean
        metrics[f"loss/{term.name}"] = mean
    # A mixture may train on more images than the batch has; the first are its own.
    top = jnp.argmax(student_outputs.logits[: batch.label.shape[0]], -1)
    top1 = jnp.mean(top == batch.label, dtype=jnp.float32)
    metrics = {"loss": loss, "top1": top1} | metrics | reported
    return loss, ({"temperature": temperature_state, "memory": memory}, metrics)


def _supervise(
    supervisor, state, student_outputs, teacher_outputs, batch, selection, step
):
    """(Supervision, next state of the temperature rule, metrics)."""
    if supervisor is None:
        return None, state, {}
    signals = Signals(
        student_logits=student_outputs.logits,
        teacher_logits=teacher_outputs.logits,
        labels=batch.label,
        index=batch.index,
        selection=selection,
        step=step,
        members=teacher_outputs.features.get("members"),
    )
    supervision, state = supervise(supervisor, state, signals)
    lowest = supervisor.temperature.lowest
    if not lowest:
        return supervision, state, {}
    floored = supervision.temperature <= lowest
    return (
        supervision,
        state,
        {
            "temperature/mean": jnp.mean(supervision.temperature),
            "temperature/floored": jnp.mean(floored, dtype=jnp.float32),
        },
    )
