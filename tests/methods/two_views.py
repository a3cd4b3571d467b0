"""A method for tests: cross entropy, and both networks' agreement on a second view."""

import jax.numpy as jnp

from kdjax import losses
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.methods.terms import hard_label


def build(*, kind: str = "crop", weight: float = 1.0) -> Method:
    """`kind` is of the second view, on which the student matches the teacher."""

    def values(inputs):
        student, teacher = inputs.second_view
        distance = losses.mean_squared_error(student.logits, teacher.logits)
        first = losses.mean_squared_error(inputs.student.logits, student.logits)
        return distance + jnp.float32(0.1) * first

    terms = hard_label(1.0), Term("second_view", weight, values, NOTHING)
    return Method(terms=terms, second_view=kind, needs_teacher=True)
