"""Students from a config: network, method, optimizer and selected samples of each."""

import dataclasses
import inspect
import re

import jax
import jax.numpy as jnp

from kdjax.contracts import InputError
from kdjax.data.load import Split
from kdjax.data.loaders.loader import is_streamed
from kdjax.experiment import denominators
from kdjax.experiment.builders import build_optimizer, call_named, named
from kdjax.experiment.data import Data
from kdjax.experiment.methods import build_method, is_checked
from kdjax.experiment.networks import (
    check_classes,
    check_features,
    check_sides,
    outputs_of,
)
from kdjax.experiment.pretrained import Teacher, student_network
from kdjax.experiment.schema import VARIANT
from kdjax.methods import METHODS
from kdjax.methods.base import STEP_NEEDS, Method
from kdjax.models.network import Network
from kdjax.training.schedules import SCHEDULES
from kdjax.training.state import SelectionSchedule, Student


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
    total_steps: int,
    stored: dict[str, str] | None = None,
) -> dict[str, Student]:
    """Builds every student of a plain config; `sections` are of `student_sections`.

    Adds to a section `networks`, how many its method trains, `selection_digest` where
    its selection comes from a file or from another network, `denominator` where the
    objective has one, and `ema_decay` where its weights are averaged. `stored` are the
    denominators of a run to resume.
    """
    examples, classes = len(data.train.label), len(data.train.class_names)
    steps_per_epoch = examples / config["batch_size"]
    length = {"total_steps": total_steps, "steps_per_epoch": steps_per_epoch}
    # Methods may ask for the numbers of the run, and for the labels it trains on.
    facts = length | {"num_examples": examples, "num_classes": classes}
    rows = config["batch_size"] // config["accumulation_steps"]
    facts |= {"train_labels": data.train.label, "batch_size": rows}
    schedule = call_named("config.schedule", SCHEDULES, config["schedule"], **length)
    optimizer = build_optimizer("config.optimizer", config["optimizer"], schedule)
    students = {}
    for name, section in sections.items():
        path = f"config.students.{name}" if config["students"] else "config"
        own = (stored or {}).get(name)
        given = (path, section, data, teacher, optimizer, facts, own)
        student, decay = _student(*given), config["ema_decay"]
        students[name] = dataclasses.replace(
            student, ema_decay=decay, loss_spike=config["guards"]["loss_spike"]
        )
        section |= {"ema_decay": decay} if decay else {}
    if is_streamed(data.train):
        _check_crops(students, teacher, data)
    return students


def _student(
    path: str,
    section: dict,
    data: Data,
    teacher: Teacher | None,
    rated: tuple,
    facts: dict,
    stored: str | None,
) -> Student:
    own, denominator = denominators.settle(path, section, stored)
    where, shape = f"{path}.method", data.train.image.shape[1:]
    facts = facts | _of_teacher(where, own, teacher, shape)
    method = build_method(where, own, **facts)
    section["networks"] = method.networks
    schedule = _selection(path, section, data, teacher)
    if schedule is not None and schedule.digest:
        section["selection_digest"] = schedule.digest
    name, info = section["method"]["name"], schedule.start if schedule else {}
    _check_needs(path, name, method, teacher, info)
    rows = facts["batch_size"]
    network = _network(path, section, method, teacher, data.train, rows)
    _check_selection(path, section, schedule, facts)
    denominators.check(path, section, method.needs_teacher)
    if method.needs_teacher and schedule is not None:
        from kdjax.methods.fallback import with_label_fallback

        method = with_label_fallback(method, denominator)
    if method.has_label_fallback:
        section[denominators.KEY] = denominator
    if data.augment.is_mixed:
        from kdjax.experiment.mixtures import check_mixable

        check_mixable(path, name, method, data.augment, schedule)
    optimizer, head_rate = rated
    if head_rate != 1:
        from kdjax.experiment.heads import with_head_rate

        given = section, network, shape, facts["num_classes"], bool(method.connectors)
        optimizer = with_head_rate(*rated, "config.optimizer.head_rate", *given)
    functions = {"network": network, "method": method, "optimizer": optimizer}
    return Student(**functions, seed=section["seed"], selection_schedule=schedule)


def _of_teacher(path: str, section: dict, teacher: Teacher | None, shape) -> dict:
    """The width of the teacher's pooled features, for a method that asks for it."""
    takes = inspect.signature(named(path, METHODS, section)).parameters
    if "teacher_channels" not in takes:
        return {}
    if teacher is None:
        raise _no_teacher(path, section["name"])
    outputs = outputs_of("config.teacher", teacher.network, shape, teacher.variables)
    check_features("config.teacher", section["name"], ("pooled",), outputs)
    return {"teacher_channels": outputs.features["pooled"].shape[-1]}


def _selection(
    path: str, student: dict, data: Data, teacher: Teacher | None
) -> SelectionSchedule | None:
    if student["selection"] == {"name": "all"}:
        return None
    # Only here: detectors and scores are many modules that most trainings need not.
    from kdjax.experiment.selection import SELECTIONS

    sources = {"images": data, "teacher": teacher, "data": data.identity}
    sources |= {"run_seed": student["seed"]}
    return call_named(f"{path}.selection", SELECTIONS, student["selection"], **sources)


def _network(
    path: str,
    section: dict,
    method: Method,
    teacher: Teacher | None,
    train: Split,
    rows: int,
) -> Network:
    """The student's network, whose shapes and the teacher's fit the method.

    A batch of the run has so many `rows`.
    """
    classes, name = len(train.class_names), section["method"]["name"]
    where, shape = f"{path}.model", train.image.shape[1:]
    network = student_network(where, section, classes)
    outputs = outputs_of(where, network, shape, count=rows)
    check_classes(where, outputs.logits.shape[-1], classes)
    check_features(where, name, method.student_features, outputs)
    if not (method.teacher_features or is_checked(method)):
        return network
    pair = teacher.network, shape, teacher.variables
    theirs = outputs_of("config.teacher", *pair, count=rows)
    check_features("config.teacher", name, method.teacher_features, theirs)
    if method.reused_classifier is not None:
        from kdjax.experiment import reused

        given = (path, section, method.reused_classifier, network, teacher)
        network = reused.reusing(*given, (outputs, theirs))
        outputs = outputs_of(f"{path}.model", network, shape, count=rows)
    if is_checked(method):
        from kdjax.experiment.shapes import check_shapes, declared_of

        declared = declared_of(method, network, shape, teacher.variables)
        check_shapes(f"{path}.method", method, outputs, theirs, **declared)
    return network


def _check_selection(
    path: str, section: dict, schedule: SelectionSchedule | None, facts: dict
) -> None:
    """A selection that comes too late, or that its method has no place for."""
    if schedule is None or schedule.compute is None:
        return
    if section["selection"]["name"] == "influence" and section["networks"] > 1:
        raise InputError(
            f"{path}.selection: influence looks at one last layer, and the method "
            f"trains {section['networks']} networks at once; expected a method of one, "
            "or another selection."
        )
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


def _no_teacher(path: str, name: str) -> InputError:
    return InputError(
        f"{path}: {name} needs a teacher; expected config.teacher.workdir, the "
        "--workdir of the run that trained it, teacher= in Python, or the method 'ce', "
        "which needs none."
    )


def _check_needs(
    path: str, name: str, method: Method, teacher: Teacher | None, info: dict
) -> None:
    """What a method cannot do without, before anything is compiled."""
    if method.needs_teacher and teacher is None:
        raise _no_teacher(f"{path}.method", name)
    if "clean" in info and "clean" not in method.needs:
        raise InputError(
            f"{path}.selection: dividemix is for the method dividemix; {name} expects "
            "another selection."
        )
    for need in method.needs:
        if need in STEP_NEEDS:
            continue
        if need == "teacher_classifier":
            from kdjax.experiment.reused import check_classifier

            check_classifier(path, name, teacher)
        elif need == "members":
            if teacher.members < 2:
                raise InputError(
                    f"{path}.method: {name} needs several teachers; expected "
                    "config.teacher.workdir to name them, separated by commas."
                )
        elif need not in info:
            expected = f"{path}.selection.name = {name!r}"
            if need == "selection":
                expected = f"{path}.selection to choose samples, and not 'all'"
            raise InputError(
                f"{path}.method: {name} needs {need!r} of each sample; expected "
                f"{expected}."
            )


def _check_crops(
    students: dict[str, Student], teacher: Teacher | None, data: Data
) -> None:
    """A streamed set gives one crop of a sample and step, and may change its size."""
    two_views = [
        name
        for name, s in students.items()
        if s.method.mixture is not None or s.method.second_view == "crop"
    ]
    if two_views:
        raise InputError(
            f"config.data.feed: the method of {', '.join(two_views)} takes two crops "
            "of each image, and a streamed set gives one; expected another method, or "
            "resident."
        )
    if not data.sides:
        return
    shape = data.train.image.shape[1:]
    first = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    checked = {f"student {name}": (s.network, None) for name, s in students.items()}
    if teacher:
        checked["config.teacher"] = teacher.network, teacher.variables
    for path, (network, variables) in checked.items():
        if variables is None:
            variables = jax.eval_shape(network.init, jax.random.key(0), first)
        check_sides(path, network, variables, shape[-1], data.sides)
