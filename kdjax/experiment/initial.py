"""Weights and connectors of another run, which a training begins with.

Where the classes are others, the body is that run's and the head is drawn anew.
"""

import dataclasses
from typing import NamedTuple

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.experiment import heads
from kdjax.experiment.builders import guarded
from kdjax.experiment.data import Data
from kdjax.experiment.networks import check_classes
from kdjax.experiment.pretrained import Stored, find_network, identified
from kdjax.experiment.teacher_inputs import moments_flags
from kdjax.models.network import Network
from kdjax.types import PyTree

KEEP, NEW = "keep", "new"  # of config.initial.head, beside auto


class Head(NamedTuple):
    """What becomes of the head of the weights in one student."""

    axes: dict[str, int]  # array -> axis of the classes; {} where it stays as it is
    places: tuple[int, ...] | None = None  # of its classes; None: drawn anew
    sentence: str = ""


class Initial(NamedTuple):
    """What training begins with; None and {} for what it draws itself."""

    variables: tuple[PyTree, PyTree] | None
    connectors: dict[str, PyTree]  # name -> {"params", "state"}
    identity: dict
    trained_on: dict  # `Data.identity` of that run
    head: str = KEEP
    places: tuple[int, ...] | None = None  # of our classes among theirs; None: the same
    heads: dict[str, Head] = {}  # of each student, by `fitted`


def load_initial(section: dict, data: dict) -> Initial:
    """What training begins with, of the run that an `initial` section names.

    `data` is `Data.identity` of the run that begins.
    """
    path, parts = "config.initial", section["parts"]
    stored = find_network(path, section)
    _check_moments(path, stored, data)
    which = stored.directory, stored.step, stored.name
    variables = checkpoints.read_variables(*which)
    identity = stored.identity(variables)
    identity = identified(identity, variables, stored.own_moments, {}, {})
    connectors = {}
    if parts != "weights":
        where = f"{path}.workdir"
        connectors = guarded(where, checkpoints.read_connectors, *which)
    if parts == "connectors":
        check_classes(f"{path}.workdir", stored.data["classes"], data["classes"])
        variables, head, places = None, KEEP, None
        if not connectors:
            raise InputError(
                f"{path}.parts is {parts!r}, and the run in {stored.workdir} has none; "
                "expected 'weights'."
            )
    else:
        head, places = _choose_head(path, section.get("head", "auto"), stored, data)
    if connectors:  # else the digest is of the weights alone, as it was before
        taken = {"digest": checkpoints.digest((variables, connectors))}
        identity = identity | taken
    if head == NEW or places:
        identity["head"] = NEW if head == NEW else "reordered"
    return Initial(variables, connectors, identity, stored.data, head, places)


def normalised_as(section: dict, data: Data) -> Data:
    """The images, normalised as those of the weights that an `initial` section names.

    Of a run that does not say how its images are normalised; others are refused where
    they differ from the weights'.
    """
    stored = find_network("config.initial", section)
    moments = stored.data["normalisation"]
    own = {key: tuple(moments[key]) for key in ("mean", "std")}
    if len(own["mean"]) != data.train.image.shape[-1]:
        return data  # `load_initial` refuses it
    return dataclasses.replace(data, augment=dataclasses.replace(data.augment, **own))


def fitted(
    initial: Initial,
    networks: dict[str, Network],
    sections: dict[str, dict],
    data: dict,
) -> Initial:
    """The same with what becomes of the head in every student.

    Raises:
      InputError: the weights are not those of a student's network.
    """
    if initial.variables is None:
        return initial
    each = {
        name: _fit(initial, name, network, sections[name], data)
        for name, network in networks.items()
    }
    return initial._replace(heads=each)


def _fit(
    initial: Initial, name: str, network: Network, section: dict, data: dict
) -> Head:
    path, shape = "config.initial", data["image_shape"]
    theirs = heads.shapes_of(initial.variables)
    ours = heads.drawn_shapes(path, network, shape)
    sizes = initial.trained_on["classes"], data["classes"]
    axes = {}
    if sizes[0] != sizes[1]:
        axes = heads.class_axes(theirs, ours, sizes)
    elif initial.head == NEW or initial.places:
        axes = heads.head_axes(path, section, network, shape, sizes[1])
    _check_arrays(path, name, theirs, ours, axes)
    return Head(axes, initial.places, _sentence(initial, theirs, axes, data))


def _check_arrays(path: str, name: str, theirs, ours, axes) -> None:
    """Refuses a body that is not the student's."""
    every = [*theirs, *(key for key in ours if key not in theirs)]
    wrong = [k for k in every if theirs.get(k) != ours.get(k) and k not in axes]
    wrong.sort(key=lambda key: not key.startswith("params/"))
    if not wrong:
        return
    source, own = (
        list(one[wrong[0]]) if wrong[0] in one else "none" for one in (theirs, ours)
    )
    raise InputError(
        f"{path}: that run's network is not the one of {name}: {len(wrong)} of "
        f"{len(every)} arrays differ, such as {_short(wrong[0])}, {source} in it "
        f"and {own} here. Expected the same config.model and number of channels, or "
        f"{path}.parts='connectors'. Only the arrays of the last layer may differ, by "
        "the number of classes."
    )


def _sentence(initial: Initial, theirs, axes: dict[str, int], data: dict) -> str:
    """What is said of the head and of the rest."""
    run, rest = initial.identity["workdir"], len(theirs) - len(axes)
    if not axes:
        return f"initial: all {rest} arrays from {run}"
    arrays = ", ".join(f"{_short(key)} {list(theirs[key])}" for key in axes)
    others, count = f"{rest} other arrays from {run}", data["classes"]
    if initial.places:
        return f"head: {arrays} kept, its classes put in order by name; {others}"
    old, names = map(_names, (initial.trained_on, data))
    new = [one for one in names if old and one not in old]
    if new and len(old) == count:
        new = ", ".join(map(repr, new[:3]))
        return f"head: {arrays} drawn anew, as {new} are no classes of it; {others}"
    return f"head: {arrays} drawn anew for {count} classes; {others}"


def _choose_head(
    path: str, wanted: str, stored: Stored, data: dict
) -> tuple[str, tuple[int, ...] | None]:
    """(KEEP or NEW, which of the weights' classes is each of ours; None: the same)."""
    count, expected = stored.data["classes"], data["classes"]
    theirs, ours = map(_names, (stored.data, data))
    if wanted == NEW:
        return NEW, None
    if not (theirs and ours):
        if wanted == KEEP:
            check_classes(f"{path}.head is {KEEP!r}", count, expected)
        return (KEEP if count == expected else NEW), None
    if wanted == "auto" and sorted(theirs) != sorted(ours):
        return NEW, None
    from kdjax.weights.input_transforms import places_of

    where = f"{path}.head is {wanted!r}"
    places = guarded(where, places_of, theirs, ours, ("network", "run"))
    return KEEP, None if theirs == ours else tuple(places)


def _names(data: dict) -> list[str]:
    """Of the classes; [] for numbers, whose order is taken to be the same."""
    names = data.get("class_names") or []
    return [] if names == [str(number) for number in range(len(names))] else names


def _check_moments(path: str, stored: Stored, data: dict) -> None:
    """Refuses other images: of other channels, or normalised otherwise."""
    channels = [one["image_shape"][-1] for one in (stored.data, data)]
    if channels[0] != channels[1]:
        raise InputError(
            f"{path}.workdir: these weights take images of {channels[0]} channel(s), "
            f"and the run's have {channels[1]}; expected the same."
        )
    theirs, ours = stored.data["normalisation"], data["normalisation"]
    if theirs != ours:
        raise InputError(
            f"{path}.workdir: these weights were trained with normalisation {theirs} "
            f"and this run has {ours}; expected the same: leave config.data.mean and "
            f"std out, or {moments_flags(theirs)}"
        )


def _short(name: str) -> str:
    return name.partition("/")[2]
