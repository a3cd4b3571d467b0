"""Runs a TFDS builder so that nobody ever sees half a set."""

import os
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import tensorflow_datasets as tfds

from kdjax.data.recorded import read_facts
from kdjax.data.split import SkippedImages
from kdjax.data.synthetic import write_quietly
from kdjax.data.tfds import find
from kdjax.data.tfds.labels import save_labels
from kdjax.datasets.staging import staged
from kdjax.paths import is_url
from kdjax.paths.files import sync, sync_tree, upload

INFO = "dataset_info.json"  # a set is there where this is
Log = Callable[[str], None]  # takes a line about what takes long


class Prepared(NamedTuple):
    """A set on disk."""

    name: str
    directory: pathlib.Path
    splits: dict[str, int]
    source: str | None  # of the images; None if the set was prepared already
    skipped: dict[str, str] = {}  # images that were left out, and why
    doubtful: dict[str, str] = {}  # those that were kept, and the decoder's warning
    facts: dict | None = None  # of a folder: see `kdjax.datasets.set_facts`


def silent(line: str) -> None:
    """A log that drops its lines."""


def existing(name: str, data_dir: pathlib.Path) -> Prepared | None:
    """A set that is prepared already, else None."""
    directory = find.prepared(name, data_dir)
    return None if directory is None else describe(name, directory, None)


def build(
    name: str,
    make: Callable[..., tfds.core.DatasetBuilder],
    *,
    data_dir: pathlib.Path,
    source: str,
    log: Log = silent,
    finish: Callable[[tfds.core.DatasetBuilder], None] | None = None,
) -> Prepared:
    """Builds in a staging directory and renames, so that several may build at once.

    `make` takes data_dir and log and returns the builder. `finish` is given it when the
    set is written and before it gets its place: it may write more files, or refuse.
    Raises OSError if the disk refuses.
    """
    log(f"preparing {name}")
    with staged(data_dir) as staging:
        builder = make(data_dir=staging, log=log)
        write_quietly(builder)
        if finish is not None:
            finish(builder)
        directory = publish(pathlib.Path(builder.data_dir), staging, data_dir)
    save_labels(directory, getattr(builder, "labels", {}))
    return describe(name, directory, source, getattr(builder, "skipped", None))


def publish(built: pathlib.Path, staging: str, data_dir: pathlib.Path) -> pathlib.Path:
    """Moves a finished set from the staging directory to its place."""
    target = data_dir / built.relative_to(staging)
    if is_url(data_dir):
        upload(built, target, last=INFO)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    sync_tree(built)
    try:
        os.rename(built, target)
        sync(target.parent)
    except OSError:
        if not (target / INFO).is_file():
            raise
        # Another process was faster; its result is the same.
    return target


def describe(
    name: str,
    directory: pathlib.Path,
    source: str | None,
    skipped: SkippedImages | None = None,
) -> Prepared:
    """What is in a prepared set."""
    splits = find.open_builder(directory).info.splits
    sizes = {key: int(split.num_examples) for key, split in splits.items()}
    images = (skipped.errors, skipped.warnings) if skipped else ()
    facts = read_facts(directory)
    return Prepared(name, directory, sizes, source, *images)._replace(facts=facts)
