"""A training whose data and teacher's weights may be absent, as its step needs it."""

import dataclasses

import jax
import jax.numpy as jnp

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.data.loaders.loader import is_stored
from kdjax.data.transforms.augment import Augment
from kdjax.experiment.build import build, check_single
from kdjax.experiment.data import Data
from kdjax.experiment.defaults import nested
from kdjax.experiment.pretrained import Teacher
from kdjax.experiment.students import student_sections
from kdjax.experiment.teachers import teacher_shape
from kdjax.models.network import Network
from kdjax.training.state import Student


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What a step is made of; no arrays."""

    students: dict[str, Student]
    teacher: Network | None  # takes images of image_shape
    teacher_from: str  # "", "untrained", "imported", or "run" of whatever is trained
    teacher_shape: tuple[int, int, int]  # of its own input
    augment: Augment
    image_shape: tuple[int, int, int]  # of training, the largest of several
    sides: tuple[int, ...]  # of crops that change their size; () where they do not
    classes: int
    examples: int
    resident: bool  # whether all images lie on the devices, or come with each batch
    seed: int
    batch_norm: str


def pair_config(student: dict, image_size: int, feed: str) -> dict:
    """The config of KD into a network on images that have no name.

    Args:
      student: a `model` section.
      image_size: pixels of a side.
      feed: resident or streamed.
    """
    config = nested()
    config["model"] = student
    config["method"] = {"name": "kd", "alpha": 0.9, "temperature": 4.0}
    config["data"] |= {"name": "unnamed", "feed": feed, "flip": True}
    if feed == "streamed":
        config["data"]["crops"] = {"size": image_size, "short_side": image_size}
    else:
        config["data"]["padding"] = max(1, image_size // 8)
    return config


def plan(
    config: dict,
    data: Data,
    batch_size: int,
    *,
    teacher_models: list[dict] | None = None,
) -> Plan:
    """The training of a plain config.

    Args:
      config: of one training.
      data: from `described.describe_data` or `load_data`.
      batch_size: of a step, which schedules count in.
      teacher_models: as `experiment.build.build` takes them.

    Raises:
      InputError: with the dotted path of what does not fit.
    """
    check_single(config)
    _check_teacher(config["teacher"], teacher_models)
    # The weights that a training starts with do not change its program.
    changes = {"batch_size": batch_size, "initial": config["initial"] | {"workdir": ""}}
    try:
        experiment = build(config | changes, data, teacher_models=teacher_models)
    except InputError as error:
        if "needs a teacher" in str(error):
            raise InputError(f"{error} Or --teacher=NAME, its network.") from error
        raise
    identity, sides, teacher = data.identity, data.sides, experiment.teacher
    *size, channels = identity["image_shape"]
    shape = [*((max(sides),) * 2 if sides else size), channels]
    return Plan(
        students=experiment.students,
        teacher=teacher.network if teacher else None,
        augment=data.augment,
        teacher_from=_source(teacher, teacher_models),
        teacher_shape=tuple(
            teacher_shape(identity | {"image_shape": shape}, config["teacher"])
        ),
        image_shape=tuple(shape),
        sides=sides,
        classes=identity["classes"],
        examples=len(data.train.label),
        resident=not is_stored(data.train),
        seed=experiment.seed,
        batch_norm=experiment.batch_norm,
    )


def needs_labels(config: dict) -> bool:
    """Whether the config's selections look at the labels before it trains."""
    return any(
        section["selection"].get("name") == "file"
        for section in student_sections(config).values()
    )


def variables(network: Network, image_shape) -> tuple:
    """Shapes of a network's (params, batch_stats)."""
    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
    return jax.eval_shape(network.init, jax.random.key(0), images)


def _check_teacher(section: dict, teacher_models: list | None) -> None:
    """Refuses a teacher that is not described here, and one that is not there."""
    if section["cache"]:
        raise InputError(
            "config.teacher.cache: steps that read a teacher's outputs from a cache "
            "cannot be compiled here; expected none, which needs more memory than one "
            "with it."
        )
    for part in () if teacher_models else section["workdir"].split(","):
        if part and not paths.local(part.strip(), "config.teacher.workdir").is_dir():
            raise InputError(
                f"config.teacher.workdir: there is no directory {part.strip()!r}; "
                "expected --teacher=NAME, the network that is to teach, or a run."
            )


def _source(teacher: Teacher | None, teacher_models: list | None) -> str:
    if teacher is None:
        return ""
    if teacher_models:
        return "untrained"
    return "imported" if teacher.identity.get("normalisation") else "run"
