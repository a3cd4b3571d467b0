"""Trained networks for a run: one teacher or several, and weights to begin with."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from kdjax import checkpoints
from kdjax.build.adaptation import (
    ASKED,
    Adapted,
    adapt,
    asked,
    input_size,
    read_names,
)
from kdjax.build.networks import (
    CHECKPOINTS,
    build_network,
    check_classes,
    choose_step,
    count_classes,
)
from kdjax.build.sections import guarded
from kdjax.contracts import InputError
from kdjax.models.ensemble import ensemble
from kdjax.models.network import Network
from kdjax.types import PyTree
from kdjax.weights import imported


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A frozen network, its weights on the host, and who it is."""

    network: Network
    variables: tuple[PyTree, PyTree]
    identity: dict
    members: int = 1


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


def load_trained(
    path: str, section: dict, data: dict, teaches: bool = False
) -> Teacher:
    """Loads one network of a finished or running run.

    Args:
      path: dotted path of the section, for errors.
      section: workdir, student, checkpoint.
      data: classes, image_shape and normalisation of the run that it is for.
      teaches: it only answers, so imported weights may have a normalisation of their
        own; weights that are trained further, or compared, may not.
    """
    where = f"{path}.workdir"
    workdir = pathlib.Path(section["workdir"]).expanduser().resolve()
    if not workdir.is_dir():
        raise InputError(
            f"{where} is {section['workdir']!r}, and there is no such directory; "
            "expected the --workdir of the run that trained the network. Train it "
            "first: python -m kdjax train --config=.../teacher.py --workdir=..."
        )
    directory = workdir / CHECKPOINTS
    meta, best = guarded(where, checkpoints.read_meta, directory)
    name = _choose_student(f"{path}.student", section["student"], meta)
    step = choose_step(
        f"{path}.checkpoint", section["checkpoint"], meta["step"], best.get(name)
    )
    row, taught_on = meta["students"][name], meta["data"]
    is_imported = "imported" in meta
    names = {"their_names": taught_on.get("class_names") if is_imported else None}
    if teaches and not is_imported:
        names["their_names"] = _names_to_order(where, taught_on, data, section)
    network, told = adapt(
        path,
        student_network(where, row, taught_on["classes"]),
        taught_on | names,
        data,
        section if teaches else {},
        own_moments=teaches and is_imported,
    )
    if told and not teaches:
        raise InputError(
            f"{where}: the classes of these weights are in another order, or others, "
            "than those of the run; only a teacher may differ so."
        )
    variables = checkpoints.read_variables(directory, step, name)
    identity = {"workdir": str(workdir), "student": name, "step": step}
    identity |= {"model": row["model"], "digest": checkpoints.digest(variables)}
    if row.get("networks", 1) > 1:
        identity["networks"] = row["networks"]
    own = {"normalisation": taught_on["normalisation"]} if is_imported else {}
    return _identified(Teacher(network, variables, identity), own, told, section)


def _names_to_order(
    where: str, taught_on: dict, data: dict, section: dict
) -> list[str] | None:
    """A trained teacher's classes where the run has them in another order, else None.

    Sets without names number their classes; then the order is believed to be the same.

    Raises:
      InputError: both have names, and they are others.
    """
    theirs, ours = (d.get("class_names") for d in (taught_on, data))
    if section.get("classes") or not theirs or not ours or theirs == ours:
        return None
    numbers = [str(number) for number in range(len(theirs))]
    if len(theirs) != len(ours) or numbers in (theirs, ours):
        return None
    if sorted(theirs) == sorted(ours):
        return theirs
    theirs_alone, ours_alone = (
        ", ".join(map(repr, [name for name in one if name not in other][:5]))
        for one, other in ((theirs, ours), (ours, theirs))
    )
    raise InputError(
        f"{where}: the teacher's classes {theirs_alone} are none of the run's, which "
        f"has {ours_alone}; expected the same. If they only have other names, write "
        "the run's, in the order of the teacher's classes, one a line, into a file for "
        "config.teacher.classes."
    )


def _identified(found: Teacher, own: dict, told: dict, section: dict) -> Teacher:
    """Says what is done for it, and makes that a part of its digest."""
    identity = found.identity | own
    if told:
        identity["adapted"] = told
        identity |= {"asked": asked(section)} if asked(section) else {}
        models = _imported_models([identity])
        identity["digest"] = imported.digest(found.variables, own | told, models)
    elif own:
        models = _imported_models([identity])
        whole = imported.digest(found.variables, own["normalisation"], models)
        identity["digest"] = whole
    return dataclasses.replace(found, identity=identity)


def _imported_models(identities: list[dict]) -> list[dict]:
    """Weights of a run are of one network; of imported ones the section decides."""
    return [who["model"] if "normalisation" in who else {} for who in identities]


def student_network(path: str, row: dict, classes: int) -> Network:
    """The network of a student's row: several copies where its method trains peers."""
    network = build_network(path, row["model"], classes)
    copies = row.get("networks", 1)
    return ensemble((network,) * copies) if copies > 1 else network


def _one_each(section: dict) -> list[dict]:
    """A section for every workdir; student and checkpoint come once or as often."""
    workdirs = [part.strip() for part in section["workdir"].split(",")]
    shared = {key: section[key] for key in ASKED if key in section}
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
    models = _imported_models([member.identity for member in members])
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


def _choose_student(path: str, wanted: str, meta: dict) -> str:
    names = list(meta["students"])
    if not wanted and len(names) == 1:
        return names[0]
    if wanted not in names:
        raise InputError(f"{path} is {wanted!r}; that run trained {', '.join(names)}.")
    return wanted


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
    return _identified(found, {}, adapted.told, section)
