"""What sets are called, and where TFDS keeps them. Needs no TFDS."""

import os
import pathlib
import re
from typing import NamedTuple

from kdjax import paths
from kdjax.data.split import DataError

EMBEDDED = "fashion_mnist_subset"
AT_HOME = "~/tensorflow_datasets"
_NAME = re.compile(r"(\w[\w.-]*)(?:/(\w[\w.+-]*))?(?::(\d+\.\d+\.\d+))?")
_FORMAT = re.compile(
    r"pixels_(?P<pixels>\d+)|short_side_(?P<side>\d+)_quality_(?P<quality>\d+)"
)


class Name(NamedTuple):
    """The parts of a set's name: "name", "name/config", either with ":1.2.3"."""

    dataset: str
    config: str | None
    version: str | None


def parse_name(name: str) -> Name:
    match = _NAME.fullmatch(name)
    if match is None:
        raise DataError(
            f"{name!r} is not the name of a data set; expected NAME, NAME/CONFIG or "
            "either with :VERSION. A folder: python -m kdjax prepare NAME --folder=DIR"
        )
    return Name(*match.groups())


def is_embedded(name: str) -> bool:
    """Whether it is the set that comes with the package."""
    return re.split("[/:]", name)[0] == EMBEDDED


def default_data_dir() -> pathlib.Path:
    """$TFDS_DATA_DIR, else ~/tensorflow_datasets: where TFDS itself would look."""
    text = os.environ.get("TFDS_DATA_DIR") or AT_HOME
    return paths.parse(text, "$TFDS_DATA_DIR or --data_dir")


def format_options(config: str) -> str | None:
    """The options of `prepare` that write a set's config; None if none do.

    >>> format_options("short_side_256_quality_95")
    '--short_side=256 --quality=95'
    """
    if (match := _FORMAT.fullmatch(config)) is None:
        return None
    if match["pixels"]:
        return f"--pixels={match['pixels']}"
    return f"--short_side={match['side']} --quality={match['quality']}"
