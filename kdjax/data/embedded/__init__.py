"""The images that come with the package; README.md beside this file describes them."""

import functools
import hashlib
import importlib.resources
import lzma
import math

import numpy as np
from tensorflow_datasets.core import hashing
from tensorflow_datasets.core import splits as tfds_splits

from kdjax.data.split import DataError, Split, in_memory
from kdjax.data.tfds.names import EMBEDDED, parse_name
from kdjax.data.tfds.records import no_such_split

FILE_NAME = "fashion_mnist_subset.xz"
VERSION = "1.0.0"
# Of the content, not of the file: another liblzma may compress it differently.
CONTENT_SHA256 = "c647bc74d327b606bf73afa07d97aaae0c0d5cfbbf09741ceded0ce173b66649"
PER_CLASS = {"train": 1000, "test": 200}
IMAGE_SHAPE = (28, 28, 1)
_CLASSES = "T-shirt/top Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag"
CLASS_NAMES = (*_CLASSES.split(), "Ankle boot")


def load(name: str, split: str) -> Split:
    """Loads a split as if `prepare` had written it and TFDS read it."""
    _, config, version = parse_name(name)
    if config is not None or version not in (None, VERSION):
        raise DataError(f"{name} is unknown; expected {EMBEDDED} or :{VERSION} of it.")
    splits, parts = read(), _positions(split)
    image = np.concatenate([splits[key][0][order] for key, order in parts])
    label = np.concatenate([splits[key][1][order] for key, order in parts], dtype="i4")
    if not label.size:
        raise DataError(f"{name}: split {split!r} is empty; choose a wider slice.")
    identity = {"name": EMBEDDED, "version": VERSION, "split": split}
    return in_memory(image, label, CLASS_NAMES, **identity)


def _positions(split: str) -> list[tuple[str, np.ndarray]]:
    """(name, positions) of a split's parts; TFDS orders by the hashes of positions."""
    counts = {name: len(CLASS_NAMES) * each for name, each in PER_CLASS.items()}
    infos = tfds_splits.SplitDict(
        tfds_splits.SplitInfo(name=name, shard_lengths=[count], num_bytes=0)
        for name, count in counts.items()
    )
    try:
        parts = tfds_splits.AbstractSplit.from_spec(split).to_absolute(infos)
    except Exception as error:  # TFDS raises several kinds
        raise no_such_split(EMBEDDED, split, counts, error) from error
    positions = []
    for part in parts:
        hash_key = hashing.Hasher(part.splitname).hash_key
        order = np.array(sorted(range(counts[part.splitname]), key=hash_key), np.int64)
        positions.append((part.splitname, order[part.from_ : part.to]))
    return positions


def pack(splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Lays {split: (image, label)} out as bytes: labels, pixels; train before test."""
    parts = [np.ascontiguousarray(a) for s in PER_CLASS for a in reversed(splits[s])]
    return b"".join(part.astype(np.uint8, casting="safe").tobytes() for part in parts)


def unpack(content: bytes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The inverse of `pack`: {split: (image uint8 [n, 28, 28, 1], label uint8 [n])}."""
    splits, start = {}, 0
    for split, per_class in PER_CLASS.items():
        count = per_class * len(CLASS_NAMES)
        pixels = count * math.prod(IMAGE_SHAPE)
        label = np.frombuffer(content, np.uint8, count, start)
        image = np.frombuffer(content, np.uint8, pixels, start + count)
        splits[split] = (image.reshape(count, *IMAGE_SHAPE), label)
        start += count + pixels
    return splits


@functools.cache  # two splits of a run: 9 MB are unpacked and checked once
def read() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Reads the embedded images, {split: (image, label)}, in the original order.

    The arrays are read-only and shared by all callers.
    """
    file = importlib.resources.files(__name__).joinpath(FILE_NAME)
    content = lzma.decompress(file.read_bytes())
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != CONTENT_SHA256:
        expected = f"expected {CONTENT_SHA256}. Reinstall kdjax."
        raise DataError(f"{file}: content has SHA-256 {sha256}; {expected}")
    return unpack(content)
