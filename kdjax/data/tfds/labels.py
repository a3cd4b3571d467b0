"""All labels of a split whose pictures stay on disk, read once and kept beside it."""

import sys
import time

import numpy as np
import tensorflow_datasets as tfds

from kdjax.data.errors import DataError
from kdjax.data.tfds import label_cache
from kdjax.data.tfds.records import Opened, examples

_AS_STORED = {"image": tfds.decode.SkipDecoding()}
_SAY_EVERY = 30  # seconds


def read_labels(opened: Opened) -> np.ndarray:
    """The labels of a split, int32 [n].

    What `prepare` wrote has them in a file beside the records. Otherwise all of the set
    is read the first time, minutes for ImageNet, which standard error tells; such a
    file keeps them until the set's files change.

    Raises:
      DataError: a record cannot be read, or a label is none of the set's classes.
    """
    path = label_cache.place(opened.builder, opened.split)
    labels = label_cache.load(path, len(opened.records))
    if labels is None:
        labels = _from_records(opened)
        label_cache.keep(path, labels)
    _check(opened, labels)
    return labels


def _from_records(opened: Opened) -> np.ndarray:
    labels, said = np.empty(len(opened.records), np.int64), time.monotonic()
    for position, example in examples(opened, _AS_STORED):
        labels[position] = example["label"]
        if time.monotonic() > said + _SAY_EVERY:
            said = time.monotonic()
            print(
                f"{opened.where}: reading all of it once, for its labels: "
                f"{position:,} of {len(labels):,}",
                file=sys.stderr,
                flush=True,
            )
    return labels.astype(np.int32)


def _check(opened: Opened, labels: np.ndarray) -> None:
    classes = opened.features["label"].num_classes
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if bad.size:
        raise DataError(
            f"{opened.where}: label {bad[0]} is {labels[bad[0]]}; expected 0 to "
            f"{classes - 1}. Unlabelled splits cannot be used."
        )
