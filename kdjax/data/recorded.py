"""What `prepare --folder` measured of a set and wrote beside it: how to train on it."""

import pathlib
from typing import NamedTuple

from kdjax import paths
from kdjax.data.tfds import find
from kdjax.data.tfds.names import default_data_dir
from kdjax.data.transforms.augment import Augment
from kdjax.paths.json_files import DamagedError, read_json

FILE = "kdjax.json"
_ADVICE = "Delete the set's directory and prepare it again."
_SPREAD = {"smallest": int, "median": float, "largest": int}
_SPLIT = {"images": int, "a_class": _SPREAD, "fewest": str}
_FORM = {
    "source": {"validation": float, "seed": int, "listing": str},
    "classes": int,
    "splits": {"train": _SPLIT, "validation?": _SPLIT, "test?": _SPLIT},
    "heights": _SPREAD,
    "widths": _SPREAD,
    "measured": int,
    "training": {
        "mean": [float],
        "std": [float],
        "padding": int,
        "flip": bool,
        "feed": str,
        "crops?": {"size": int, "short_side": int, "smallest_area": float},
    },
    "warnings": [str],
}


class Recorded(NamedTuple):
    """How to train on a set, unless a config says otherwise."""

    augment: Augment
    streamed: bool  # images of several sizes, or too large to be kept as pixels
    source: dict  # its version, and a digest of the files that it was prepared from


def recorded(name: str, data_dir: str | pathlib.Path | None) -> Recorded | None:
    """What is recorded of a prepared set; None where nothing is, or no set is there.

    Raises DamagedError if the file is not what was written.
    """
    where = paths.parse(data_dir, "data_dir") if data_dir else default_data_dir()
    directory = find.prepared(name, where)
    facts = None if directory is None else read_facts(directory)
    if facts is None:
        return None
    training = facts["training"]
    moments = {key: tuple(map(float, training[key])) for key in ("mean", "std")}
    crop = {key: training[key] for key in ("padding", "flip")}
    try:
        augment = Augment(**moments, **crop)
    except ValueError as error:
        path = directory / FILE
        raise DamagedError(f"{path}: {error} {_ADVICE}") from error
    source = {"version": directory.name, "listing": facts["source"]["listing"]}
    return Recorded(augment, training["feed"] == "streamed", source)


def read_facts(directory: pathlib.Path) -> dict | None:
    """All that is recorded of the set in a directory; None where nothing is."""
    try:
        return read_json(directory / FILE, "what is recorded of a set", _FORM, _ADVICE)
    except FileNotFoundError:
        return None
