"""Networks from a config: by name, by "package.module:function", or as a teacher."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from kdjax import checkpoints
from kdjax.build.sections import guarded
from kdjax.contracts import InputError
from kdjax.models import create
from kdjax.models.network import Network
from kdjax.types import PyTree

CHECKPOINTS = "checkpoints"


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A frozen network, its weights on the host, and who it is."""

    network: Network
    variables: tuple[PyTree, PyTree]
    identity: dict


def build_network(path: str, section: dict, classes: int) -> Network:
    """Builds the network of a `model` section for so many classes."""
    if not isinstance(section.get("name"), str):
        raise InputError(f"{path}.name is {section.get('name')!r}; expected a string.")
    return guarded(path, create, num_classes=classes, **section)


def count_classes(path: str, network: Network, image_shape) -> int:
    """How many classes a network has on such images, without computing anything.

    Raises:
      InputError: the network cannot take the images.
    """
    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)

    def forward(images):
        variables = network.init(jax.random.key(0), images)
        return network.evaluate(*variables, images).logits

    size = "x".join(map(str, image_shape))
    where = f"{path}: it cannot take the data set's images of {size}"
    return guarded(where, jax.eval_shape, forward, images).shape[-1]


def check_classes(path: str, found: int, classes: int) -> None:
    """Student, teacher and labels must speak of the same classes."""
    if found != classes:
        raise InputError(
            f"{path}: the network has {found} classes and the data set has {classes}; "
            "expected the same number. A teacher of other classes cannot teach these."
        )


def load_teacher(section: dict, data: dict) -> Teacher | None:
    """Loads the teacher that a `teacher` section names, or None where it names none.

    Args:
      section: workdir, student, checkpoint, network.
      data: classes, image_shape and normalisation of the run that it is to teach in.
    """
    if section["network"] and section["workdir"]:
        raise InputError(
            "config.teacher: both workdir and network are set; expected one of them."
        )
    if section["network"]:
        return _foreign_teacher(section["network"], data)
    if not section["workdir"]:
        return None
    path = "config.teacher.workdir"
    workdir = pathlib.Path(section["workdir"]).expanduser().resolve()
    if not workdir.is_dir():
        raise InputError(
            f"{path} is {section['workdir']!r}, and there is no such directory; "
            "expected the --workdir of the run that trained the teacher. Train it "
            "first: python -m kdjax train --config=.../teacher.py --workdir=..."
        )
    directory = workdir / CHECKPOINTS
    meta, best = guarded(path, checkpoints.read_meta, directory)
    _check_same_images(path, meta["data"], data)
    name = _choose_student(section["student"], meta)
    step = choose_step(
        "config.teacher.checkpoint", section["checkpoint"], meta["step"], best.get(name)
    )
    model = meta["students"][name]["model"]
    network = build_network(path, model, data["classes"])
    variables = checkpoints.read_variables(directory, step, name)
    who = {"workdir": str(workdir), "student": name, "step": step, "model": model}
    identity = who | {"digest": checkpoints.digest(variables)}
    return Teacher(network, variables, identity)


def _check_same_images(path: str, taught_on: dict, data: dict) -> None:
    check_classes(path, taught_on["classes"], data["classes"])
    for key, hint in (
        ("image_shape", "A teacher sees the very images that its students see."),
        ("normalisation", "Set config.data.mean and config.data.std to the teacher's."),
    ):
        if taught_on[key] != data[key]:
            raise InputError(
                f"{path}: the teacher was trained with {key} {taught_on[key]} and "
                f"this run has {data[key]}; expected the same. {hint}"
            )


def _choose_student(wanted: str, meta: dict) -> str:
    names = list(meta["students"])
    if not wanted and len(names) == 1:
        return names[0]
    if wanted not in names:
        raise InputError(
            f"config.teacher.student is {wanted!r}; that run trained "
            f"{', '.join(names)}."
        )
    return wanted


def choose_step(path: str, wanted: str, latest: int, best: int | None) -> int:
    """The step that "latest", "best" or a number stands for."""
    if wanted == "latest":
        return latest
    if wanted == "best" and best is None:
        raise InputError(f"{path} is best, but no step was evaluated yet; use latest.")
    if wanted == "best":
        return best
    if str(wanted).isdigit():
        return int(wanted)
    raise InputError(f"{path} is {wanted!r}; expected latest, best or a step.")


def _foreign_teacher(name: str, data: dict) -> Teacher:
    """A `package.module:function` whose network brings its weights in `init`."""
    path = "config.teacher.network"
    if ":" not in name:
        raise InputError(
            f"{path} is {name!r}; expected package.module:function. A network of kdjax "
            "has no weights of its own: name the workdir that trained it instead."
        )
    network = build_network(path, {"name": name}, data["classes"])
    classes = count_classes(path, network, data["image_shape"])
    check_classes(path, classes, data["classes"])
    images = jnp.zeros((1, *data["image_shape"]), jnp.float32)
    variables = jax.jit(network.init)(jax.random.key(0), images)
    variables = jax.tree.map(np.asarray, variables)
    identity = {"network": name, "digest": checkpoints.digest(variables)}
    return Teacher(network, variables, identity)
