"""The optimizer of a config, with a rate of its own for the head of a network."""

from typing import Any, NamedTuple

from kdjax.experiment.builders import call_named, optimizers
from kdjax.experiment.fields import Limits, check_value
from kdjax.models.network import Network
from kdjax.training.optimizers import with_rate
from kdjax.training.schedules import Schedule

HEAD_RATE = "head_rate"  # of any optimizer, whatever its builder takes


class Rated(NamedTuple):
    """An optimizer, and how many times the schedule's rate the head has."""

    optimizer: Any  # an optax.GradientTransformation
    head_rate: float

    def of_network(
        self,
        path: str,
        section: dict,
        network: Network,
        image_shape: tuple[int, ...],
        classes: int,
        has_connectors: bool,
    ) -> Any:
        """The optimizer of a student; `section` is as in `student_network`."""
        from kdjax.experiment.heads import head_axes

        axes = head_axes(path, section, network, image_shape, classes)
        # What is trained is {"network", "connectors"} where a method has connectors.
        start = "network/" if has_connectors else ""
        names = [name for name in axes if name.startswith("params/")]
        names = {start + name.removeprefix("params/") for name in names}
        return with_rate(self.optimizer, self.head_rate, frozenset(names))


def build_optimizer(path: str, section: dict, schedule: Schedule) -> Rated:
    """The optimizer of an `optimizer` section."""
    own, rate = split(path, section)
    table = optimizers(path, own)
    return Rated(call_named(path, table, own, schedule=schedule), rate)


def split(path: str, section: dict) -> tuple[dict, float]:
    """(what the builder is given, head_rate), checked."""
    rate = section.get(HEAD_RATE, 1.0)
    check_value(f"{path}.{HEAD_RATE}", float, rate, Limits(low=0))
    return {k: value for k, value in section.items() if k != HEAD_RATE}, rate
