"""Teachers that no run trained: networks with weights of their own, or shapes alone."""

import jax
import jax.numpy as jnp
import numpy as np

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.experiment import pretrained, teacher_inputs
from kdjax.experiment.networks import build_network, check_classes, count_classes
from kdjax.experiment.pretrained import Teacher
from kdjax.experiment.teacher_inputs import Adapted, adapt
from kdjax.models import PROVIDED
from kdjax.models.ensemble import ensemble


def teacher_shape(data: dict, section: dict) -> list[int]:
    """(height, width, channels) of a teacher's own input in a run."""
    size = teacher_inputs.input_size("config.teacher", section)
    return [*(size or data["image_shape"][:2]), data["image_shape"][2]]


def untrained_teacher(models: list[dict], data: dict, section: dict) -> Teacher:
    """Networks of `model` sections as a teacher without weights, only their shapes."""
    adapted = [adapted_network("--teacher", model, data, section) for model in models]
    members = [one.network for one in adapted]
    network = members[0] if len(members) == 1 else ensemble(tuple(members))
    images = jax.ShapeDtypeStruct((2, *teacher_shape(data, section)), jnp.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), images)
    names = ",".join(model["name"] for model in models)
    return Teacher(network, shapes, {"network": names, "digest": ""}, len(members))


def adapted_network(path: str, model: dict, data: dict, section: dict) -> Adapted:
    """The network of a `model` section, adapted as a `teacher` section says."""
    shape, file = teacher_shape(data, section), section.get("classes", "")
    expected = data["classes"]
    if file:
        expected = len(teacher_inputs.read_names("config.teacher.classes", file))
    network = build_network(path, model, expected)
    classes = count_classes(path, network, shape)
    check_classes(path, classes, expected)
    trained_on = data | {"classes": classes, "image_shape": shape}
    return adapt("config.teacher", network, trained_on, data, section)


def foreign_teacher(name: str, data: dict, section: dict) -> Teacher:
    """A `package.module:function` whose network brings its weights in `init`."""
    path = "config.teacher.network"
    if ":" not in name:
        raise InputError(
            f"{path} is {name!r}; expected package.module:function. A network of kdjax "
            "has no weights of its own: name the workdir that trained it instead."
        )
    adapted = adapted_network(path, {"name": name}, data, section)
    images = jnp.zeros((1, *teacher_shape(data, section)), jnp.float32)
    init = jax.jit(adapted.network.init)
    variables = jax.tree.map(np.asarray, init(jax.random.key(0), images))
    identity = {"network": name, "digest": checkpoints.digest(variables)}
    if name.startswith(PROVIDED):
        other = checkpoints.digest(init(jax.random.key(1), images))
        if other != identity["digest"]:
            raise InputError(
                "teacher is a network whose init draws its weights, so nobody trained "
                "it; expected one with weights: (network, params, batch_stats), what "
                "kdjax.train returned, or the directory of a run."
            )
    own = identity, variables, {}
    identity = pretrained.identified(*own, adapted.changes, section)
    return Teacher(adapted.network, variables, identity, places=adapted.places)
