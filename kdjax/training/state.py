"""What a student is while it trains: arrays, to be saved, donated and compared."""

import dataclasses

import jax
import optax
from jaxtyping import Array, Int

from kdjax.methods import Method
from kdjax.models.network import Network
from kdjax.types import PyTree


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainState:
    """One student's arrays. The teacher's never enter a state."""

    step: Int[Array, ""]
    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    supervision_state: PyTree  # () unless a rule remembers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Student:
    """One student's functions. They live in closures; arrays are in `TrainState`."""

    network: Network
    method: Method
    optimizer: optax.GradientTransformation
    seed: int  # of the initial weights; data order belongs to the run


def initial_state(student: Student, images: Array) -> TrainState:
    """Draws a student's first state; call it inside jit with out_shardings.

    Args:
      student: what to initialise.
      images: [batch, height, width, channels] floats; only the shape matters.
    """
    params, batch_stats = student.network.init(jax.random.key(student.seed), images)
    supervisor = student.method.supervisor
    return TrainState(
        step=jax.numpy.zeros((), jax.numpy.int32),
        params=params,
        batch_stats=batch_stats,
        opt_state=student.optimizer.init(params),
        supervision_state=supervisor.temperature.init() if supervisor else (),
    )
