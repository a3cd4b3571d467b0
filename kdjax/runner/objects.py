"""Networks and teachers that a caller has in memory, as sections of a config."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.models import PROVIDED, WEIGHTS
from kdjax.models.convert import as_network, has_weights
from kdjax.models.network import Network
from kdjax.runner.trained import Trained

_TEACHERS = (
    "what kdjax.train returned, the directory of a run, (network, params, "
    "batch_stats), a trained module of flax.nnx or equinox, or a Network whose init "
    "gives its weights"
)


def network_name(what: str, network: Any, networks: dict[str, Network]) -> str:
    """The name of a network in a config; an object is put into the dict.

    It is the same in every process, and another one for another network, or for a
    module of NNX or Equinox with other weights.
    """
    if isinstance(network, str):
        return network
    name, own = as_network(what, network)
    if has_weights(network):  # with others of these shapes it is another run
        images = jnp.zeros((1, 8, 8, 3))  # of which it reads no pixel
        weights = checkpoints.digest(own.init(jax.random.key(0), images))
        name += f"{WEIGHTS}{weights[:8]}"
    networks[name] = own
    return PROVIDED + name


def teacher_section(teacher: Any, networks: dict[str, Network]) -> dict:
    """Of a config; a teacher in memory becomes a network that brings its weights."""
    if teacher is None:
        return {}
    if isinstance(teacher, str | pathlib.Path):
        return {"workdir": str(teacher)}
    if isinstance(teacher, Trained):
        if not teacher.is_provided:
            which = {"student": teacher.student, "checkpoint": teacher.checkpoint}
            return {"workdir": str(teacher.workdir)} | which
        teacher = teacher.network, teacher.params, teacher.batch_stats
    if isinstance(teacher, Network) or has_weights(teacher):
        name, network = as_network("teacher", teacher)
    elif isinstance(teacher, tuple) and len(teacher) in (2, 3):
        if isinstance(teacher[0], str):
            raise InputError(
                f"teacher[0] is {teacher[0]!r}; expected a network, as of a name: "
                f"kdjax.models.create({teacher[0]!r}, num_classes=...)."
            )
        name, network = as_network("teacher[0]", teacher[0])
        pair = teacher[1], (teacher[2] if len(teacher) == 3 else {})
        network = network._replace(init=lambda key, images: pair)
    else:
        count = f" of {len(teacher)}" if isinstance(teacher, tuple) else ""
        raise InputError(
            f"teacher is {type(teacher).__name__}{count}; expected {_TEACHERS}."
        )
    networks[f"teacher-{name}"] = network
    return {"network": f"{PROVIDED}teacher-{name}"}
