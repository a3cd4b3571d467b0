"""What a student is while it trains: arrays, to be saved, donated and compared."""

import dataclasses
import math
from collections.abc import Callable

import jax
import numpy as np
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
    supervision_state: PyTree  # of the temperature rule and of the method's memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionSchedule:
    """Renews a student's sample_info from its own present outputs.

    `compute` is ({"logits": [n, k], "features": [n, d]}, present sample_info) -> next;
    with several networks [n, m, k] and [n, m, d]; NumPy, on the host. `reference` is
    (network, variables) whose outputs are taken at `first_epoch`, where the student has
    not learnt anything yet.
    """

    first_epoch: float  # before it, the sample_info is `start`
    every_epochs: float  # between two renewals; 0 for a single one
    start: dict[str, np.ndarray]  # name -> [n, ...]; kept where `compute` is None
    compute: Callable[[dict[str, np.ndarray], dict], dict[str, np.ndarray]] | None
    reference: tuple[Network, PyTree] | None = None
    wants_teacher: bool = False  # whether `compute` reads "teacher_logits" [n, k]
    digest: str = ""  # of the file or the network that it comes from

    def __post_init__(self):
        for name in ("first_epoch", "every_epochs"):
            value = getattr(self, name)
            if not value >= 0 or (self.compute and math.isinf(value)):
                raise ValueError(f"selection: {name} is {value}; expected >= 0.")

    def first_step(self, steps_per_epoch: float) -> int:
        """Number of the step before which the first renewal is due."""
        return math.ceil(self.first_epoch * steps_per_epoch)

    def due(self, step: int, steps_per_epoch: float) -> bool:
        """True where a renewal is due before step number `step`."""
        if self.compute is None:
            return False
        since = step - self.first_step(steps_per_epoch)
        if since <= 0 or not self.every_epochs:
            return since == 0
        period = self.every_epochs * steps_per_epoch
        return math.floor(since / period) > math.floor((since - 1) / period)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Student:
    """One student's functions. They live in closures; arrays are in `TrainState`."""

    network: Network
    method: Method
    optimizer: optax.GradientTransformation
    seed: int  # of the initial weights; data order belongs to the run
    selection_schedule: SelectionSchedule | None = None


def initial_state(student: Student, images: Array) -> TrainState:
    """Draws a student's first state; call it inside jit with out_shardings.

    `images` are floats [batch, height, width, channels]; only the shape matters.
    """
    params, batch_stats = student.network.init(jax.random.key(student.seed), images)
    return TrainState(
        step=jax.numpy.zeros((), jax.numpy.int32),
        params=params,
        batch_stats=batch_stats,
        opt_state=student.optimizer.init(params),
        supervision_state=initial_memory(student.method),
    )


def initial_memory(method: Method) -> PyTree:
    """What the temperature rule and the method's memory start with."""
    supervisor, memory = method.supervisor, method.memory
    return {
        "temperature": supervisor.temperature.init() if supervisor else (),
        "memory": memory.init() if memory else (),
    }
