"""A file beside the records of a split that holds all its labels.

The labels lie among the pictures: without it, a first start reads all of them.
"""

import hashlib
import io
import os
import pathlib
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds

from kdjax.data.tfds import find


def place(builder: tfds.core.DatasetBuilder, split: str) -> pathlib.Path:
    """Where the labels of a split are kept. Another place once its files change."""
    found = hashlib.sha256(repr(split).encode())
    for part in builder.info.splits[split].file_instructions:
        told, name = os.stat(part.filename), os.path.basename(part.filename)
        found.update(repr((name, part.skip, part.take)).encode())
        found.update(repr((told.st_size, told.st_mtime_ns)).encode())
    key = found.hexdigest()[:16]
    return pathlib.Path(builder.data_dir) / f"kdjax-labels-{key}.npy"


def load(path: pathlib.Path, count: int) -> np.ndarray | None:
    """Kept labels, int32 [count]; None if they are not there, or not whole."""
    try:
        labels = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = labels.shape == (count,) and labels.dtype == np.int32
    return labels if whole else None


def keep(path: pathlib.Path, labels: np.ndarray) -> None:
    """Writes int32 [n], or warns: it is a short cut only."""
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


def keep_all(directory: pathlib.Path, labels: Mapping[str, Sequence[int]]) -> None:
    """Keeps the labels of whole splits of a set that was just written."""
    if labels:
        builder = find.open_builder(directory)
        for split, found in labels.items():
            keep(place(builder, split), np.array(found, np.int32))
