"""A whole run from a config, as objects."""

import dataclasses
import importlib.metadata
import math
import re

import kdjax
from kdjax.build import sections
from kdjax.build.networks import (
    Teacher,
    build_network,
    check_classes,
    count_classes,
    load_teacher,
)
from kdjax.contracts import InputError
from kdjax.data.augment import Augment
from kdjax.data.catalogue import parse_name
from kdjax.data.sources import Split, load_split
from kdjax.data.statistics import AUGMENTS, measured_augment
from kdjax.methods import METHODS
from kdjax.training.loop import Plan
from kdjax.training.optimizers import OPTIMIZERS, SCHEDULES
from kdjax.training.state import Student

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that a run needs."""

    plan: Plan
    students: dict[str, Student]
    teacher: Teacher | None
    train: Split
    test: Split
    augment: Augment
    seed: int  # of data order and augmentation
    batch_size: int
    evaluation_batch_size: int
    tensorboard: bool
    config: dict  # resolved, as JSON
    identity: dict  # what every checkpoint says of itself, as JSON

    @property
    def steps_per_epoch(self) -> float:
        return len(self.train.label) / self.batch_size


def build_experiment(config) -> Experiment:
    """Builds a run from a ConfigDict or a nested dict.

    Raises:
      InputError: with the dotted path of what does not fit.
    """
    config = sections.plain(config)
    sections.check_keys(config)
    batch_size = sections.number(config, "batch_size", 1, integer=True)
    train, test = _splits(config["data"])
    augment = _augment(config["data"], train)
    steps_per_epoch = len(train.label) / batch_size
    plan = _plan(config, steps_per_epoch)
    described = _described(config)
    identity = _identity(described, train, test, augment)
    data = identity["data"]
    teacher = load_teacher(config["teacher"], data)
    identity["teacher"] = teacher.identity if teacher else None
    optimizer = _optimizer(config, plan.total_steps, steps_per_epoch)
    students = {
        name: _student(name, row, config, optimizer, data, teacher)
        for name, row in described.items()
    }
    return Experiment(
        plan=plan,
        students=students,
        teacher=teacher,
        train=train,
        test=test,
        augment=augment,
        seed=sections.number(config, "seed", 0, integer=True),
        batch_size=batch_size,
        evaluation_batch_size=sections.number(
            config, "evaluation.batch_size", 1, integer=True
        ),
        tensorboard=bool(config["tensorboard"]),
        config=sections.resolved(config),
        identity=identity,
    )


def _optimizer(config: dict, total_steps: int, steps_per_epoch: float):
    length = {"total_steps": total_steps, "steps_per_epoch": steps_per_epoch}
    schedule = sections.call_named(
        "config.schedule", SCHEDULES, config["schedule"], **length
    )
    return sections.call_named(
        "config.optimizer", OPTIMIZERS, config["optimizer"], schedule=schedule
    )


def _student(
    name: str, row: dict, config: dict, optimizer, data: dict, teacher: Teacher | None
) -> Student:
    path = f"config.students.{name}" if config["students"] else "config"
    network = build_network(f"{path}.model", row["model"], data["classes"])
    classes = count_classes(f"{path}.model", network, data["image_shape"])
    check_classes(f"{path}.model", classes, data["classes"])
    method = sections.call_named(f"{path}.method", METHODS, row["method"])
    if method.supervisor is not None and teacher is None:
        raise InputError(
            f"{path}.method: {row['method']['name']} needs a teacher; expected "
            "config.teacher.workdir, the --workdir of the run that trained it."
        )
    return Student(
        network=network, method=method, optimizer=optimizer, seed=row["seed"]
    )


def _identity(described: dict, train: Split, test: Split, augment: Augment) -> dict:
    """What every checkpoint says of the run, as JSON."""
    return {
        "students": sections.jsonable(described),
        "data": {
            "train": train.identity,
            "test": test.identity,
            "classes": len(train.class_names),
            "image_shape": list(train.image.shape[1:]),
            "normalisation": {"mean": list(augment.mean), "std": list(augment.std)},
        },
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"kdjax": kdjax.__version__} | found


def _splits(data: dict) -> tuple[Split, Split]:
    train, test = (
        load_split(data["name"], data[part], data_dir=data["data_dir"] or None)
        for part in ("train", "test")
    )
    if train.image.shape[1:] != test.image.shape[1:]:
        raise InputError(
            f"config.data: {data['train']} has images of {train.image.shape[1:]} and "
            f"{data['test']} of {test.image.shape[1:]}; expected the same shape."
        )
    return train, test


def _augment(data: dict, train: Split) -> Augment:
    """What the config sets, else what is usual for the set.

    Mean and standard deviation of a set that is not known are measured; crops and flips
    cannot be, so the config has to say them.
    """
    known = AUGMENTS.get(parse_name(data["name"]).dataset)
    if bool(data["mean"]) != bool(data["std"]):
        raise InputError("config.data: expected mean and std both set, or neither.")
    chosen = {}
    for key in ("padding", "flip"):
        chosen[key] = data[key] if data[key] is not None else getattr(known, key, None)
        if chosen[key] is None:
            raise InputError(
                f"config.data.{key} is not set, and nothing is known of the set "
                f"{data['name']!r}; expected a value."
            )
    sections.number({"data": chosen}, "data.padding", 0, integer=True)
    if data["mean"]:
        mean, std = (_per_channel(data, key, train) for key in ("mean", "std"))
    else:
        known = known or sections.guarded(
            "config.data", measured_augment, train.image, padding=0, flip=False
        )
        mean, std = known.mean, known.std
    return sections.guarded("config.data", Augment, mean=mean, std=std, **chosen)


def _per_channel(data: dict, key: str, train: Split) -> tuple[float, ...]:
    values, channels = data[key], train.image.shape[-1]
    numbers = isinstance(values, tuple) and all(
        isinstance(value, int | float) for value in values
    )
    if not numbers or len(values) != channels:
        raise InputError(
            f"config.data.{key} is {values!r}; expected {channels} number(s), one for "
            "each channel of the images."
        )
    return tuple(map(float, values))


def _plan(config: dict, steps_per_epoch: float) -> Plan:
    """Epochs to steps; `total_steps` above 0 overrides `total_epochs`."""
    total = sections.number(config, "total_steps", 0, integer=True)
    epochs = sections.number(config, "total_epochs", 0)
    # Rounded first: 60 epochs of 16666.67 steps are 1,000,000 steps, not one more.
    total = total or math.ceil(round(epochs * steps_per_epoch, 6))
    if not total:
        raise InputError("config.total_epochs is 0; expected a number above 0.")
    every = sections.number(config, "evaluation.every_epochs", 0)
    return Plan(
        total_steps=total,
        log_every=sections.number(config, "log_every_steps", 1, integer=True),
        evaluate_every=max(1.0, every * steps_per_epoch) if every else float(total),
    )


def _described(config: dict) -> dict[str, dict]:
    """Name -> model, method and seed of every student; one is a dict of one."""
    base = {key: config[key] for key in sections.VARIANT}
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
