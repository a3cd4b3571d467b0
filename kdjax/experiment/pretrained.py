"""One trained network: of a run, or of weights from elsewhere."""

import dataclasses
import pathlib
from typing import NamedTuple

from kdjax import checkpoints, paths
from kdjax.contracts import InputError
from kdjax.experiment.builders import guarded
from kdjax.experiment.networks import (
    CHECKPOINTS,
    build_network,
    check_weights,
    choose_step,
)
from kdjax.experiment.reused import KEY, rebuilt
from kdjax.experiment.teacher_inputs import adapt, requested
from kdjax.models.ensemble import ensemble
from kdjax.models.network import Network
from kdjax.types import PyTree


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A frozen network, its weights on the host, and its identity."""

    network: Network
    variables: tuple[PyTree, PyTree]
    identity: dict
    members: int = 1


class Initial(NamedTuple):
    """What training begins with; None and {} for what it draws itself."""

    variables: tuple[PyTree, PyTree] | None
    connectors: dict[str, PyTree]  # name -> {"params", "state"}
    identity: dict


def load_trained(
    path: str, section: dict, data: dict, teaches: bool = False
) -> Teacher:
    """Loads the network of a finished or running run that a section names.

    `data` is `Data.identity` of the run that it is for. Of a run that averages weights
    it is the average, or what `section["weights"]` says. If it `teaches`, imported
    weights may have a normalisation of their own; weights that are trained further, or
    compared, may not.
    """
    where = f"{path}.workdir"
    workdir = _workdir(where, section["workdir"])
    directory = workdir / CHECKPOINTS
    meta, best = guarded(where, checkpoints.read_meta, directory)
    file = directory / str(meta["step"]) / "meta"
    name = _choose_student(f"{path}.student", section["student"], meta)
    wanted, key = section["checkpoint"], f"{path}.checkpoint"
    step = choose_step(key, wanted, meta["step"], best.get(name))
    student, trained_on = meta["students"][name], meta["data"]
    is_imported = "imported" in meta
    names = {"their_names": trained_on.get("class_names") if is_imported else None}
    if teaches and not is_imported:
        names["their_names"] = _names_to_order(where, trained_on, data, section)
    classes, moments = trained_on["classes"], teaches and is_imported
    own_network = student_network(f"{where}: {file}: model", student, classes)
    given = (path, own_network, trained_on | names, data, section if teaches else {})
    network, changes = adapt(*given, own_moments=moments)
    if changes and not teaches:
        raise InputError(
            f"{where}: the classes of these weights are in another order, or others, "
            "than those of the run; only a teacher may differ so."
        )
    weights = section.get("weights", "")
    variables = checkpoints.read_variables(directory, step, name, weights)
    check_weights(where, own_network, variables, trained_on["image_shape"])
    identity = {"workdir": str(workdir), "student": name, "step": step}
    identity |= {"model": student["model"], "digest": checkpoints.digest(variables)}
    if student.get("networks", 1) > 1:
        identity["networks"] = student["networks"]
    if KEY in student:
        identity[KEY] = student[KEY]
    if "ema_decay" in student:
        identity["weights"] = weights or "ema"
    own = {"normalisation": trained_on["normalisation"]} if is_imported else {}
    return identified(Teacher(network, variables, identity), own, changes, section)


def load_initial(section: dict, data: dict) -> Initial:
    """What training begins with, of the run that an `initial` section names."""
    trained = load_trained("config.initial", section, data)
    parts, connectors = section["parts"], {}
    if parts != "weights":
        one = trained.identity
        directory = paths.parse(one["workdir"], "workdir") / CHECKPOINTS
        connectors = guarded(
            "config.initial.workdir",
            checkpoints.read_connectors,
            *(directory, one["step"], one["student"]),
        )
    if parts == "connectors" and not connectors:
        raise InputError(
            f"config.initial.parts is {parts!r}, and the run in "
            f"{trained.identity['workdir']} has none; expected 'weights'."
        )
    variables = None if parts == "connectors" else trained.variables
    identity = trained.identity
    if connectors:  # else the digest is of the weights alone, as it was before
        taken = {"digest": checkpoints.digest((variables, connectors))}
        identity = identity | taken
    return Initial(variables, connectors, identity)


def _workdir(where: str, text: str) -> pathlib.Path:
    workdir = paths.resolve(text, where)
    if not workdir.is_dir():
        raise InputError(
            f"{where} is {text!r}, and there is no such directory; expected the "
            "--workdir of the run that trained the network. Train it first: "
            "python -m kdjax train --config=.../teacher.py --workdir=..."
        )
    return workdir


def student_network(path: str, student: dict, classes: int) -> Network:
    """A student's network as its section says.

    Copies of it where its method trains several; with the classifier of its teacher
    where it predicts with that.
    """
    network = build_network(path, student["model"], classes)
    if KEY in student:
        network = rebuilt(network, student[KEY])
    copies = student.get("networks", 1)
    return ensemble((network,) * copies) if copies > 1 else network


def identified(teacher: Teacher, own: dict, changes: dict, section: dict) -> Teacher:
    """Makes what was adapted for it a part of its identity and its digest."""
    identity = teacher.identity | own
    if changes:
        identity["adapted"] = changes
        identity |= {"asked": requested(section)} if requested(section) else {}
    if changes or own:
        from kdjax.weights import imported

        moments = own | changes if changes else own["normalisation"]
        models = imported_models([identity])
        identity["digest"] = imported.digest(teacher.variables, moments, models)
    return dataclasses.replace(teacher, identity=identity)


def imported_models(identities: list[dict]) -> list[dict]:
    """Weights of a run are of one network; of imported ones the section decides."""
    return [one["model"] if "normalisation" in one else {} for one in identities]


def _names_to_order(
    where: str, trained_on: dict, data: dict, section: dict
) -> list[str] | None:
    """A trained teacher's classes where the run has them in another order, else None.

    Sets without names number their classes; the order is then taken to be the same.
    """
    theirs, ours = (d.get("class_names") for d in (trained_on, data))
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


def _choose_student(path: str, wanted: str, meta: dict) -> str:
    names = list(meta["students"])
    if not wanted and len(names) == 1:
        return names[0]
    if wanted not in names:
        raise InputError(f"{path} is {wanted!r}; that run trained {', '.join(names)}.")
    return wanted
