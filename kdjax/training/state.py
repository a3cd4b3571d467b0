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
from kdjax.training import ema
from kdjax.types import ConnectorInputs, PyTree


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainState:
    """One student's arrays. The teacher's never enter a state."""

    step: Int[Array, ""]
    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    # Of the temperature rule, of the method's memory and, with `Student.loss_spike`,
    # the running mean of the loss.
    supervision_state: PyTree
    # name -> {"params", "state"} of the method's connectors
    connectors: PyTree = dataclasses.field(default_factory=dict)
    ema: PyTree = dataclasses.field(default_factory=dict)  # {}: none; see `ema.initial`

    @property
    def evaluated(self) -> tuple[PyTree, PyTree]:
        """(params, batch_stats) of the network that counts: the average's, if any."""
        if self.ema:
            return self.ema["params"], self.ema["batch_stats"]
        return self.params, self.batch_stats

    @property
    def trained(self) -> PyTree:
        """All that the optimizer trains: of most methods the parameters alone."""
        if not self.connectors:
            return self.params
        own = {name: one["params"] for name, one in self.connectors.items()}
        return {"network": self.params, "connectors": own}


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
    ema_decay: float = 0.0  # of an average of the weights, below 1; 0: none
    loss_spike: float = 0.0  # skips a loss above so many times the mean; 0: none


def initial_state(
    student: Student, images: Array, teacher: tuple[Network, PyTree] | None = None
) -> TrainState:
    """Draws a student's first state; call it inside jit with out_shardings.

    `images` are floats [batch, height, width, channels]; only the shape matters.
    Connectors need the `teacher`, (network, variables), and of it the shapes alone.
    """
    key = jax.random.key(student.seed)
    params, batch_stats = student.network.init(key, images)
    state = TrainState(
        step=jax.numpy.zeros((), jax.numpy.int32),
        params=params,
        batch_stats=batch_stats,
        opt_state=(),
        supervision_state=initial_memory(student.method, student.loss_spike > 0),
        connectors=_connectors(student, key, (params, batch_stats), images, teacher),
        ema=ema.initial(params, batch_stats) if student.ema_decay else {},
    )
    return dataclasses.replace(state, opt_state=student.optimizer.init(state.trained))


def _connectors(student: Student, key, variables, images, teacher) -> PyTree:
    if not student.method.connectors:
        return {}
    if teacher is None:
        raise ValueError(
            "initial_state: the method has connectors, which are drawn for both "
            "networks; expected teacher = (network, variables)."
        )
    network, teacher_variables = teacher
    shapes = ConnectorInputs(
        jax.eval_shape(student.network.evaluate, *variables, images),
        jax.eval_shape(network.evaluate, *teacher_variables, images),
    )
    result = {}
    for number, (name, one) in enumerate(student.method.connectors.items(), start=1):
        params, own = one.init(jax.random.fold_in(key, number), shapes)
        result[name] = {"params": params, "state": own}
    return result


def initial_memory(method: Method, averages_loss: bool = False) -> PyTree:
    """What the temperature rule, the method's memory and a mean loss start with."""
    supervisor, memory = method.supervisor, method.memory
    temperature = supervisor.temperature if supervisor else None
    states = {
        "temperature": temperature.init() if temperature else (),
        "memory": memory.init() if memory else (),
    }
    if averages_loss:
        states["loss"] = ema.initial({"loss": jax.numpy.zeros(())}, {})
    return states
