"""A method's objective on given logits, as the train step would form it."""

import jax.numpy as jnp
import numpy as np

from kdjax.supervision.pipeline import supervise
from kdjax.types import Outputs, Signals, Views


def signals(student, teacher, labels, selection=None, step=0):
    batch = len(labels)
    return Signals(
        student_logits=student,
        teacher_logits=teacher,
        labels=labels,
        index=np.arange(batch, dtype=np.int32),
        selection=np.ones(batch, np.float32) if selection is None else selection,
        step=np.int32(step),
    )


def views(method, student, teacher, labels, selection=None):
    supervision = None
    if method.supervisor is not None:
        state = method.supervisor.temperature.init()
        seen = signals(student, teacher, labels, selection)
        supervision, _ = supervise(method.supervisor, state, seen)
    taught = Outputs(teacher, {})
    return Views(Outputs(student, {}), taught, jnp.asarray(labels), supervision)


def objective(method, student, teacher, labels, selection=None):
    seen = views(method, student, teacher, labels, selection)
    return sum(term.coefficient * jnp.mean(term.values(seen)) for term in method.terms)
