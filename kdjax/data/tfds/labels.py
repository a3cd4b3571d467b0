"""All labels of a split whose images stay on disk, cached in a file beside it.

The labels lie among the images: without that file, a first start reads all of them.
"""

import hashlib
import os
import pathlib
import sys
import time
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds

from kdjax.data.tfds import find
from kdjax.data.tfds.records import UNDECODED, OpenSplit, examples

_REPORT_EVERY = 30  # seconds


def read_labels(opened: OpenSplit) -> np.ndarray:
    """The labels of a split, int32 [n], from the file that `prepare` writes.

    Without it all of the set is read once, minutes for ImageNet, with progress on
    standard error; the file holds until the set's files change.
    """
    path = _cache_path(opened.builder, opened.split)
    labels = _load(path, len(opened.records))
    if labels is None:
        labels, last = np.empty(len(opened.records), np.int64), time.monotonic()
        for position, example in examples(opened, UNDECODED):
            labels[position] = example["label"]
            if time.monotonic() > last + _REPORT_EVERY:
                last = time.monotonic()
                progress = f"for its labels: {position:,} of {len(labels):,}"
                line = f"{opened.where}: reading all of it once, {progress}"
                print(line, file=sys.stderr, flush=True)
        labels = labels.astype(np.int32)
        _save(path, labels)
    opened.check_labels(labels)
    return labels


def save_labels(directory: pathlib.Path, labels: Mapping[str, Sequence[int]]) -> None:
    """Caches the labels of whole splits of a set that was just written."""
    if labels:
        builder = find.open_builder(directory)
        for split, numbers in labels.items():
            _save(_cache_path(builder, split), np.array(numbers, np.int32))


def _cache_path(builder: tfds.core.DatasetBuilder, split: str) -> pathlib.Path:
    """The file of a split's labels; another one once the set's files change."""
    key = hashlib.sha256(repr(split).encode())
    for file in builder.info.splits[split].file_instructions:
        status, name = os.stat(file.filename), os.path.basename(file.filename)
        key.update(repr((name, file.skip, file.take)).encode())
        key.update(repr((status.st_size, status.st_mtime_ns)).encode())
    return pathlib.Path(builder.data_dir) / f"kdjax-labels-{key.hexdigest()[:16]}.npy"


def _load(path: pathlib.Path, count: int) -> np.ndarray | None:
    """Cached labels, int32 [count]; None if they are missing or incomplete."""
    try:
        labels = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return labels if labels.shape == (count,) and labels.dtype == np.int32 else None


def _save(path: pathlib.Path, labels: np.ndarray) -> None:
    """Writes int32 [n]; warns if it cannot."""
    part = path.with_name(f"{path.name}.{os.getpid()}")  # of several hosts, the last
    try:
        with part.open("wb") as file:
            np.save(file, labels)
        part.replace(path)
    except OSError as error:
        warnings.warn(
            f"{path} cannot be written ({error}); the next run reads the whole set for "
            "its labels again.",
            stacklevel=4,
        )
