"""A split of a data set, the digest of its content, and the error of data sets."""

import hashlib
from typing import NamedTuple

import numpy as np

from kdjax.contracts import InputError


class DataError(InputError):
    """A data set is missing, damaged or of the wrong form; says what to do."""


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
