"""A whole run from a config, as objects."""

import contextlib
import dataclasses
import importlib.metadata
import math

import jax
import jax.numpy as jnp

import kdjax
from kdjax.caching.reader import Reader
from kdjax.contracts import InputError
from kdjax.data.load import Split
from kdjax.data.loaders.loader import is_stored
from kdjax.data.transforms.augment import Augment
from kdjax.experiment import schema
from kdjax.experiment.cache import open_cache
from kdjax.experiment.data import Images, build_images
from kdjax.experiment.networks import check_sides
from kdjax.experiment.pretrained import Teacher, load_trained
from kdjax.experiment.students import build_students, described
from kdjax.experiment.teachers import load_teacher
from kdjax.training.loop import Plan
from kdjax.training.optimizers import OPTIMIZERS, SCHEDULES
from kdjax.training.state import Student
from kdjax.types import PyTree

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
BATCH_NORMS = ("global", "device")
OPTIONAL = ("scikit-learn",)  # only some selections cluster


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that a run needs."""

    plan: Plan
    students: dict[str, Student]
    teacher: Teacher | None
    cache: Reader | None  # the teacher's answers to the training images
    initial: tuple[PyTree, PyTree] | None  # variables that every student begins with
    images: Images
    seed: int  # of data order and augmentation
    batch_size: int
    evaluation_batch_size: int
    scores_train: bool  # whether evaluation scores the training split too
    keep_all: bool  # whether every checkpoint stays
    tensorboard: bool
    stacked: bool  # whether students of equal networks share one in the program
    batch_norm: str  # whose moments: "global" or "device"
    config: dict  # resolved, as JSON
    identity: dict  # what every checkpoint says of itself, as JSON

    @property
    def train(self) -> Split:
        return self.images.train

    @property
    def test(self) -> Split:
        return self.images.test

    @property
    def augment(self) -> Augment:
        return self.images.augment

    @property
    def steps_per_epoch(self) -> float:
        return len(self.train.label) / self.batch_size


def build_experiment(config) -> Experiment:
    """Builds a run from a ConfigDict or a nested dict.

    Raises:
      InputError: with the dotted path of what does not fit.
    """
    config = schema.plain(config)
    schema.check_keys(config)
    if config["stages"] or config["select"]:
        raise InputError(
            "config.stages and config.select are of a run of several parts; expected "
            "the config of one training."
        )
    batch_size = schema.number(config, "batch_size", 1, integer=True)
    images = build_images(config["data"])
    if batch_size > len(images.train.label):
        raise InputError(
            f"config.batch_size is {batch_size} and the training set has "
            f"{len(images.train.label)} images; expected a batch that is no larger."
        )
    plan = plan_of(config, len(images.train.label) / batch_size)
    data = identity_of(images)
    teacher = load_teacher(config["teacher"], data)
    cache = open_cache(config, teacher, images, plan.total_steps)
    initial = None
    if config["initial"]["workdir"]:
        initial = load_trained("config.initial", config["initial"], data)
    rows = described(config)
    students = students_of(config, rows, images, data, teacher, plan, batch_size)
    return Experiment(
        plan=plan,
        students=students,
        teacher=teacher,
        cache=cache,
        initial=initial.variables if initial else None,
        images=images,
        seed=schema.number(config, "seed", 0, integer=True),
        batch_size=batch_size,
        evaluation_batch_size=schema.number(
            config, "evaluation.batch_size", 1, integer=True
        ),
        scores_train=bool(config["evaluation"]["on_train"] or plan.stop_at_train_top1),
        keep_all=bool(config["evaluation"]["keep_all"]),
        tensorboard=bool(config["tensorboard"]),
        stacked=False,
        batch_norm=batch_norm_of(config),
        config=schema.resolved(config),
        identity=_identity(rows, data, teacher=teacher, cache=cache, initial=initial),
    )


def _identity(rows: dict, data: dict, **made_from) -> dict:
    """What every checkpoint says of the run; None for what it was not made from."""
    who = {name: made.identity if made else None for name, made in made_from.items()}
    students = schema.jsonable(rows)
    return {"students": students, "data": data, "versions": versions()} | who


def _check_crops(
    students: dict[str, Student], teacher: Teacher | None, images: Images
) -> None:
    """A streamed feed makes one crop of a sample and step, and may change its size."""
    if not is_stored(images.train):
        return
    twice = [name for name, s in students.items() if s.method.mixture is not None]
    if twice:
        raise InputError(
            f"config.data.feed: the method of {', '.join(twice)} takes two crops of "
            "each image, and a streamed set gives one; expected another method, or "
            "resident."
        )
    sides = [side for _, side in images.train.image.geometry.sizes]
    if not sides:
        return
    shape = images.train.image.shape[1:]
    first = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    for name, student in students.items():
        variables = jax.eval_shape(student.network.init, jax.random.key(0), first)
        check_sides(f"student {name}", student.network, variables, shape[-1], sides)
    if teacher:
        check_sides(
            "config.teacher", teacher.network, teacher.variables, shape[-1], sides
        )


def students_of(config, rows, images, data, teacher, plan, batch_size):
    """All students of a plain config.

    Methods may ask for the numbers of the run: examples, classes and steps.
    """
    facts = {
        "num_examples": len(images.train.label),
        "num_classes": data["classes"],
        "steps_per_epoch": len(images.train.label) / batch_size,
        "total_steps": plan.total_steps,
    }
    optimizer = _optimizer(config, plan.total_steps, facts["steps_per_epoch"])
    made = build_students(config, rows, images, data, teacher, optimizer, facts)
    _check_crops(made, teacher, images)
    return made


def _optimizer(config: dict, total_steps: int, steps_per_epoch: float):
    length = {"total_steps": total_steps, "steps_per_epoch": steps_per_epoch}
    schedule = schema.call_named(
        "config.schedule", SCHEDULES, config["schedule"], **length
    )
    return schema.call_named(
        "config.optimizer", OPTIMIZERS, config["optimizer"], schedule=schedule
    )


def identity_of(images: Images) -> dict:
    """What every checkpoint says of the run's data, as JSON."""
    augment, train = images.augment, images.train
    return {
        "train": train.identity,
        "test": images.test.identity,
        "classes": len(train.class_names),
        "class_names": list(train.class_names),
        "image_shape": list(train.image.shape[1:]),
        "normalisation": {"mean": list(augment.mean), "std": list(augment.std)},
    }


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on, as far as it is installed."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    for name in OPTIONAL:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return {"kdjax": kdjax.__version__} | found


def batch_norm_of(config: dict) -> str:
    """Whose moments a batch norm takes."""
    found = config["batch_norm"]
    if found not in BATCH_NORMS:
        raise InputError(
            f"config.batch_norm is {found!r}; expected {' or '.join(BATCH_NORMS)}."
        )
    return found


def plan_of(config: dict, steps_per_epoch: float) -> Plan:
    """Epochs to steps; `total_steps` above 0 overrides `total_epochs`."""
    total = schema.number(config, "total_steps", 0, integer=True)
    epochs = schema.number(config, "total_epochs", 0)
    # Rounded first: 60 epochs of 16666.67 steps are 1,000,000 steps, not one more.
    total = total or math.ceil(round(epochs * steps_per_epoch, 6))
    if not total:
        raise InputError("config.total_epochs is 0; expected a number above 0.")
    every = schema.number(config, "evaluation.every_epochs", 0)
    return Plan(
        total_steps=total,
        log_every=schema.number(config, "log_every_steps", 1, integer=True),
        evaluate_every=max(1.0, every * steps_per_epoch) if every else float(total),
        stop_at_train_top1=schema.number(config, "stop_at_train_top1", 0),
    )
