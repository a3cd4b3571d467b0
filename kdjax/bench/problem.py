"""What `bench` distils into what: a pair of networks and the sizes of its images."""

import dataclasses

from kdjax.contracts import InputError
from kdjax.experiment.builders import allow_code
from kdjax.experiment.networks import build_network, check_classes, count_classes
from kdjax.models.network import Network


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """What is distilled into what, and how many images a step takes."""

    teacher: Network
    student: Network
    batch_size: int
    image_size: int
    classes: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.image_size, self.image_size, 3


def usual_padding(image_size: int) -> int:
    """Pixels that images in memory are padded with before a crop; on CIFAR it is 4.

    No more for large images: crops from a narrow border have a fast form on TPUs.

    >>> usual_padding(8), usual_padding(32), usual_padding(224)
    (1, 4, 4)
    """
    return min(4, max(1, image_size // 8))


def pair_names(pair: str, example: str) -> list[str]:
    """The names in TEACHER:STUDENT, or in TEACHER,STUDENT where one has a colon."""
    names = pair.split("," if "," in pair else ":")
    if len(names) != 2:
        raise InputError(
            f"--pair is {pair!r}; expected TEACHER:STUDENT, such as {example}, or "
            "TEACHER,STUDENT where a name has a colon."
        )
    return names


def problem_of(
    pair: str, dtype: str | None, *, batch_size: int, image_size: int, classes: int
) -> Problem:
    """The networks of a --pair, checked against the images and classes."""
    networks = []
    for name in pair_names(pair, "wrn_28_4:wrn_16_2"):
        section = {"name": name} | ({"dtype": dtype} if dtype else {})
        path = f"--pair: {name}"
        with allow_code(name):
            network = build_network("--pair", section, classes)
        shape = image_size, image_size, 3
        check_classes(path, count_classes(path, network, shape), classes)
        networks.append(network)
    teacher, student = networks
    sizes = {"batch_size": batch_size, "image_size": image_size, "classes": classes}
    return Problem(teacher=teacher, student=student, **sizes)
