"""Opens a split whose pictures stay on disk: its labels, and what identifies it."""

import hashlib
import os
import pathlib

import numpy as np

from kdjax.data.errors import DataError
from kdjax.data.images.crops import Geometry
from kdjax.data.images.fast_crop import PIXELS
from kdjax.data.images.lazy import StoredImages
from kdjax.data.images.skipped import Skipped
from kdjax.data.split import Split
from kdjax.data.tfds.labels import read_labels
from kdjax.data.tfds.records import Opened, open_split


def load_stored(
    name: str,
    split: str,
    data_dir: pathlib.Path,
    *,
    geometry: Geometry,
    skip_at_most: int,
    threads: int = 0,
) -> Split:
    """Opens a split of a prepared set, with its labels; its pictures stay on disk.

    Args:
      name: of the set, as `load_split` has it; no .npz file.
      split: "train", or a slice of it.
      data_dir: where TFDS keeps its sets.
      geometry: of the crops.
      skip_at_most: how many unreadable pictures a training puts up with.
      threads: that decode; 0: one a core.

    Raises:
      DataError: the set is not prepared, not readable or not of colour pictures.
    """
    opened = open_split(name, split, data_dir)
    channels = opened.features["image"].shape[-1]
    if channels not in (3, None):
        raise DataError(
            f"{opened.where}: images have {channels} channel(s); a streamed set is "
            "decoded to three. Expected feature image with shape (None, None, 3)."
        )
    class_names = tuple(opened.features["label"].names)
    label = read_labels(opened)
    identity = {
        "name": opened.builder.info.full_name.rsplit("/", 1)[0],
        "version": str(opened.builder.version),
        "split": split,
        "num_examples": len(label),
        "sha256": _digest(opened, label, class_names),
        "crops": geometry.identity(),
        "pixels": PIXELS,
    }
    images = StoredImages(opened, geometry, Skipped(skip_at_most), threads)
    return Split(images, label, class_names, identity)


def _digest(opened: Opened, label: np.ndarray, class_names: tuple[str, ...]) -> str:
    """SHA-256 of class names, labels, and names and sizes of the files.

    Not of every pixel: to read them all takes minutes at every start.
    """
    files = [
        (os.path.basename(part.filename), os.stat(part.filename).st_size)
        for part in opened.files()
    ]
    found = hashlib.sha256(repr((class_names, files)).encode())
    found.update(label.astype("<i4").data)
    return found.hexdigest()
