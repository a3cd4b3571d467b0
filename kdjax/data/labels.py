"""All labels of a split whose pictures stay on disk, read once and kept beside it."""

import hashlib
import io
import os
import pathlib
import warnings

import numpy as np
import tensorflow_datasets as tfds

from kdjax.data.errors import DataError
from kdjax.data.records import Opened, examples

_AS_STORED = {"image": tfds.decode.SkipDecoding()}


def read_labels(opened: Opened) -> np.ndarray:
    """The labels of a split, int32 [n].

    They lie among the pictures, so the first time all of the set is read, minutes for
    ImageNet. A file in the set's directory keeps them until the set's files change.

    Raises:
      DataError: a record cannot be read, or a label is none of the set's classes.
    """
    path = pathlib.Path(opened.builder.data_dir) / f"kdjax-labels-{_key(opened)}.npy"
    try:
        labels = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # not there, or not whole
        labels = np.empty(0, np.int32)
    if labels.shape != (len(opened.records),) or labels.dtype != np.int32:
        labels = _from_records(opened)
        _keep(path, labels)
    _check(opened, labels)
    return labels


def _from_records(opened: Opened) -> np.ndarray:
    labels = np.empty(len(opened.records), np.int64)
    for position, example in examples(opened, _AS_STORED):
        labels[position] = example["label"]
    return labels.astype(np.int32)


def _check(opened: Opened, labels: np.ndarray) -> None:
    classes = opened.features["label"].num_classes
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if bad.size:
        raise DataError(
            f"{opened.where}: label {bad[0]} is {labels[bad[0]]}; expected 0 to "
            f"{classes - 1}. Unlabelled splits cannot be used."
        )


def _key(opened: Opened) -> str:
    """Changes with the split and with its files."""
    found = hashlib.sha256(repr(opened.split).encode())
    for part in opened.files():
        told = os.stat(part.filename)
        found.update(repr((part.filename, part.skip, part.take)).encode())
        found.update(repr((told.st_size, told.st_mtime_ns)).encode())
    return found.hexdigest()[:16]


def _keep(path: pathlib.Path, labels: np.ndarray) -> None:
    content = io.BytesIO()
    np.save(content, labels)
    part = path.with_name(f"{path.name}.{os.getpid()}")  # of several hosts, the last
    try:
        part.write_bytes(content.getvalue())
        part.replace(path)
    except OSError as error:
        warnings.warn(
            f"{path} cannot be written ({error}); the next run reads the whole set for "
            "its labels again.",
            stacklevel=4,
        )
