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
from kdjax.experiment.teacher_inputs import adapt, requested
from kdjax.models.network import Network
from kdjax.types import PyTree

# Of a student's section in a checkpoint's identity: see `reused.record_of`.
REUSED = "reused_classifier"


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A frozen network, its weights on the host, and its identity."""

    network: Network
    variables: tuple[PyTree, PyTree]
    identity: dict
    members: int = 1
    places: tuple[int, ...] | None = None  # of `Adapted`, of a single network


class Stored(NamedTuple):
    """A network in a run's checkpoints, before its weights are read."""

    workdir: pathlib.Path
    name: str  # of the student
    step: int
    section: dict  # of the student: its model and what else makes its network
    data: dict  # `Data.identity` of what it was trained on
    is_imported: bool

    @property
    def directory(self) -> pathlib.Path:
        return self.workdir / CHECKPOINTS

    def identity(self, variables: tuple[PyTree, PyTree], weights: str = "") -> dict:
        """What a run that uses these weights says of them."""
        identity = {"workdir": str(self.workdir), "student": self.name}
        identity |= {"step": self.step, "model": self.section["model"]}
        identity["digest"] = checkpoints.digest(variables)
        if self.section.get("networks", 1) > 1:
            identity["networks"] = self.section["networks"]
        if REUSED in self.section:
            identity[REUSED] = self.section[REUSED]
        if "ema_decay" in self.section:
            identity["weights"] = weights or "ema"
        return identity

    @property
    def own_moments(self) -> dict:
        """The normalisation of imported weights, a part of their identity."""
        one = {"normalisation": self.data["normalisation"]}
        return one if self.is_imported else {}


def find_network(path: str, section: dict) -> Stored:
    """The network that a section's workdir, student and checkpoint name."""
    where = f"{path}.workdir"
    workdir, student = _workdir(where, section["workdir"]), section["student"]
    if not (workdir / CHECKPOINTS).exists():
        from kdjax.experiment.trials import trained_in

        workdir, student = trained_in(workdir, student)
    meta, best = guarded(where, checkpoints.read_meta, workdir / CHECKPOINTS)
    name, key = _choose_student(f"{path}.student", student, meta), f"{path}.checkpoint"
    step = choose_step(key, section["checkpoint"], meta["step"], best.get(name))
    facts = meta["students"][name], meta["data"], "imported" in meta
    return Stored(workdir, name, step, *facts)


def load_trained(
    path: str, section: dict, data: dict, teaches: bool = False
) -> Teacher:
    """Loads the network of a finished or running run that a section names.

    `data` is `Data.identity` of the run that it is for. Of a run that averages weights
    it is the average, or what `section["weights"]` says. If it `teaches`, imported
    weights may have a normalisation of their own; weights that are trained further, or
    compared, may not.
    """
    where, stored = f"{path}.workdir", find_network(path, section)
    trained_on, is_imported = stored.data, stored.is_imported
    names = {"their_names": trained_on.get("class_names") if is_imported else None}
    if teaches and trained_on.get("class_names") != data.get("class_names"):
        from kdjax.experiment import teacher_classes  # most teachers have the same

        given = where, trained_on, data, section
        teacher_classes.log_if_by_number(*given)
        if not is_imported:
            names["their_names"] = teacher_classes.names_to_order(*given)
    classes, moments = trained_on["classes"], teaches and is_imported
    file = stored.directory / str(stored.step) / "meta"
    own_network = student_network(f"{where}: {file}: model", stored.section, classes)
    given = (path, own_network, trained_on | names, data, section if teaches else {})
    network, changes, places = adapt(*given, own_moments=moments)
    if changes and not teaches:
        raise InputError(
            f"{where}: the classes of these weights are in another order, or others, "
            "than those of the run; only a teacher may differ so."
        )
    weights = section.get("weights", "")
    which = stored.directory, stored.step, stored.name
    variables = checkpoints.read_variables(*which, weights)
    check_weights(where, own_network, variables, trained_on["image_shape"])
    identity = stored.identity(variables, weights)
    own = identity, variables, stored.own_moments
    identity = identified(*own, changes, section)
    return Teacher(network, variables, identity, places=places)


def _workdir(where: str, text: str) -> pathlib.Path:
    workdir = paths.resolve(text, where)
    if not workdir.is_dir():
        raise InputError(
            f"{where} is {text!r}, and there is no such directory; expected the "
            "--workdir of the run that trained the network, which `python -m kdjax "
            f"train` or kdjax.train makes.{paths.nearest(workdir)}"
        )
    return workdir


def student_network(path: str, student: dict, classes: int) -> Network:
    """A student's network as its section says.

    Copies of it where its method trains several; with the classifier of its teacher
    where it predicts with that.
    """
    network = build_network(path, student["model"], classes)
    if REUSED in student:
        from kdjax.experiment.reused import rebuilt

        network = rebuilt(network, student[REUSED])
    copies = student.get("networks", 1)
    if copies > 1:
        from kdjax.models.ensemble import ensemble

        network = ensemble((network,) * copies)
    return network


def identified(
    identity: dict, variables: PyTree, own: dict, changes: dict, section: dict
) -> dict:
    """The identity with what was adapted for the weights a part of it and its digest.

    `own` is `Stored.own_moments`.
    """
    identity = identity | own
    if changes:
        identity["adapted"] = changes
        identity |= {"asked": requested(section)} if requested(section) else {}
    if changes or own:
        from kdjax.weights import imported

        moments = own | changes if changes else own["normalisation"]
        models = imported_models([identity])
        identity["digest"] = imported.digest(variables, moments, models)
    return identity


def imported_models(identities: list[dict]) -> list[dict]:
    """Weights of a run are of one network; of imported ones the section decides."""
    return [one["model"] if "normalisation" in one else {} for one in identities]


def _choose_student(path: str, wanted: str, meta: dict) -> str:
    names = list(meta["students"])
    if not wanted and len(names) == 1:
        return names[0]
    if wanted not in names:
        raise InputError(f"{path} is {wanted!r}; that run trained {', '.join(names)}.")
    return wanted
