"""The images that come with the package; README.md beside this file describes them."""

import hashlib
import importlib.resources
import lzma

import numpy as np

from kdjax.data.errors import DataError

FILE_NAME = "fashion_mnist_subset.xz"
# Of the content, not of the file: another liblzma may compress it differently.
CONTENT_SHA256 = "c647bc74d327b606bf73afa07d97aaae0c0d5cfbbf09741ceded0ce173b66649"
PER_CLASS = {"train": 1000, "test": 200}
IMAGE_SHAPE = (28, 28, 1)
CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def pack(splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Lays {split: (image, label)} out as bytes: labels, pixels; train before test."""
    parts = [np.ascontiguousarray(a) for s in PER_CLASS for a in reversed(splits[s])]
    return b"".join(part.astype(np.uint8, casting="safe").tobytes() for part in parts)


def unpack(content: bytes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The inverse of `pack`: {split: (image uint8 [n, 28, 28, 1], label uint8 [n])}."""
    splits, start = {}, 0
    for split, per_class in PER_CLASS.items():
        count = per_class * len(CLASS_NAMES)
        label = np.frombuffer(content, np.uint8, count, start)
        start += count
        pixels = count * int(np.prod(IMAGE_SHAPE))
        image = np.frombuffer(content, np.uint8, pixels, start)
        start += pixels
        splits[split] = (image.reshape(count, *IMAGE_SHAPE), label)
    return splits


def read() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Reads the embedded images, {split: (image, label)}, in the original order.

    Raises:
      DataError: the file of this installation is not the one that was released.
    """
    file = importlib.resources.files(__name__).joinpath(FILE_NAME)
    content = lzma.decompress(file.read_bytes())
    found = hashlib.sha256(content).hexdigest()
    if found != CONTENT_SHA256:
        raise DataError(
            f"{file}: content has SHA-256 {found}; expected {CONTENT_SHA256}. "
            "Reinstall kdjax."
        )
    return unpack(content)
