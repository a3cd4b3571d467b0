"""Students from a config: network, method, optimizer and chosen samples of each."""

import re

from kdjax.contracts import InputError
from kdjax.experiment import schema
from kdjax.experiment.data import Images
from kdjax.experiment.mixup_checks import check_mixable
from kdjax.experiment.networks import check_classes, count_classes
from kdjax.experiment.pretrained import Teacher, student_network
from kdjax.experiment.selection import SELECTIONS
from kdjax.methods import METHODS
from kdjax.methods.base import with_label_fallback
from kdjax.training.state import SelectionSchedule, Student


def described(config: dict) -> dict[str, dict]:
    """Name -> model, method, selection and seed of every student; one is a dict of one.

    `build_students` adds what a reader of a checkpoint cannot see in the config.
    """
    base = {key: config[key] for key in schema.VARIANT}
    rows = {name: base | row for name, row in config["students"].items()}
    rows = rows or {str(base["method"].get("name")): base}
    for name, row in rows.items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise InputError(
                f"config.students: {name!r} cannot name a student; expected letters, "
                "digits, dots, dashes and underscores."
            )
        if not isinstance(row["seed"], int) or not 0 <= row["seed"] < 2**32:
            raise InputError(
                f"config.students.{name}.seed is {row['seed']!r}; expected a whole "
                "number from 0 to 4294967295."
            )
    return rows


def build_students(
    config: dict,
    rows: dict[str, dict],
    images: Images,
    data: dict,
    teacher: Teacher | None,
    optimizer,
    facts: dict,
) -> dict[str, Student]:
    """Builds every student.

    Adds to a row `networks`, how many its method trains, and `selection_digest` where
    its selection comes from a file or from another network.

    Args:
      config: plain.
      rows: from `described`.
      images: what the run trains on.
      data: classes, image_shape and normalisation.
      teacher: or None.
      optimizer: of all students.
      facts: numbers of the run that a method may need to know: num_examples,
        num_classes, steps_per_epoch, total_steps.
    """
    students = {}
    for name, row in rows.items():
        path = f"config.students.{name}" if config["students"] else "config"
        method = schema.call_named(f"{path}.method", METHODS, row["method"], **facts)
        row["networks"] = method.networks
        network = student_network(f"{path}.model", row, data["classes"])
        classes = count_classes(f"{path}.model", network, data["image_shape"])
        check_classes(f"{path}.model", classes, data["classes"])
        known = {"images": images, "teacher": teacher, "data": data}
        selection_schedule = schema.call_named(
            f"{path}.selection", SELECTIONS, row["selection"], **known
        )
        if selection_schedule is not None and selection_schedule.digest:
            row["selection_digest"] = selection_schedule.digest
        _check_needs(path, row["method"]["name"], method, teacher, selection_schedule)
        _check_epochs(path, row, selection_schedule, facts)
        if method.supervisor is not None and selection_schedule is not None:
            method = with_label_fallback(method)
        if images.augment.mixup:
            check_mixable(path, row["method"]["name"], method)
        students[name] = Student(
            network=network,
            method=method,
            optimizer=optimizer,
            seed=row["seed"],
            selection_schedule=selection_schedule,
        )
    return students


def _check_epochs(
    path: str, row: dict, selection_schedule: SelectionSchedule | None, facts: dict
) -> None:
    """A selection that comes too late, or at another time than its method thinks."""
    if selection_schedule is None or selection_schedule.compute is None:
        return
    last = facts["total_steps"] / facts["steps_per_epoch"]
    if selection_schedule.first_epoch >= last:
        raise InputError(
            f"{path}.selection: it begins at epoch {selection_schedule.first_epoch:g} and the run "
            f"ends at {last:g}; expected an earlier first epoch."
        )
    told = row["method"].get("warmup_epochs", selection_schedule.first_epoch)
    if row["method"]["name"] == "dividemix" and told != selection_schedule.first_epoch:
        raise InputError(
            f"{path}.selection.warmup_epochs is {selection_schedule.first_epoch:g} and "
            f"{path}.method.warmup_epochs is {told:g}; expected the same: until the "
            "set is divided no sample counts as labelled."
        )


def _check_needs(
    path: str,
    name: str,
    method,
    teacher: Teacher | None,
    selection_schedule: SelectionSchedule | None,
) -> None:
    """What a method cannot do without, before anything is compiled."""
    if method.supervisor is not None and teacher is None:
        raise InputError(
            f"{path}.method: {name} needs a teacher; expected "
            "config.teacher.workdir, the --workdir of the run that trained it."
        )
    if (
        selection_schedule is not None
        and "clean" in selection_schedule.start
        and "clean" not in method.needs
    ):
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
        elif selection_schedule is None or need not in selection_schedule.start:
            raise InputError(
                f"{path}.method: {name} needs {need!r} of each sample; expected "
                f"{path}.selection to choose samples, and not 'all'."
                if need == "selection"
                else f"{path}.method: {name} needs {need!r} of each sample; expected "
                f"{path}.selection.name = {name!r}."
            )
