"""One trained network: of a run, or of weights from elsewhere."""

import dataclasses

from kdjax import checkpoints, paths
from kdjax.contracts import InputError
from kdjax.experiment.networks import CHECKPOINTS, build_network, choose_step
from kdjax.experiment.schema import guarded
from kdjax.experiment.teacher_inputs import adapt, asked
from kdjax.models.ensemble import ensemble
from kdjax.models.network import Network
from kdjax.types import PyTree


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A frozen network, its weights on the host, and who it is."""

    network: Network
    variables: tuple[PyTree, PyTree]
    identity: dict
    members: int = 1


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
    workdir = paths.local(section["workdir"], where).resolve()
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
    return identified(Teacher(network, variables, identity), own, told, section)


def student_network(path: str, row: dict, classes: int) -> Network:
    """The network of a student's row: several copies where its method trains peers."""
    network = build_network(path, row["model"], classes)
    copies = row.get("networks", 1)
    return ensemble((network,) * copies) if copies > 1 else network


def identified(found: Teacher, own: dict, told: dict, section: dict) -> Teacher:
    """Says what is done for it, and makes that a part of its digest."""
    identity = found.identity | own
    if told or own:
        from kdjax.weights import imported

    if told:
        identity["adapted"] = told
        identity |= {"asked": asked(section)} if asked(section) else {}
        models = imported_models([identity])
        identity["digest"] = imported.digest(found.variables, own | told, models)
    elif own:
        models = imported_models([identity])
        whole = imported.digest(found.variables, own["normalisation"], models)
        identity["digest"] = whole
    return dataclasses.replace(found, identity=identity)


def imported_models(identities: list[dict]) -> list[dict]:
    """Weights of a run are of one network; of imported ones the section decides."""
    return [who["model"] if "normalisation" in who else {} for who in identities]


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


def _choose_student(path: str, wanted: str, meta: dict) -> str:
    names = list(meta["students"])
    if not wanted and len(names) == 1:
        return names[0]
    if wanted not in names:
        raise InputError(f"{path} is {wanted!r}; that run trained {', '.join(names)}.")
    return wanted
