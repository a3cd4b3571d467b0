"""A training from a config, whose data set and teacher's weights may be absent."""

import dataclasses

import jax
import jax.numpy as jnp

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.data.loaders.loader import is_stored
from kdjax.data.transforms.augment import Augment
from kdjax.experiment import schema
from kdjax.experiment.build import batch_norm_of, identity_of, plan_of, students_of
from kdjax.experiment.data import Images
from kdjax.experiment.schema import nested
from kdjax.experiment.pretrained import Teacher
from kdjax.experiment.students import described
from kdjax.experiment.teachers import as_asked, load_teacher, shape_seen
from kdjax.models.ensemble import ensemble
from kdjax.models.network import Network
from kdjax.training.state import Student


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What a step is made of; no arrays."""

    students: dict[str, Student]
    teacher: Network | None  # as the step asks it, of images of image_shape
    teacher_from: str  # "", "untrained", "imported", or "run" of whatever is trained
    teacher_shape: tuple[int, int, int]  # of the images that it itself sees
    augment: Augment
    image_shape: tuple[int, int, int]  # of training, the largest of several
    sides: tuple[int, ...]  # of crops that change their size; () where they do not
    classes: int
    examples: int
    resident: bool  # whether all images lie on the devices, or come with each batch
    seed: int
    stacked: bool
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
    images: Images,
    batch_size: int,
    *,
    taught_by: list[dict] | None = None,
) -> Plan:
    """The training of a plain config.

    Args:
      config: of one training.
      images: from `described.images_of` or `build_images`.
      batch_size: of a step, which schedules count in.
      taught_by: `model` sections in place of the config's teacher; of several, an
        ensemble.

    Raises:
      InputError: with the dotted path of what does not fit.
    """
    schema.check_keys(config)
    _refuse_parts(config)
    examples = len(images.train.label)
    data = identity_of(images)
    if "sha256" not in images.train.identity:  # described: nobody knows their names
        data["class_names"] = None
    teacher = _teacher(config["teacher"], taught_by, data)
    sides = _sides(images)
    shape = (max(sides),) * 2 + (data["image_shape"][2],) if sides else None
    seen = data | {"image_shape": list(shape or data["image_shape"])}
    length = plan_of(config, examples / batch_size)
    facts = (images, data, teacher, length, batch_size)
    return Plan(
        students=_students(config, *facts),
        teacher=teacher.network if teacher else None,
        augment=images.augment,
        teacher_from=_source(teacher, taught_by),
        teacher_shape=tuple(shape_seen(seen, config["teacher"])),
        image_shape=tuple(seen["image_shape"]),
        sides=sides,
        classes=data["classes"],
        examples=examples,
        resident=not is_stored(images.train),
        seed=schema.number(config, "seed", 0, integer=True),
        stacked=False,
        batch_norm=batch_norm_of(config),
    )


def _sides(images: Images) -> tuple[int, ...]:
    """Sides of training crops, where there are several."""
    if not is_stored(images.train):
        return ()
    return tuple(side for _, side in images.train.image.geometry.sizes)


def needs_labels(config: dict) -> bool:
    """Whether the config's selections look at the labels before it trains."""
    return any(
        row["selection"].get("name") == "file" for row in described(config).values()
    )


def variables(network: Network, image_shape) -> tuple:
    """Shapes of a network's (params, batch_stats)."""
    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
    return jax.eval_shape(network.init, jax.random.key(0), images)


def _refuse_parts(config: dict) -> None:
    """What has no single step, or one that is not described here yet."""
    if config["stages"] or config["select"]:
        raise InputError(
            "config.stages and config.select are of a run of several parts; expected "
            "the config of one training."
        )
    if config["teacher"]["cache"]:
        raise InputError(
            "config.teacher.cache: steps that read a teacher's answers cannot be "
            "compiled here; expected none, which asks for more than one with it."
        )


def _students(config: dict, images, data, teacher, *length) -> dict[str, Student]:
    try:
        rows = described(config)
        return students_of(config, rows, images, data, teacher, *length)
    except InputError as error:
        if teacher is None and "needs a teacher" in str(error):
            raise InputError(f"{error} Or --teacher=NAME, its network.") from error
        raise


def _teacher(section: dict, taught_by: list | None, data: dict) -> Teacher | None:
    """The config's, or networks without weights."""
    if taught_by:
        return _untrained(taught_by, data, section)
    for part in section["workdir"].split(","):
        if part and not paths.local(part.strip(), "config.teacher.workdir").is_dir():
            raise InputError(
                f"config.teacher.workdir: there is no directory {part.strip()!r}; "
                "expected --teacher=NAME, the network that is to teach, or a run."
            )
    return load_teacher(section, data)


def _source(teacher: Teacher | None, taught_by: list | None) -> str:
    if teacher is None:
        return ""
    if taught_by:
        return "untrained"
    return "imported" if teacher.identity.get("normalisation") else "run"


def _untrained(sections_of: list[dict], data: dict, section: dict) -> Teacher:
    members = [
        as_asked("--teacher", model, data, section).network for model in sections_of
    ]
    network = members[0] if len(members) == 1 else ensemble(tuple(members))
    names = ",".join(model["name"] for model in sections_of)
    shapes = variables(network, shape_seen(data, section))
    return Teacher(network, shapes, {"network": names, "digest": ""}, len(members))
