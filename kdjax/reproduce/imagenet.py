"""ImageNet is trained config by config: which there are, and what they will take."""

from typing import NamedTuple

from kdjax.reproduce import estimates
from kdjax.reproduce.plans import FLOAT32

NAME = "imagenet"
IMAGES = 1_281_167  # of the training split
R34, R152 = ("resnet34", "resnet18"), ("resnet152", "resnet50")


class Training(NamedTuple):
    """A config of configs/imagenet."""

    config: str
    teacher: str  # "" for none; published weights stand for its training
    student: str
    students: int
    epochs: float


TRAININGS = (
    Training("teacher", "", "resnet34", 1, 100.0),
    Training("baseline", "", "resnet18", 1, 100.0),
    *(Training(n, *R34, 1, 100.0) for n in ("kd", "mse", "dtd_la", "lr_mse", "lr_ds")),
    Training("kl_versus_mse", *R152, 4, 100.0),
    Training("mobilenet_v1", "resnet50", "mobilenet_v1", 1, 100.0),
    Training("patient", *R152, 1, 300.0),
)


def plan() -> str:
    """The configs, each at the roof of a device, and ESTIMATES for all."""
    text = []
    for one in TRAININGS:
        h200 = estimates.roof_hours([_part(one)], "NVIDIA H200", 1, FLOAT32)
        pair = " -> ".join(filter(None, (one.teacher, one.student)))
        count = f", {one.students} students" if one.students > 1 else ""
        text.append(
            f"configs/imagenet/{one.config}.py: {pair}{count}; {one.epochs:g} epochs, "
            f"{estimates.time(h200)} at the roof of one H200, ESTIMATE"
        )
    networks = sum(one.students for one in TRAININGS)
    what = f"{len(TRAININGS)} configs, {networks} networks"
    return "\n".join([*text, *estimates.lines([_part(t) for t in TRAININGS], what)])


def _part(one: Training) -> estimates.Part:
    images = one.epochs * IMAGES
    return estimates.Part(one.teacher, one.student, one.students, images)
