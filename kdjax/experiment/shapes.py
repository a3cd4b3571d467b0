"""What a method makes of both networks' outputs, by their shapes alone."""

import functools

import jax
import jax.numpy as jnp

from kdjax.experiment.builders import guarded
from kdjax.methods.base import Method
from kdjax.models.network import Network
from kdjax.training.objective import compute_loss
from kdjax.training.state import initial_memory
from kdjax.types import Batch, ConnectorInputs, Outputs, PyTree


def check_shapes(
    where: str, method: Method, student: Outputs, teacher: Outputs, **declared: PyTree
):
    """Raises InputError where connectors or terms cannot take what the networks give.

    Nothing is compiled. Outputs, and `declared` of `declared_of`, may be shapes; the
    batch is as large as the outputs'.
    """
    objective = functools.partial(_objective, method)
    guarded(where, jax.eval_shape, objective, student, teacher, declared)


def declared_of(
    method: Method, student: Network, image_shape, teacher_variables: PyTree
) -> dict[str, PyTree]:
    """The shapes of what `LossInputs` has of both networks' parameters, as needed."""
    declared = {}
    if "teacher_variables" in method.needs:
        declared["teacher_variables"] = teacher_variables
    if "student_parameters" in method.needs:
        images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
        params, _ = jax.eval_shape(student.init, jax.random.key(0), images)
        declared["student_parameters"] = params
    return declared


def _objective(method: Method, student: Outputs, teacher: Outputs, declared: dict):
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
        **declared,
    )[0]
