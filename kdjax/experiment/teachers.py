"""The teacher of a run: one network or several, trained here or from elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.experiment.networks import build_network, check_classes, count_classes
from kdjax.experiment.pretrained import (
    Teacher,
    identified,
    imported_models,
    load_trained,
)
from kdjax.experiment.teacher_inputs import (
    INPUT_KEYS,
    Adapted,
    adapt,
    input_size,
    read_names,
)
from kdjax.models.ensemble import ensemble
from kdjax.weights import imported


def load_teacher(section: dict, data: dict) -> Teacher | None:
    """Loads the teacher that a `teacher` section names, or None where it names none.

    Args:
      section: workdir (several, separated by commas, are an ensemble), student and
        checkpoint (one for all, or one each), network; input_size, resize and classes
        for all.
      data: classes, class_names, image_shape and normalisation of the run that it is
        to teach in.
    """
    if section["network"] and section["workdir"]:
        raise InputError(
            "config.teacher: both workdir and network are set; expected one of them."
        )
    if section["network"]:
        return _foreign_teacher(section["network"], data, section)
    if not section["workdir"]:
        return None
    members = [
        load_trained("config.teacher", row, data, teaches=True)
        for row in _one_each(section)
    ]
    return members[0] if len(members) == 1 else _together(members)


def _one_each(section: dict) -> list[dict]:
    """A section for every workdir; student and checkpoint come once or as often."""
    workdirs = [part.strip() for part in section["workdir"].split(",")]
    shared = {key: section[key] for key in INPUT_KEYS if key in section}
    rows = [{"workdir": workdir} | shared for workdir in workdirs]
    for key in ("student", "checkpoint"):
        values = [part.strip() for part in str(section[key]).split(",")]
        if len(values) == 1:
            values *= len(rows)
        if len(values) != len(rows):
            raise InputError(
                f"config.teacher.{key} names {len(values)}, and workdir names "
                f"{len(rows)} runs; expected one for all, or one each."
            )
        for row, value in zip(rows, values, strict=True):
            row[key] = value
    return rows


def _together(members: list[Teacher]) -> Teacher:
    """An ensemble; its identity lists its members under the keys of a single one."""
    named = {f"member{i}": member.variables for i, member in enumerate(members)}
    variables = tuple(
        {name: pair[part] for name, pair in named.items()} for part in (0, 1)
    )
    identity = {
        key: ",".join(str(member.identity[key]) for member in members)
        for key in ("workdir", "student", "step")
    }
    identity["model"] = [member.identity["model"] for member in members]
    identity["digest"] = checkpoints.digest(variables)
    models = imported_models([member.identity for member in members])
    moments = [member.identity.get("normalisation") for member in members]
    if any(moments):
        told = {"digest": imported.digest(variables, moments, models)}
        identity |= told | {"normalisation": moments}
    adapted = [member.identity.get("adapted") for member in members]
    if any(adapted):
        told = {"normalisation": moments, "adapted": adapted}
        digest = imported.digest(variables, told, models)
        identity |= {"digest": digest, "adapted": adapted}
        asked_of = [m.identity["asked"] for m in members if "asked" in m.identity]
        identity |= {"asked": asked_of[0]} if asked_of else {}
    network = ensemble(tuple(member.network for member in members))
    return Teacher(network, variables, identity, len(members))


def shape_seen(data: dict, section: dict) -> list[int]:
    """(height, width, channels) of the images that a teacher itself sees in a run."""
    size = input_size("config.teacher", section) or data["image_shape"][:2]
    return [*size, data["image_shape"][2]]


def as_asked(path: str, model: dict, data: dict, section: dict) -> Adapted:
    """A network without a run, asked as a `teacher` section asks its teachers.

    Args:
      path: of where the network is named, for errors.
      model: `model` section.
      data: classes, class_names, image_shape and normalisation of the run.
      section: of the teacher.
    """
    shape, file = shape_seen(data, section), section.get("classes", "")
    wanted = data["classes"]
    if file:
        wanted = len(read_names("config.teacher.classes", file))
    network = build_network(path, model, wanted)
    classes = count_classes(path, network, shape)
    check_classes(path, classes, wanted)
    taught_on = data | {"classes": classes, "image_shape": shape}
    return adapt("config.teacher", network, taught_on, data, section)


def _foreign_teacher(name: str, data: dict, section: dict) -> Teacher:
    """A `package.module:function` whose network brings its weights in `init`."""
    path = "config.teacher.network"
    if ":" not in name:
        raise InputError(
            f"{path} is {name!r}; expected package.module:function. A network of kdjax "
            "has no weights of its own: name the workdir that trained it instead."
        )
    adapted = as_asked(path, {"name": name}, data, section)
    images = jnp.zeros((1, *shape_seen(data, section)), jnp.float32)
    variables = jax.jit(adapted.network.init)(jax.random.key(0), images)
    variables = jax.tree.map(np.asarray, variables)
    identity = {"network": name, "digest": checkpoints.digest(variables)}
    found = Teacher(adapted.network, variables, identity)
    return identified(found, {}, adapted.changes, section)
