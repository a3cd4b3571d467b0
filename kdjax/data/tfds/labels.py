"""All labels of a split whose images stay on disk, cached in a file beside it.

The labels lie among the images: without that file, a first start reads all of them.
"""

import hashlib
import pathlib
import sys
import time
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds

from kdjax import paths
from kdjax.data.npz import read_npy
from kdjax.data.tfds import find
from kdjax.data.tfds.records import UNDECODED, OpenSplit, examples
from kdjax.paths.files import is_refused, size, written

_REPORT_EVERY = 30  # seconds
_COMPARED = 64  # labels of a cached file, with the records that they are of


def read_labels(opened: OpenSplit) -> np.ndarray:
    """The labels of a split, int32 [n], from the file that `prepare` writes.

    Without it all of the set is read once, minutes for ImageNet, with progress on
    standard error; the file holds until the set's files change.
    """
    path = _cache_path(opened.builder, opened.split)
    labels = _load(path, len(opened.records))
    if labels is None or not _is_of(opened, labels):
        labels, last = np.empty(len(opened.records), np.int64), time.monotonic()
        for position, example in examples(opened, UNDECODED):
            labels[position] = example["label"]
            if time.monotonic() > last + _REPORT_EVERY:
                last = time.monotonic()
                progress = f"for its labels: {position:,} of {len(labels):,}"
                line = f"{opened.where}: reading all of it once, {progress}"
                print(line, file=sys.stderr, flush=True)
        opened.check_labels(labels)  # before they are cast: 2^32 would be class 0
        labels = labels.astype(np.int32)
        _save(path, labels)
    opened.check_labels(labels)
    return labels


def has_file(opened: OpenSplit) -> bool:
    """Whether `read_labels` finds them in a file, and so writes none."""
    labels = _load(_cache_path(opened.builder, opened.split), len(opened.records))
    return labels is not None and _is_of(opened, labels)


def save_labels(directory: pathlib.Path, labels: Mapping[str, Sequence[int]]) -> None:
    """Caches the labels of whole splits of a set that was just written."""
    if labels:
        builder = find.open_builder(directory)
        for split, numbers in labels.items():
            wide = np.array(numbers, np.int64)
            if (wide == wide.astype(np.int32)).all():  # else `read_labels` refuses them
                _save(_cache_path(builder, split), wide.astype(np.int32))


def _cache_path(builder: tfds.core.DatasetBuilder, split: str) -> pathlib.Path:
    """The file of a split's labels; another one once the set's files change.

    By names and sizes alone: a set that was copied, to a bucket or from it, has others
    of the times.
    """
    key = hashlib.sha256(repr(split).encode())
    for file in builder.info.splits[split].file_instructions:
        path = paths.parse(file.filename, "data.name")
        key.update(repr((path.name, file.skip, file.take, size(path))).encode())
    directory = paths.parse(builder.data_dir, "data.name")
    return directory / f"kdjax-labels-{key.hexdigest()[:16]}.npy"


def _is_of(opened: OpenSplit, labels: np.ndarray) -> bool:
    """Whether some of the set's records, from first to last, have those labels."""
    for position in np.linspace(0, len(labels) - 1, _COMPARED).astype(int).tolist():
        try:
            record = opened.records[position]
            example = opened.features.deserialize_example_np(record, decoders=UNDECODED)
        except Exception:  # of array_record and protobuf; training counts such images
            continue
        if example["label"] != labels[position]:
            return False
    return True


def _load(path: pathlib.Path, count: int) -> np.ndarray | None:
    """Cached labels, int32 [count]; None if they are missing or incomplete."""
    try:
        with path.open("rb") as file:
            labels = read_npy(file)
            rest = file.read()  # a checksum; the first versions had none
    except FileNotFoundError:
        return None
    except Exception as error:  # NumPy raises four kinds for damaged files
        if is_refused(error) and not isinstance(error, MemoryError):
            raise
        return None
    if rest and rest != hashlib.sha256(labels.tobytes()).digest():
        return None
    return labels if labels.shape == (count,) and labels.dtype == np.int32 else None


def _save(path: pathlib.Path, labels: np.ndarray) -> None:
    """Writes int32 [n]; warns if it cannot."""
    try:
        with written(path) as part:
            with part.open("wb") as file:
                np.save(file, labels)
                file.write(hashlib.sha256(labels.tobytes()).digest())
    except OSError as error:
        warnings.warn(
            f"{path} cannot be written ({error}); the next run reads the whole set for "
            "its labels again.",
            stacklevel=4,
        )
