"""A teacher that was trained on other images, or for other classes, than its students.

What changes is told in its identity and is a part of its digest: a cache and a run that
is resumed are of one way of asking it.
"""

import hashlib
from typing import NamedTuple

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.experiment.networks import check_classes
from kdjax.experiment.schema import jsonable
from kdjax.models.network import Network
from kdjax.weights import input_transforms
from kdjax.weights.moments import renormalised

ASKED = ("input_size", "resize", "classes")  # keys of a teacher's section


class Adapted(NamedTuple):
    """A network that answers in a run, and what had to be done for it."""

    network: Network
    told: dict  # as JSON; {} for nothing but another normalisation


def adapt(
    path: str,
    network: Network,
    taught_on: dict,
    data: dict,
    section: dict,
    own_moments: bool = False,
) -> Adapted:
    """Makes a teacher answer to the images and classes of a run.

    Args:
      path: of the teacher's section, for errors.
      network: the teacher, as it was trained.
      taught_on: its classes, image_shape and normalisation, and their_names, the names
        of its classes, or None.
      data: classes, class_names (None: not known), image_shape and normalisation of
        the run.
      section: those of ASKED that it has; earlier versions had none.
      own_moments: whether it may have another normalisation than the run.

    Raises:
      InputError: they do not fit together.
    """
    told = {}
    places = _places(path, taught_on, data, section)
    if places is not None:
        network = input_transforms.reordered(network, places)
        digest = hashlib.sha256(repr(places).encode()).hexdigest()
        told |= {"of_classes": taught_on["classes"], "places_sha256": digest}
    size = input_size(path, section)
    _check_shape(path, taught_on["image_shape"], data["image_shape"], size)
    if size:
        method = section.get("resize", "bilinear")
        network = _named(path, input_transforms.resized, network, size, method)
        told |= {"input_size": list(size), "resize": method}
    own, given = taught_on["normalisation"], data["normalisation"]
    if own != given and not own_moments:
        raise InputError(
            f"{path}.workdir: the teacher was trained with normalisation {own} and "
            f"this run has {given}; expected the same. Set config.data.mean and "
            "config.data.std to the teacher's."
        )
    network = network if own == given else renormalised(network, given, own)
    return Adapted(network, told)


def asked(section: dict) -> dict:
    """What a section says of it, for the identity; {} where it says nothing."""
    given = {key: section[key] for key in ASKED if section.get(key)}
    if "input_size" not in given:
        given.pop("resize", None)
    return jsonable(given)


def _named(path: str, function, *args):
    try:
        return function(*args)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def input_size(path: str, section: dict) -> tuple[int, int] | None:
    """The (height, width) that a section asks for, or None."""
    value = section.get("input_size", ())
    if value in ((), []):
        return None
    pair = isinstance(value, tuple | list) and len(value) == 2
    if not pair or any(type(size) is not int or size < 1 for size in value):
        raise InputError(
            f"{path}.input_size is {value!r}; expected (height, width) in pixels, or "
            "() for that of the data set."
        )
    return tuple(value)


def read_names(where: str, file: str) -> list[str]:
    """The names of classes in a text file, one a line, in the order of the logits."""
    path = paths.local(file, where)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{where} is {file!r}, which cannot be read ({error}); expected a text "
            "file with the name of a class on each line."
        ) from error
    names = [line.strip() for line in lines]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise InputError(
            f"{where}: {file} has {'an empty line' if names else 'no line'}; expected "
            "the name of a class on each line."
        )
    return names


def _places(path: str, taught_on: dict, data: dict, section: dict) -> list[int] | None:
    """Which of the teacher's logits is each class; None where they are the same."""
    file, theirs = section.get("classes", ""), taught_on.get("their_names")
    if file:
        theirs = read_names(f"{path}.classes", file)
        if len(theirs) != taught_on["classes"]:
            raise InputError(
                f"{path}.classes: {file} names {len(theirs)} classes and the teacher "
                f"has {taught_on['classes']}; expected as many."
            )
    if not theirs:
        check_classes(f"{path}.workdir", taught_on["classes"], data["classes"])
        return None
    if "class_names" not in data:
        raise InputError(
            f"{path}: the teacher's classes have names and those of this run are not "
            "known: it is of an earlier version."
        )
    ours = data["class_names"]
    if ours is None:  # images that are described, not read: as many of the teacher's
        ours = theirs[: data["classes"]]
        check_classes(f"{path}.workdir", len(ours), data["classes"])
    places = _named(path, input_transforms.places_of, theirs, ours)
    return None if places == list(range(taught_on["classes"])) else places


def _check_shape(path: str, theirs, ours, size: tuple[int, int] | None) -> None:
    seen = [*(size or ours[:2]), ours[2]]
    if seen == list(theirs):
        return
    if size is None:
        raise InputError(
            f"{path}.workdir: the teacher was trained with image_shape {list(theirs)} "
            f"and this run has {list(ours)}; expected the same, or {path}.input_size = "
            f"{tuple(theirs[:2])}, to which its images are resized for the teacher."
        )
    raise InputError(
        f"{path}.input_size is {size} and the run's images have {ours[2]} channel(s); "
        f"expected what the teacher was trained on, {list(theirs)}."
    )
