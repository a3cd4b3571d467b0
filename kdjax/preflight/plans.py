"""A training as its step needs it; its data and its teacher's weights may be absent."""

import dataclasses

from kdjax import paths
from kdjax.bench.problem import usual_padding
from kdjax.contracts import InputError
from kdjax.data.loaders.loader import is_streamed
from kdjax.experiment.build import Experiment, build, check_single
from kdjax.experiment.data import Data
from kdjax.experiment.given_networks import teacher_shape
from kdjax.experiment.schema import nested
from kdjax.experiment.students import student_sections
from kdjax.models.network import Network

FEEDS = ("resident", "streamed")


@dataclasses.dataclass(frozen=True)
class Plan:
    """An experiment, and what its data and config say of its step; no arrays."""

    experiment: Experiment
    teacher_from: str  # "", "untrained", "imported", or "run" of whatever is trained

    @property
    def teacher(self) -> Network | None:
        teacher = self.experiment.teacher
        return teacher.network if teacher else None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Of training; of the largest crops where they change their size."""
        data = self.experiment.data
        height, width, channels = data.train.image.shape[1:]
        if data.sides:
            height = width = max(data.sides)
        return height, width, channels

    @property
    def teacher_shape(self) -> tuple[int, int, int]:
        """Of the teacher's own input."""
        images = {"image_shape": self.image_shape}
        return tuple(teacher_shape(images, self.experiment.config["teacher"]))

    @property
    def examples(self) -> int:
        return len(self.experiment.train.label)

    @property
    def resident(self) -> bool:
        """Whether all images lie on the devices, or come with each batch."""
        return not is_streamed(self.experiment.train)


def pair_config(
    student: dict, image_size: int, feed: str | None, examples: int | None
) -> dict:
    """The config of KD into the network of a `model` section on unnamed images.

    They are resident where `feed` is None and the number of `examples` is given.
    """
    feed = feed or ("resident" if examples else "streamed")
    if feed not in FEEDS:
        raise InputError(f"--feed is {feed!r}; expected {' or '.join(FEEDS)}.")
    config = nested()
    config["model"] = student
    config["method"] = {"name": "kd", "alpha": 0.9, "temperature": 4.0}
    config["data"] |= {"name": "unnamed", "feed": feed, "flip": True}
    if feed == "streamed":
        config["data"]["crops"] = {"size": image_size, "short_side": image_size}
    else:
        config["data"]["padding"] = usual_padding(image_size)
    return config


def plan(config: dict, data: Data, teacher_models: list[dict] | None = None) -> Plan:
    """The training of a plain config; arguments and errors are those of `build`."""
    check_single(config)
    _check_teacher(config["teacher"], teacher_models)
    try:  # the weights that a training starts with do not change its program
        experiment = build(config, data, teacher_models=teacher_models, never_runs=True)
    except InputError as error:
        if "needs a teacher" in str(error):
            raise InputError(f"{error} Or --teacher=NAME, its network.") from error
        raise
    teacher, teacher_from = experiment.teacher, ""
    if teacher:
        imported = teacher.identity.get("normalisation")
        teacher_from = "imported" if imported else "run"
    return Plan(experiment, "untrained" if teacher_models else teacher_from)


def needs_labels(config: dict) -> bool:
    """Whether the config's selections look at the labels before it trains."""
    sections = student_sections(config).values()
    return any(section["selection"].get("name") == "file" for section in sections)


def _check_teacher(section: dict, teacher_models: list | None) -> None:
    """Refuses a cache, and a run that does not exist where no network is named."""
    if section["cache"]:
        raise InputError(
            "config.teacher.cache: steps that read a teacher's outputs from a cache "
            "cannot be compiled here; expected none, which needs more memory than one "
            "with it."
        )
    for name in () if teacher_models else section["workdir"].split(","):
        name = name.strip()
        if name and not paths.parse(name, "config.teacher.workdir").is_dir():
            raise InputError(
                f"config.teacher.workdir: there is no directory {name!r}; expected "
                "--teacher=NAME, the teacher's network, or a run."
            )
