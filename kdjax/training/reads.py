"""What a method looks at, found by tracing: so of those that are yet to be written."""

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, Var

from kdjax.methods import Method
from kdjax.training.objective import compute_loss
from kdjax.training.state import initial_memory
from kdjax.types import Batch, Outputs


def reads(
    method: Method, student_outputs: Outputs, teacher_outputs: Outputs | None
) -> set[str]:
    """Which of "label" and "index" of a sample the method's objective looks at.

    Args:
      method: without a mixture of its own.
      seen: shapes of what the student says to a batch.
      taught: shapes of what the teacher says to it; None without one.
    """
    number = jax.ShapeDtypeStruct(student_outputs.logits.shape[:1], jnp.int32)
    asked = {"index": number, "label": number}
    rest = {
        "student_outputs": student_outputs,
        "teacher_outputs": teacher_outputs,
        "selection": jax.ShapeDtypeStruct(number.shape, jnp.float32),
        "step": jax.ShapeDtypeStruct((), jnp.int32),
        "supervision_state": jax.eval_shape(lambda: initial_memory(method)),
    }

    def objective(asked, rest):
        batch = Batch(image=None, epoch=None, sample_info={}, **asked)
        loss, (memory, _) = compute_loss(method, batch=batch, **rest)
        return loss, memory

    jaxpr = jax.make_jaxpr(objective)(asked, rest).jaxpr
    used = needed(jaxpr)
    # The arguments of a jaxpr are in the order of sorted keys.
    return {x for x, var in zip(asked, jaxpr.invars, strict=False) if var in used}


def needed(jaxpr: Jaxpr) -> set[Var]:
    """The variables that what it returns depends on, as far as equations tell."""
    found = {x for x in jaxpr.outvars if isinstance(x, Var)}
    for equation in reversed(jaxpr.eqns):
        if found & set(equation.outvars):
            found |= {x for x in equation.invars if isinstance(x, Var)}
    return found
