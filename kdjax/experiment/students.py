"""Students from a config: network, method, optimizer and selected samples of each."""

import re

from kdjax.contracts import InputError
from kdjax.experiment.builders import call_named
from kdjax.experiment.data import Data
from kdjax.experiment.networks import check_classes, count_classes
from kdjax.experiment.pretrained import Teacher, student_network
from kdjax.experiment.schema import VARIANT
from kdjax.methods import METHODS
from kdjax.methods.base import Method, with_label_fallback
from kdjax.training.state import SelectionSchedule, Student

MIXUP = "config.data.mixup"


def student_sections(config: dict) -> dict[str, dict]:
    """Name -> model, method, selection and seed of every student; one is a dict of one.

    `build_students` adds what a reader of a checkpoint cannot see in the config.
    """
    base = {key: config[key] for key in VARIANT}
    sections = {name: base | own for name, own in config["students"].items()}
    sections = sections or {str(base["method"].get("name")): base}
    for name in sections:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise InputError(
                f"config.students: {name!r} cannot name a student; expected letters, "
                "digits, dots, dashes and underscores."
            )
    return sections


def build_students(
    config: dict,
    sections: dict[str, dict],
    data: Data,
    teacher: Teacher | None,
    optimizer,
    facts: dict,
) -> dict[str, Student]:
    """Builds every student.

    Adds to a section `networks`, how many its method trains, and `selection_digest`
    where its selection comes from a file or from another network.

    Args:
      config: plain.
      sections: from `student_sections`.
      data: what the run trains on.
      teacher: or None.
      optimizer: of all students.
      facts: numbers that a method may need: num_examples, num_classes,
        steps_per_epoch, total_steps.
    """
    students, shape = {}, data.train.image.shape[1:]
    for name, section in sections.items():
        path = f"config.students.{name}" if config["students"] else "config"
        method = call_named(f"{path}.method", METHODS, section["method"], **facts)
        section["networks"] = method.networks
        network = student_network(f"{path}.model", section, facts["num_classes"])
        classes = count_classes(f"{path}.model", network, shape)
        check_classes(f"{path}.model", classes, facts["num_classes"])
        schedule = _selection_schedule(path, section["selection"], data, teacher)
        if schedule is not None and schedule.digest:
            section["selection_digest"] = schedule.digest
        _check_needs(path, section["method"]["name"], method, teacher, schedule)
        _check_epochs(path, section, schedule, facts)
        if method.needs_teacher and schedule is not None:
            method = with_label_fallback(method)
        if data.augment.mixup:
            _check_mixable(path, section["method"]["name"], method)
        students[name] = Student(
            network=network,
            method=method,
            optimizer=optimizer,
            seed=section["seed"],
            selection_schedule=schedule,
        )
    return students


def _selection_schedule(
    path: str, section: dict, data: Data, teacher: Teacher | None
) -> SelectionSchedule | None:
    if section == {"name": "all"}:
        return None
    # Only here: detectors and scores are many modules that most trainings do not need.
    from kdjax.experiment.selection import SELECTIONS

    facts = {"images": data, "teacher": teacher, "data": data.identity}
    return call_named(f"{path}.selection", SELECTIONS, section, **facts)


def _check_epochs(
    path: str, section: dict, schedule: SelectionSchedule | None, facts: dict
) -> None:
    """A selection that comes too late, or at another time than its method expects."""
    if schedule is None or schedule.compute is None:
        return
    first, last = schedule.first_epoch, facts["total_steps"] / facts["steps_per_epoch"]
    if first >= last:
        raise InputError(
            f"{path}.selection: it begins at epoch {first:g} and the run ends at "
            f"{last:g}; expected an earlier first epoch."
        )
    warmup = section["method"].get("warmup_epochs", first)
    if section["method"]["name"] == "dividemix" and warmup != first:
        raise InputError(
            f"{path}.selection.warmup_epochs is {first:g} and "
            f"{path}.method.warmup_epochs is {warmup:g}; expected the same: until the "
            "set is divided no sample counts as labelled."
        )


def _check_needs(
    path: str,
    name: str,
    method: Method,
    teacher: Teacher | None,
    schedule: SelectionSchedule | None,
) -> None:
    """What a method cannot do without, before anything is compiled."""
    info = schedule.start if schedule else {}
    if method.needs_teacher and teacher is None:
        raise InputError(
            f"{path}.method: {name} needs a teacher; expected "
            "config.teacher.workdir, the --workdir of the run that trained it."
        )
    if "clean" in info and "clean" not in method.needs:
        raise InputError(
            f"{path}.selection: dividemix is for the method dividemix; {name} expects "
            "another selection."
        )
    for need in method.needs:
        if need == "members":
            if teacher.members < 2:
                raise InputError(
                    f"{path}.method: {name} needs several teachers; expected "
                    "config.teacher.workdir to name them, separated by commas."
                )
        elif need not in info:
            expected = (
                f"{path}.selection to choose samples, and not 'all'"
                if need == "selection"
                else f"{path}.selection.name = {name!r}"
            )
            raise InputError(
                f"{path}.method: {name} needs {need!r} of each sample; expected "
                f"{expected}."
            )


def _check_mixable(path: str, name: str, method: Method) -> None:
    """Refuses a method that needs what a mixture of two samples does not have."""
    refused = f"{MIXUP} is above 0, and {path}.method: {name}"
    if method.mixture is not None:
        raise InputError(
            f"{refused} mixes images by itself; expected {MIXUP} = 0 with it."
        )
    if "label" in method.reads:
        raise InputError(
            f"{refused} reads labels, and a mixture of two images has none of its own; "
            "expected a method that has the teacher alone, such as kd with alpha = 1 "
            "on all samples."
        )
    if method.reads:
        raise InputError(
            f"{refused} remembers each sample, and a mixture is of two; expected it "
            "without its memory."
        )


def refuse_mixed(mixup: float) -> None:
    """Raises InputError if the images that a cache is for are mixtures."""
    if mixup:
        raise InputError(
            f"{MIXUP} is {mixup:g}, and a cache has a teacher's outputs for single "
            "images, not for mixtures; expected 0 with a cache, or no cache."
        )
