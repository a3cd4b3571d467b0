"""A method's objective on given logits, as the train step would form it."""

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.supervision.pipeline import supervise
from kdjax.types import LossInputs, MemoryInputs, Outputs, Signals


def signals(student, teacher, labels, selection=None, step=0, members=None, index=None):
    batch = len(labels)
    return Signals(
        student_logits=student,
        teacher_logits=teacher,
        labels=labels,
        index=np.arange(batch, dtype=np.int32) if index is None else index,
        selection=np.ones(batch, np.float32) if selection is None else selection,
        step=np.int32(step),
        members=members,
    )


def inputs(method, student, teacher, labels, selection=None, *, mixed=None, **rest):
    """What terms see. `student` is [batch, classes], or [batch, networks, classes] for
    a method of several networks; `members` are the teachers' own logits."""
    outputs = Outputs(student, {})
    if method.networks > 1:
        outputs = Outputs(jnp.mean(student, 1), {}, student)
    given = signals(outputs.logits, teacher, labels, selection, **rest)
    supervision = remembered = None
    if method.supervisor is not None:
        rule = method.supervisor.temperature
        state = rule.init() if rule else ()
        supervision, _ = supervise(method.supervisor, state, given)
        own = method.supervisor.transformed(outputs.logits)
        supervision = supervision._replace(student_logits=own)
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
