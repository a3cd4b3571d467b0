"""Data of shapes alone: of known sets, or of any that is described."""

import re

import numpy as np

from kdjax.contracts import InputError
from kdjax.data.images.crops import Geometry
from kdjax.data.registry import AUGMENTS, DATASETS, STREAMED, Sizes
from kdjax.data.split import DataError, Split
from kdjax.experiment.data import Data, augment_of, check_feed, dataset_of, load_data

KNOWN = {name: d.sizes for name, d in DATASETS.items() if d.sizes.classes}
FLAGS = ("image_size", "classes", "examples")


class DatasetSpec:
    """Images of a streamed set, as far as a step knows them: shape and crops."""

    dtype = np.dtype(np.uint8)

    def __init__(self, shape: tuple[int, int, int, int], geometry: Geometry):
        self.shape, self.geometry = shape, geometry

    def __len__(self) -> int:
        return self.shape[0]


def describe_data(section: dict, given: Sizes, needs_labels: bool = False) -> Data:
    """The data of a `data` section, whose set need not be there where it is known.

    It is loaded where a config depends on more than its shapes, as one that
    `needs_labels` before it trains does, or where they are not known: neither by its
    name nor from `given`, which goes before published sizes.
    """
    published = KNOWN.get(dataset_of(section["name"]), Sizes())
    if not re.fullmatch(r"\w+", section["train"]):  # a part of the split
        published = published._replace(examples=None)
    needs_data = None in published[1:3] or needs_labels or section["keep"]
    if needs_data and not any(given[:3]):
        try:
            return load_data(section)
        except DataError as error:
            raise InputError(
                f"{error} Or describe it: compile needs no images, and reads none with "
                "--classes, --examples and, where they are not streamed, --image_size."
            ) from error
    return data_of_sizes(section, _settled(section, given, published))


def data_of_sizes(section: dict, sizes: Sizes) -> Data:
    """Black images that take no memory, or for a streamed set their shape alone.

    Labels are of every class in turn: methods may divide the set by them.
    """
    shape = (sizes.examples, sizes.image_size, sizes.image_size, sizes.channels)
    if _streams(section):
        image = DatasetSpec(shape, check_feed(section))
    else:
        image = np.broadcast_to(np.zeros((), np.uint8), shape)
    label = np.arange(sizes.examples, dtype=np.int32) % np.int32(sizes.classes)
    names = tuple(map(str, range(sizes.classes)))
    train, test = (
        Split(image, label, names, {"name": str(section["name"]), "split": part})
        for part in ("train", "test")
    )
    augment = augment_of(_usual(section, sizes.channels), train)
    return Data(train, label, test, augment, is_described=True)


def _settled(section: dict, given: Sizes, published: Sizes) -> Sizes:
    """What is given, else what is known, else what the crops are."""
    geometry = check_feed(section)
    if _streams(section):
        published = published._replace(image_size=geometry.size)
        if given.image_size not in (None, geometry.size):
            raise InputError(
                f"--image_size is {given.image_size}, and crops of a streamed set are "
                f"of {geometry.size} pixels; expected --config.data.crops.size."
            )
    sizes = {}
    for flag in FLAGS:
        value = getattr(given, flag)
        value = getattr(published, flag) if value is None else value
        if value is None or value < 1:
            raise InputError(
                f"--{flag} is {value}, and config.data does not tell it; expected a "
                "whole number above 0."
            )
        sizes[flag] = value
    return published._replace(**sizes)


def _streams(section: dict) -> bool:
    """What `auto` would choose, which looks at the set on disk."""
    if section["feed"] != "auto":
        return section["feed"] == "streamed"
    dataset = dataset_of(section["name"])
    if dataset in KNOWN:
        return dataset in STREAMED
    raise InputError(
        f"config.data.feed is 'auto', and {section['name']!r} is not looked at; "
        "expected --config.data.feed=resident or streamed."
    )


def _usual(section: dict, channels: int) -> dict:
    """The section, with numbers of no consequence in place of unknown ones."""
    streamed = _streams(section)
    table = STREAMED if streamed else AUGMENTS
    if dataset_of(section["name"]) in table:
        return section
    usual = {"padding": 0 if streamed else 4, "flip": True}
    missing = {key: value for key, value in usual.items() if section[key] is None}
    if not section["mean"] and not section["std"]:
        missing |= {"mean": (0.5,) * channels, "std": (0.25,) * channels}
    return section | missing
