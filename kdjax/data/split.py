"""A split of a data set, its digest, and the errors of sets and of their images."""

import hashlib
import threading
from typing import NamedTuple

import numpy as np

from kdjax.contracts import InputError

TRAINING = "Prepare the set anew, or allow more with config.data.skip_at_most."


class DataError(InputError):
    """A data set is missing, damaged or of the wrong form; says what to do."""


class SkippedImages:
    """Counts images that cannot be read, each of them once. Any thread may add.

    `limit`, >= 0, are allowed; `advice` ends the error of one too many. `errors` has
    where an image lies -> what is wrong with it; `warnings` the same of images that are
    kept though the decoder complained.
    """

    def __init__(self, limit: int, advice: str = TRAINING):
        if limit < 0:
            raise ValueError(f"SkippedImages: limit is {limit}; expected 0 or more.")
        self.limit, self.advice, self.errors, self.warnings = limit, advice, {}, {}
        self._lock = threading.Lock()

    def add(self, name: str, error: str) -> None:
        """Counts one; raises DataError if it is one too many."""
        with self._lock:
            if name in self.errors or len(self.errors) < self.limit:
                self.errors[name] = error
                return
        raise DataError(
            f"{name}: this image cannot be read ({error}), and {self.limit} others "
            f"could not before; expected {self.limit} at most. {self.advice}"
        )

    def warn(self, name: str, warning: str) -> None:
        """Records one that is kept, unless the warning is empty."""
        if warning:
            with self._lock:
                self.warnings[name] = warning


class Split(NamedTuple):
    """A split. A sample's position in it is its identity everywhere."""

    # uint8 [n, height, width, channels]; or `kdjax.data.images.lazy.LazyImages`
    image: np.ndarray
    label: np.ndarray  # int32 [n]
    class_names: tuple[str, ...]
    # name, version (of a TFDS set), split, num_examples, sha256
    identity: dict[str, str | int]


def in_memory(
    image: np.ndarray, label: np.ndarray, class_names: tuple[str, ...], **identity: str
) -> Split:
    """A split of arrays; `identity` is completed by their length and content."""
    content = digest(image, label, class_names)
    identity |= {"num_examples": len(label), "sha256": content}
    return Split(image, label, class_names, identity)


def check_labels(where: str, labels: np.ndarray, classes: int, advice: str) -> None:
    """Raises DataError at the first label that is none of the classes."""
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if bad.size:
        raise DataError(
            f"{where}[{bad[0]}] is {labels[bad[0]]}; expected 0 to {classes - 1} "
            f"({bad.size} of {labels.size} labels are out of range). {advice}"
        )


def digest(image: np.ndarray, label: np.ndarray, class_names: tuple[str, ...]) -> str:
    """SHA-256 of shape, class names, labels and every pixel: 0.1 s for CIFAR."""
    content = hashlib.sha256(repr((image.shape, class_names)).encode())
    content.update(label.astype("<i4").data)
    content.update(np.ascontiguousarray(image).data)
    return content.hexdigest()
