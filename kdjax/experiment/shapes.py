"""What a method makes of both networks' outputs, by their shapes alone."""

import functools

import jax
import jax.numpy as jnp

from kdjax.experiment.builders import guarded
from kdjax.methods.base import STEP_NEEDS, Method
from kdjax.training.objective import compute_loss
from kdjax.training.state import initial_memory
from kdjax.types import Batch, ConnectorInputs, Outputs


def check_shapes(where: str, method: Method, student: Outputs, teacher: Outputs):
    """Raises InputError where connectors or terms cannot take what the networks give.

    Nothing is compiled. Not checked are methods that look at more than outputs: a
    mixture, a second view, gradients or parameters.
    """
    others = {*method.needs} & {*STEP_NEEDS}
    if not (others or method.mixture or method.second_view):
        objective = functools.partial(_objective, method)
        guarded(where, jax.eval_shape, objective, student, teacher)


def _objective(method: Method, student: Outputs, teacher: Outputs) -> jax.Array:
    key, numbers = jax.random.key(0), jnp.zeros(len(student.logits), jnp.int32)
    inputs, connected = ConnectorInputs(student, teacher), {}
    for name, connector in method.connectors.items():
        params, state = connector.init(key, inputs)
        connected[name], _ = connector.apply(params, state, inputs, True)
    return compute_loss(
        method,
        student,
        teacher,
        Batch(None, numbers, numbers, numbers, {}),
        jnp.ones(len(numbers)),
        jnp.int32(0),
        initial_memory(method),
        key=key,
        connected=connected,
    )[0]
