"""Finds prepared sets on disk. Never touches the network."""

import os
import pathlib
import re
from typing import NamedTuple

import tensorflow_datasets as tfds

from kdjax.data.errors import DataError

_NAME = re.compile(r"(\w[\w.-]*)(?:/(\w[\w.+-]*))?(?::(\d+\.\d+\.\d+))?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


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
    return pathlib.Path(chosen).expanduser()


def find(name: str, data_dir: pathlib.Path) -> pathlib.Path | None:
    """The directory of a prepared set, the newest unless named; None if there is none.

    Raises:
      DataError: the name is malformed, or the set has configs and none was named.
    """
    parsed = parse_name(name)
    root = data_dir / parsed.dataset / (parsed.config or "")
    versions = _versions(root)
    if parsed.version is not None:
        versions = [path for path in versions if path.name == parsed.version]
    if versions:
        return max(versions, key=lambda path: [int(n) for n in path.name.split(".")])
    if parsed.config is None and root.is_dir():
        configs = sorted(path.name for path in root.iterdir() if _versions(path))
        if configs:
            raise DataError(
                f"{root} has several configs; name one, "
                f"e.g. {parsed.dataset}/{configs[0]} (there are {', '.join(configs)})."
            )
    return None


def open_builder(directory: pathlib.Path) -> tfds.core.DatasetBuilder:
    """Opens a prepared set, whatever code wrote it.

    Raises:
      DataError: the description cannot be read, or the set is not in array_record
        format.
    """
    try:
        builder = tfds.builder_from_directory(directory)
    except Exception as error:  # TFDS passes on whatever its parsers raise
        raise DataError(
            f"{directory}: the description of the set cannot be read ({error}). Delete "
            "this directory and prepare the set anew."
        ) from error
    formats = {entry.value for entry in builder.info.available_file_formats()}
    if "array_record" not in formats:
        raise DataError(
            f"{directory}: stored as {', '.join(sorted(formats)) or 'nothing'}; kdjax "
            "reads array_record, which needs no TensorFlow. Prepare the set again in "
            'another data_dir; with TFDS itself, pass file_format="array_record".'
        )
    return builder


def _versions(root: pathlib.Path) -> list[pathlib.Path]:
    try:
        entries = sorted(root.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [
        path
        for path in entries
        if _VERSION.fullmatch(path.name) and (path / "dataset_info.json").is_file()
    ]
