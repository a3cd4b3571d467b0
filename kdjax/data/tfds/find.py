"""Finds prepared sets on disk. Never touches the network."""

import difflib
import pathlib
import re

import tensorflow_datasets as tfds

from kdjax.data.registry import DATASETS
from kdjax.data.split import DataError
from kdjax.data.tfds import file_limits
from kdjax.data.tfds.feature_classes import check_classes
from kdjax.data.tfds.names import format_options, parse_name
from kdjax.paths.files import names

_VERSION = re.compile(r"\d+\.\d+\.\d+")


def require(name: str, data_dir: pathlib.Path) -> pathlib.Path:
    """The directory of a prepared set; raises DataError where `find` finds none."""
    directory = find(name, data_dir)
    if directory is None:
        path = data_dir / name.replace(":", "/")
        where = f"{name} is not prepared: looked for {path}."
        raise DataError(f"{where} {advice(name, data_dir)}")
    return directory


def find(name: str, data_dir: pathlib.Path) -> pathlib.Path | None:
    """The directory of a prepared set, the newest unless named; None if there is none.

    Raises DataError: the name is malformed, or the set has configs and none is named.
    """
    directory = prepared(name, data_dir)
    dataset, config, _ = parse_name(name)
    root = data_dir / dataset
    if directory is None and config is None and root.is_dir():
        configs = sorted(path.name for path in root.iterdir() if _versions(path))
        if configs:
            raise DataError(
                f"{root} has several configs; name one, e.g. {dataset}/{configs[0]} "
                f"(there are {', '.join(configs)})."
            )
    return directory


def prepared(name: str, data_dir: pathlib.Path) -> pathlib.Path | None:
    """`find` before a set is prepared: other configs of it do not matter."""
    dataset, config, version = parse_name(name)
    versions = _versions(data_dir / dataset / (config or ""))
    if version is not None:
        versions = [path for path in versions if path.name == version]
    newest = sorted(versions, key=lambda p: [int(n) for n in p.name.split(".")])[-1:]
    return newest[0] if newest else None


def advice(name: str, data_dir: pathlib.Path) -> str:
    """How to get a set that is not there."""
    if pathlib.Path(name).is_dir():
        command = f"python -m kdjax prepare NAME --folder={name}"
        return f"{name} is a folder; prepare it first, if it has images: {command}"
    dataset, config, _ = parse_name(name)
    options = format_options(config) if config else None
    if options or (dataset in DATASETS and config is None):
        words = f"{dataset} {options}" if options else name
        return f"Type: python -m kdjax prepare {words} --data_dir={data_dir}"
    nearest = difflib.get_close_matches(dataset, DATASETS, n=1)
    hint = f"Did you mean {nearest[0]}? " if nearest else ""
    return (
        f"{hint}kdjax prepares {', '.join(DATASETS)}, and images in folders "
        "(`python -m kdjax prepare NAME --folder=DIR`). Any other set that TFDS has "
        "written as array_record, with features image and label, can be used as well. "
        "Of one that was prepared elsewhere give the --data_dir."
    )


def open_builder(directory: pathlib.Path) -> tfds.core.DatasetBuilder:
    """Opens a prepared set, whatever code wrote it, if it is in array_record format.

    None of that code is imported.
    """
    check_classes(directory)
    try:
        builder = tfds.builder_from_directory(directory)
    except DataError:
        raise
    except Exception as error:  # TFDS passes on whatever its parsers raise
        text = f"{directory}: the description of the set cannot be read"
        raise file_limits.failure(text, error, directory) from error
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
    versions = [root / name for name in names(root) if _VERSION.fullmatch(name)]
    return [path for path in versions if (path / "dataset_info.json").exists()]
