"""A teacher that was trained on other images, or for other classes, than its students.

What is adapted stands in its identity and is a part of its digest: a cache, and a run
that is resumed, have the same teacher outputs.
"""

import hashlib
from typing import NamedTuple

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.experiment.builders import guarded
from kdjax.experiment.fields import jsonable
from kdjax.experiment.networks import check_classes
from kdjax.models.network import Network
from kdjax.paths.files import read_text

INPUT_KEYS = ("input_size", "resize", "classes")  # of a teacher's section


class Adapted(NamedTuple):
    """A network for the images and classes of a run, and what was done for it."""

    network: Network
    changes: dict  # as JSON; {} for nothing but another normalisation
    # Of each class of the run, which of the network's own logits it is; None: the same.
    places: tuple[int, ...] | None = None


def adapt(
    path: str,
    network: Network,
    trained_on: dict,
    data: dict,
    section: dict,
    own_moments: bool = False,
) -> Adapted:
    """Makes a teacher take the images and give the classes of a run.

    Args:
      trained_on: its classes, image_shape and normalisation, and their_names, the names
        of its classes, or None.
      data: classes, class_names (None: not read), image_shape and normalisation of
        the run.
      section: of the config; those of earlier versions have none of INPUT_KEYS.
      own_moments: whether it may have another normalisation than the run.
    """
    order = _class_order(path, trained_on, data, section)
    size = input_size(path, section)
    _check_shape(path, trained_on["image_shape"], data["image_shape"], size)
    own, given = trained_on["normalisation"], data["normalisation"]
    if order is None and not size and own == given:
        return Adapted(network, {})
    from kdjax.weights import input_transforms  # most teachers fit as they are

    changes = {}
    if order is not None:
        network = input_transforms.reordered(network, order)
        digest = hashlib.sha256(repr(order).encode()).hexdigest()
        changes |= {"of_classes": trained_on["classes"], "places_sha256": digest}
    if size:
        method = section.get("resize", "bilinear")
        network = guarded(path, input_transforms.resized, network, size, method)
        changes |= {"input_size": list(size), "resize": method}
    if own != given and not own_moments:
        raise InputError(
            f"{path}.workdir: the teacher was trained with normalisation {own} and "
            f"this run has {given}; expected the same: {moments_flags(own)}"
        )
    if own != given:
        network = input_transforms.renormalised(network, given, own)
    return Adapted(network, changes, None if order is None else tuple(order))


def moments_flags(moments: dict) -> str:
    """The options that normalise the images of a run so."""
    return " ".join(
        f"--config.data.{key}={','.join(map(str, moments[key]))}"
        for key in ("mean", "std")
    )


def requested(section: dict) -> dict:
    """What a section sets of INPUT_KEYS, for the identity; {} where it sets nothing."""
    keys = {key: section[key] for key in INPUT_KEYS if section.get(key)}
    if "input_size" not in keys:
        keys.pop("resize", None)
    return jsonable(keys)


def input_size(path: str, section: dict) -> tuple[int, int] | None:
    """The (height, width) that a section sets, or None."""
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
    path = paths.parse(file, where)
    try:
        # Not splitlines(): a name may have U+2028 in it, or a form feed.
        lines = read_text(path).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{where} is {file!r}, which cannot be read ({error}); expected a text "
            "file in UTF-8 with the name of a class on each line."
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


def are_numbers(names: list[str] | None) -> bool:
    """Whether classes have numbers for names: their order is then taken as equal."""
    return bool(names) and names == [str(number) for number in range(len(names))]


def _class_order(
    path: str, trained_on: dict, data: dict, section: dict
) -> list[int] | None:
    """Which of the teacher's logits is each class; None where they are the same."""
    file, theirs = section.get("classes", ""), trained_on.get("their_names")
    if file:
        theirs = read_names(f"{path}.classes", file)
        if len(theirs) != trained_on["classes"]:
            raise InputError(
                f"{path}.classes: {file} names {len(theirs)} classes and the teacher "
                f"has {trained_on['classes']}; expected as many."
            )
    is_numbered = are_numbers(theirs) or are_numbers(data.get("class_names"))
    if not theirs or (is_numbered and not file):
        check_classes(f"{path}.workdir", trained_on["classes"], data["classes"])
        return None
    if "class_names" not in data:
        raise InputError(
            f"{path}: the teacher's classes have names and this run, which is of an "
            "earlier version, has none."
        )
    ours = data["class_names"]
    if ours is None:  # images that are described, not read: as many of the teacher's
        ours = theirs[: data["classes"]]
        check_classes(f"{path}.workdir", len(ours), data["classes"])
    from kdjax.weights.input_transforms import places_of

    order = guarded(path, places_of, theirs, ours)
    return None if order == list(range(trained_on["classes"])) else order


def _check_shape(path: str, theirs, ours, size: tuple[int, int] | None) -> None:
    if [*(size or ours[:2]), ours[2]] == list(theirs):
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
