"""A training from a config, whose data set and teacher's weights may be absent."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.build import sections
from kdjax.build.defaults import nested
from kdjax.build.experiment import identity_of, plan_of, students_of
from kdjax.build.images import Images, build_images
from kdjax.build.networks import build_network, check_classes, count_classes
from kdjax.build.students import described
from kdjax.build.teachers import Teacher, load_teacher
from kdjax.contracts import InputError
from kdjax.data.augment import Augment
from kdjax.data.names import parse_name
from kdjax.data.npz import is_npz
from kdjax.data.sources import Split
from kdjax.data.statistics import AUGMENTS
from kdjax.models.network import Network
from kdjax.training.state import Student


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What a step is made of; no arrays."""

    students: dict[str, Student]
    teacher: Network | None
    augment: Augment
    image_shape: tuple[int, int, int]
    classes: int
    examples: int
    resident: bool  # whether all images lie on the devices, or come with each batch
    seed: int
    stacked: bool


def pair_config(student: dict, image_size: int) -> dict:
    """The config of KD into a network on images that have no name.

    Args:
      student: a `model` section.
      image_size: pixels of a side.
    """
    config = nested()
    config["model"] = student
    config["method"] = {"name": "kd", "alpha": 0.9, "temperature": 4.0}
    padding = max(1, image_size // 8)
    config["data"] |= {"name": "unnamed", "padding": padding, "flip": True}
    return config


def plan(
    config: dict,
    images: Images,
    batch_size: int,
    *,
    taught_by: dict | None = None,
    resident: bool = True,
) -> Plan:
    """The training of a plain config.

    Args:
      config: of one training.
      images: from `described_images` or `build_images`.
      batch_size: of a step, which schedules count in.
      taught_by: a `model` section in place of the config's teacher.
      resident: see `Plan`.

    Raises:
      InputError: with the dotted path of what does not fit.
    """
    sections.check_keys(config)
    _refuse_parts(config)
    examples = len(images.train.label)
    data = identity_of(images)
    teacher = _teacher(config["teacher"], taught_by, data)
    length = plan_of(config, examples / batch_size)
    rows = described(config)
    students = students_of(config, rows, images, data, teacher, length, batch_size)
    return Plan(
        students=students,
        teacher=teacher.network if teacher else None,
        augment=images.augment,
        image_shape=tuple(data["image_shape"]),
        classes=data["classes"],
        examples=examples,
        resident=resident,
        seed=sections.number(config, "seed", 0, integer=True),
        stacked=bool(config["stacked"]),
    )


def images_of(
    section: dict, image_size: int | None, classes: int | None, examples: int | None
) -> Images:
    """The data set of a `data` section, or one of these sizes, which takes no memory.

    Raises:
      InputError: some of the three are given and not all.
    """
    sizes = {"image_size": image_size, "classes": classes, "examples": examples}
    if not any(sizes.values()):
        return build_images(section)
    for name, value in sizes.items():
        if value is None or value < 1:
            raise InputError(
                f"--{name} is {value}; expected a whole number above 0: --image_size, "
                "--classes and --examples describe a data set together."
            )
    return described_images(section, image_size, classes, examples)


def described_images(
    section: dict, image_size: int, classes: int, examples: int, channels: int = 3
) -> Images:
    """Black images that are a single byte in memory, seen so often."""
    shape = (examples, image_size, image_size, channels)
    black = np.broadcast_to(np.zeros((), np.uint8), shape)
    label = np.broadcast_to(np.zeros((), np.int32), (examples,))
    names = tuple(map(str, range(classes)))
    splits = (
        Split(black, label, names, {"name": str(section["name"]), "split": part})
        for part in ("train", "test")
    )
    train, test = splits
    return Images(train, train.label, test, _augment(section, channels))


def variables(network: Network, image_shape) -> tuple:
    """Shapes of a network's (params, batch_stats)."""
    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
    return jax.eval_shape(network.init, jax.random.key(0), images)


def _augment(section: dict, channels: int) -> Augment:
    """Its numbers are constants of the program; what they are does not matter."""
    name = section["name"]
    known = None if is_npz(name) else AUGMENTS.get(parse_name(name).dataset)
    usual = {"padding": getattr(known, "padding", 4), "flip": True}
    chosen = {
        key: usual[key] if section[key] is None else section[key] for key in usual
    }
    chosen["mixup"] = section["mixup"]
    middle = {"mean": (0.5,) * channels, "std": (0.25,) * channels}
    return sections.guarded("config.data", Augment, **middle, **chosen)


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


def _teacher(section: dict, taught_by: dict | None, data: dict) -> Teacher | None:
    """The config's, or a network without weights."""
    if taught_by is None:
        missing = [
            part
            for part in section["workdir"].split(",")
            if part and not pathlib.Path(part.strip()).expanduser().is_dir()
        ]
        if missing:
            raise InputError(
                f"config.teacher.workdir: there is no directory {missing[0]!r}; "
                "expected --teacher=NAME, the network that is to teach, or a run."
            )
        return load_teacher(section, data)
    network = build_network("--teacher", taught_by, data["classes"])
    classes = count_classes("--teacher", network, data["image_shape"])
    check_classes("--teacher", classes, data["classes"])
    shapes = variables(network, data["image_shape"])
    return Teacher(network, shapes, {"network": taught_by["name"], "digest": ""})
