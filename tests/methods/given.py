"""A method's objective on outputs that a test gives: as the train step sums it."""

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.supervision import signals
from kdjax.supervision.pipeline import supervise
from kdjax.types import LossInputs, Outputs

CLASSES = 5


def outputs(rng, batch, **shapes) -> Outputs:
    """Random logits of five classes, and random features of these shapes."""
    features = {
        name: np.float32(rng.normal(size=(batch, *shape)))
        for name, shape in shapes.items()
    }
    return Outputs(np.float32(2 * rng.normal(size=(batch, CLASSES))), features)


def supervised(method, student, teacher, labels, selection=None):
    """What the method's supervisor makes of the logits; None without one."""
    if method.supervisor is None:
        return None
    rule = method.supervisor.temperature
    given = signals(student.logits, teacher.logits, labels, selection=selection)
    return supervise(method.supervisor, rule.init() if rule else (), given)[0]


def loss_inputs(method, student, teacher, labels, selection=None, **more) -> LossInputs:
    return LossInputs(
        student=student,
        teacher=teacher,
        labels=jnp.asarray(labels),
        supervision=supervised(method, student, teacher, labels, selection=selection),
        selection=None if selection is None else jnp.asarray(selection),
        step=jnp.int32(0),
        **more,
    )


@jax.jit
def _mean(values):
    return jnp.mean(values)


def terms(method, inputs) -> dict[str, float]:
    """Name -> coefficient times the batch mean, of each term."""
    return {
        term.name: float(term.coefficient * _mean(term.values(inputs)))
        for term in method.terms
    }
