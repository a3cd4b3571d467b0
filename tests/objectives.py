"""A method's objective on given logits, as the train step would form it."""

import jax
import jax.numpy as jnp

from kdjax.supervision import signals, supervise
from kdjax.types import LossInputs, MemoryInputs, Outputs


def inputs(method, student, teacher, labels, selection=None, *, mixed=None, **rest):
    """What terms see. `student` is [batch, classes], or [batch, networks, classes] for
    a method of several networks; `members` are the teachers' own logits."""
    outputs = Outputs(student, {})
    if method.networks > 1:
        outputs = Outputs(jnp.mean(student, 1), {}, student)
    given = signals(outputs.logits, teacher, labels, selection=selection, **rest)
    supervision = remembered = None
    if method.supervisor is not None:
        rule = method.supervisor.temperature
        state = rule.init() if rule else ()
        supervision, _ = supervise(method.supervisor, state, given)
    if method.memory is not None:
        present = MemoryInputs(
            outputs, None, jnp.asarray(labels), given.index, given.step
        )
        present = jax.lax.stop_gradient(present)
        remembered, _ = method.memory.update(method.memory.init(), present)
    return LossInputs(
        student=outputs,
        teacher=None if teacher is None else Outputs(teacher, {}),
        labels=jnp.asarray(labels),
        supervision=supervision,
        selection=given.selection,
        step=given.step,
        remembered=remembered,
        mixed=mixed,
    )


def objective(method, student, teacher, labels, selection=None, **rest):
    given = inputs(method, student, teacher, labels, selection, **rest)
    total = 0.0
    for term in method.terms:
        scheduled = callable(term.coefficient)
        weight = term.coefficient(given.step) if scheduled else term.coefficient
        total += weight * jnp.mean(term.values(given))
    return total
