"""Runs a TFDS builder so that nobody ever sees half a set."""

import contextlib
import io
import os
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import tensorflow_datasets as tfds

from kdjax.data.images.skipped import Skipped
from kdjax.data.tfds import find, label_cache
from kdjax.datasets.staging import staged


class Prepared(NamedTuple):
    """A set on disk."""

    name: str
    directory: pathlib.Path
    splits: dict[str, int]
    source: str | None  # where the images came from; None if the set was there already
    skipped: dict[str, str] = {}  # which pictures were left out, and why
    doubtful: dict[str, str] = {}  # which were kept, and what the decoder said


def build(
    make: Callable[..., tfds.core.DatasetBuilder], data_dir: pathlib.Path
) -> tuple[pathlib.Path, tfds.core.DatasetBuilder]:
    """Builds apart and renames, however many build it at the same time.

    Args:
      make: takes data_dir and returns the builder.
      data_dir: where TFDS keeps its sets.

    Returns:
      The set's directory in `data_dir`, and what built it.

    Raises:
      OSError: the disk refuses.
    """
    with staged(data_dir) as apart:
        builder = make(data_dir=apart)
        with _quiet():
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(
                    try_download_gcs=False,
                    compute_stats=tfds.download.ComputeStatsMode.SKIP,
                )
            )
        directory = moved(pathlib.Path(builder.data_dir), apart, data_dir)
    label_cache.keep_all(directory, getattr(builder, "labels", {}))
    return directory, builder


def moved(built: pathlib.Path, apart: str, data_dir: pathlib.Path) -> pathlib.Path:
    """Renames a finished set from `apart` to its place."""
    target = data_dir / built.relative_to(apart)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(built, target)
    except OSError:
        if not (target / "dataset_info.json").is_file():
            raise
        # Another process was faster; its result is the same.
    return target


def describe(
    name: str,
    directory: pathlib.Path,
    source: str | None,
    skipped: Skipped | None = None,
) -> Prepared:
    """What is in a prepared set."""
    info = find.open_builder(directory).info
    sizes = {split: int(part.num_examples) for split, part in info.splits.items()}
    told = (skipped.found, skipped.doubtful) if skipped else ()
    return Prepared(name, directory, sizes, source, *told)


@contextlib.contextmanager
def _quiet():
    """Keeps TFDS's banners and bars off the terminal; errors are raised anyway."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        yield
