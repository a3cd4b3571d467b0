"""What sets are called, and where TFDS keeps them. Needs no TFDS."""

import os
import pathlib
import re
from typing import NamedTuple

from kdjax import paths
from kdjax.data.errors import DataError

_NAME = re.compile(r"(\w[\w.-]*)(?:/(\w[\w.+-]*))?(?::(\d+\.\d+\.\d+))?")


class Name(NamedTuple):
    """A set's name taken apart: "name", "name/config", either with ":1.2.3"."""

    dataset: str
    config: str | None
    version: str | None


def parse_name(name: str) -> Name:
    match = _NAME.fullmatch(name)
    if match is None:
        raise DataError(
            f"{name!r} is not the name of a data set; expected NAME, NAME/CONFIG or "
            "either with :VERSION, e.g. cifar100 or my_set/small:1.0.0."
        )
    return Name(*match.groups())


def default_data_dir() -> pathlib.Path:
    """$TFDS_DATA_DIR, else ~/tensorflow_datasets: where TFDS itself would look."""
    chosen = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return paths.local(chosen, "$TFDS_DATA_DIR or --data_dir")
