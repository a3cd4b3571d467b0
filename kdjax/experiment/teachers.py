"""The teacher of a run: one network or several, trained here or from elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.experiment import pretrained, teacher_inputs
from kdjax.experiment.networks import build_network, check_classes, count_classes
from kdjax.experiment.pretrained import Teacher, load_trained
from kdjax.experiment.teacher_inputs import Adapted, adapt
from kdjax.models import PROVIDED
from kdjax.models.network import Network


def load_teacher(section: dict, data: dict) -> Teacher | None:
    """Loads the teacher that a `teacher` section names, or None where it names none.

    Several workdirs, separated by commas, are an ensemble; of student and checkpoint
    there is one for all, or one each. `data` is `Data.identity` of the run.
    """
    if section["network"] and section["workdir"]:
        raise InputError(
            "config.teacher: both workdir and network are set; expected one of them."
        )
    if section["network"]:
        return _foreign_teacher(section["network"], data, section)
    if not section["workdir"]:
        return None
    sections = _one_each(section)
    members = [load_trained("config.teacher", s, data, teaches=True) for s in sections]
    return members[0] if len(members) == 1 else _ensemble_of(members)


def _one_each(section: dict) -> list[dict]:
    """A section for every workdir; student and checkpoint come once or as often."""
    workdirs = [part.strip() for part in section["workdir"].split(",")]
    shared = {key: section[key] for key in teacher_inputs.INPUT_KEYS if key in section}
    sections = [{"workdir": workdir} | shared for workdir in workdirs]
    for key in ("student", "checkpoint"):
        values = [part.strip() for part in str(section[key]).split(",")]
        if len(values) == 1:
            values *= len(sections)
        if len(values) != len(sections):
            raise InputError(
                f"config.teacher.{key} names {len(values)}, and workdir names "
                f"{len(sections)} runs; expected one for all, or one each."
            )
        for one, value in zip(sections, values, strict=True):
            one[key] = value
    return sections


def _ensemble_of(members: list[Teacher]) -> Teacher:
    """An ensemble; its identity lists its members under the keys of a single one."""
    named = {f"member{i}": member.variables for i, member in enumerate(members)}
    variables = tuple({k: pair[part] for k, pair in named.items()} for part in (0, 1))
    identities, keys = [m.identity for m in members], ("workdir", "student", "step")
    identity = {key: ",".join(str(one[key]) for one in identities) for key in keys}
    identity["model"] = [one["model"] for one in identities]
    identity["digest"] = checkpoints.digest(variables)
    moments = [one.get("normalisation") for one in identities]
    adapted = [one.get("adapted") for one in identities]
    if any(moments) or any(adapted):
        from kdjax.weights import imported

        models = pretrained.imported_models(identities)
        changes = {"normalisation": moments, "adapted": adapted}
        changes = changes if any(adapted) else moments
        identity["digest"] = imported.digest(variables, changes, models)
    if any(moments):
        identity["normalisation"] = moments
    if any(adapted):
        identity["adapted"] = adapted
        requests = [one["asked"] for one in identities if "asked" in one]
        identity |= {"asked": requests[0]} if requests else {}
    network = _joined([member.network for member in members])
    return Teacher(network, variables, identity, len(members))


def _joined(networks: list[Network]) -> Network:
    from kdjax.models.ensemble import ensemble  # most runs have one teacher

    return ensemble(tuple(networks))


def teacher_shape(data: dict, section: dict) -> list[int]:
    """(height, width, channels) of a teacher's own input in a run."""
    size = teacher_inputs.input_size("config.teacher", section)
    return [*(size or data["image_shape"][:2]), data["image_shape"][2]]


def untrained_teacher(models: list[dict], data: dict, section: dict) -> Teacher:
    """Networks of `model` sections as a teacher without weights, only their shapes."""
    adapted = [adapted_network("--teacher", model, data, section) for model in models]
    members = [one.network for one in adapted]
    network = members[0] if len(members) == 1 else _joined(members)
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


def _foreign_teacher(name: str, data: dict, section: dict) -> Teacher:
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
    return Teacher(adapted.network, variables, identity)
