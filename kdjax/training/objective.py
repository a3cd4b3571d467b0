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
    key: Array | None = None,
    **declared: PyTree,
) -> tuple[Float[Array, ""], tuple[PyTree, dict[str, Array]]]:
    """A method's loss: sum over its terms of coefficient times batch mean.

    The mean runs over the whole global batch: under `jit` with a sharded batch that is
    so on any number of devices.

    `selection` has the run's weights of the samples, `mixed` is what a mixture
    prepared, and coefficients may depend on the number of the `step`. `declared` are
    the fields of `LossInputs` that a method asks for: `connected`, `second_view`,
    `image_gradients`, `teacher_variables` and so on. Returned are
    (the loss, (next `supervision_state`, metrics)); one metric per term, "loss/<name>",
    is its mean before the coefficient.

    Raises:
      ValueError: a term's values have another number of axes than one: a [b, b] of a
        stray axis has a mean too.
    """
    state, memory = supervision_state["temperature"], supervision_state["memory"]
    arrays = (student_outputs, teacher_outputs, batch, selection, step)
    supervision, state, reported = _supervise(method.supervisor, state, *arrays)
    remembered = None
    if method.memory is not None:
        sample = (batch.label, batch.index, step, declared.get("connected", {}))
        present = MemoryInputs(student_outputs, teacher_outputs, *sample)
        present = jax.lax.stop_gradient(present)._replace(key=key)
        remembered, memory = method.memory.update(memory, present)
    inputs = LossInputs(
        student=student_outputs,
        teacher=teacher_outputs,
        labels=batch.label,
        supervision=supervision,
        selection=selection,
        step=step,
        remembered=remembered,
        mixed=mixed,
        label_mixture=batch.label_mixture,
        **declared,
    )
    loss, metrics = jnp.zeros((), jnp.float32), {}
    for term in method.terms:
        mean = _mean(term.name, term.values(inputs))
        scheduled = callable(term.coefficient)
        coefficient = term.coefficient(step) if scheduled else term.coefficient
        loss = loss + coefficient * mean
        metrics[f"loss/{term.name}"] = mean
    # A mixture may train on more images than the batch has; the first are its own.
    top = jnp.argmax(student_outputs.logits[: batch.label.shape[0]], -1)
    top1 = jnp.mean(top == _likelier_label(batch), dtype=jnp.float32)
    if method.report is not None:
        reported |= method.report(inputs)
    metrics = {"loss": loss, "top1": top1} | metrics | reported
    return loss, ({"temperature": state, "memory": memory}, metrics)


def _mean(name: str, values: Array) -> Array:
    """Of a term's values; a mixture may train on more rows than the batch has."""
    if jnp.ndim(values) != 1:
        raise ValueError(
            f"compute_loss: the values of the term {name!r} have shape "
            f"{jnp.shape(values)}; expected one axis, [batch], a value for each sample."
        )
    return jnp.mean(values)


def _likelier_label(batch: Batch) -> Array:
    """The label with the larger share, where images are mixtures of two samples."""
    mixture = batch.label_mixture
    if mixture is None:
        return batch.label
    return jnp.where(mixture.share >= 0.5, batch.label, mixture.other)


def _supervise(
    supervisor, state, student_outputs, teacher_outputs, batch, selection, step
):
    """(Supervision, next state of the temperature rule, metrics)."""
    if supervisor is None:
        return None, state, {}
    if teacher_outputs is None:
        raise ValueError(
            "compute_loss: the method has a supervisor and teacher_outputs is None; "
            "expected the teacher's: give the step a teacher."
        )
    signals = Signals(
        student_logits=student_outputs.logits,
        teacher_logits=teacher_outputs.logits,
        labels=batch.label,
        index=batch.index,
        selection=selection,
        step=step,
        members=teacher_outputs.member_logits,
    )
    supervision, state = supervise(supervisor, state, signals)
    metrics = _temperatures(supervisor.temperature, supervision)
    if supervisor.logits or supervisor.target:
        # Targets round to equals at high temperatures, logits do not.
        after = supervision.target if supervisor.target else supervision.logits
        metrics |= _changed(teacher_outputs.logits, after, batch.label)
    return supervision, state, metrics


def _changed(logits: Array, after: Array, labels: Array) -> dict[str, Array]:
    """How often the teacher is right, and rules put another class on top."""
    before, after = jnp.argmax(logits, -1), jnp.argmax(after, -1)
    shares = {"teacher/top1": before == labels, "target/changed": before != after}
    return {name: jnp.mean(x, dtype=jnp.float32) for name, x in shares.items()}


def _temperatures(rule, supervision) -> dict[str, Array]:
    """Metrics of temperatures that differ between samples or steps."""
    if rule is None or rule.constant is not None:
        return {}
    temperature = supervision.temperature
    metrics = {
        "temperature/mean": jnp.mean(temperature),
        "temperature/min": jnp.min(temperature),
        "temperature/max": jnp.max(temperature),
    }
    if rule.lowest:
        floored = temperature <= rule.lowest
        metrics["temperature/floored"] = jnp.mean(floored, dtype=jnp.float32)
    return metrics
