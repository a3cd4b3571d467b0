"""Finds prepared sets on disk. Never touches the network."""

import pathlib
import re

import tensorflow_datasets as tfds

from kdjax.data.errors import DataError
from kdjax.data.tfds import file_limits
from kdjax.data.tfds.names import parse_name

_VERSION = re.compile(r"\d+\.\d+\.\d+")


def find(name: str, data_dir: pathlib.Path) -> pathlib.Path | None:
    """The directory of a prepared set, the newest unless named; None if there is none.

    Raises:
      DataError: the name is malformed, or the set has configs and none was named.
    """
    found = prepared(name, data_dir)
    if found is not None:
        return found
    parsed = parse_name(name)
    root = data_dir / parsed.dataset
    if parsed.config is None and root.is_dir():
        configs = sorted(path.name for path in root.iterdir() if _versions(path))
        if configs:
            raise DataError(
                f"{root} has several configs; name one, "
                f"e.g. {parsed.dataset}/{configs[0]} (there are {', '.join(configs)})."
            )
    return None


def prepared(name: str, data_dir: pathlib.Path) -> pathlib.Path | None:
    """`find`, for whoever is about to prepare the set: does not mind other configs.

    Raises:
      DataError: the name is malformed.
    """
    dataset, config, version = parse_name(name)
    versions = _versions(data_dir / dataset / (config or ""))
    if version is not None:
        versions = [path for path in versions if path.name == version]
    return max(
        versions, key=lambda path: [int(n) for n in path.name.split(".")], default=None
    )


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
            f"{directory}: the description of the set cannot be read ({error}). "
            f"{file_limits.advice(error, directory)}"
        ) from error
    formats = {entry.value for entry in builder.info.available_file_formats()}
    if "array_record" not in formats:
        raise DataError(
            f"{directory}: stored as {', '.join(sorted(formats)) or 'nothing'}; kdjax "
            "reads array_record, which needs no TensorFlow. To copy it into another "
            "data_dir, type: python -m kdjax prepare NAME --tfrecord=DIR "
            "--data_dir=ANOTHER, where DIR holds this one."
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
