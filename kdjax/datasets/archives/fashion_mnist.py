"""Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747), from gzipped IDX files."""

import gzip
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from kdjax.data import embedded
from kdjax.data.split import DataError, check_labels
from kdjax.data.tfds.names import EMBEDDED
from kdjax.datasets import encode
from kdjax.datasets.archive_builder import ArchiveBuilder, dataset_info
from kdjax.datasets.archives.reading import Bounded, reading

MOST = 60_000 * 28 * 28 + 16  # bytes of the largest of the files


class FashionMnist(ArchiveBuilder, skip_registration=True):
    """The whole set."""

    name = "fashion_mnist"
    VERSION = tfds.core.Version("3.0.1")
    FILES = (
        (
            "train-images-idx3-ubyte.gz",
            "train-labels-idx1-ubyte.gz",
            "t10k-images-idx3-ubyte.gz",
            "t10k-labels-idx1-ubyte.gz",
        ),
    )
    URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
    SUMS = (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    )
    SIZES = {"train": 60000, "test": 10000}

    def _info(self):
        return dataset_info(
            self,
            "Fashion-MNIST: Zalando's article images, 28 by 28, grey, 10 classes.",
            "https://github.com/zalandoresearch/fashion-mnist",
            image=tfds.features.Image(shape=embedded.IMAGE_SHAPE),
            label=tfds.features.ClassLabel(names=embedded.CLASS_NAMES),
        )

    def _generate_examples(self, split):
        for number, (image, label) in enumerate(zip(*self._read(split), strict=True)):
            yield number, {"image": encode.png(image), "label": int(label)}

    def _read(self, split):
        return read_split(self._archives, split)


class FashionMnistSubset(FashionMnist, skip_registration=True):
    """The part of it that comes with the package."""

    name = EMBEDDED
    VERSION = tfds.core.Version(embedded.VERSION)
    FILES = ()
    SIZES = {split: 10 * count for split, count in embedded.PER_CLASS.items()}

    def _read(self, split):
        return embedded.read()[split]


def read_split(directory: pathlib.Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads image uint8 [n, 28, 28, 1] and label uint8 [n] of "train" or "test"."""
    prefix = "train" if split == "train" else "t10k"
    image = read_idx(directory / f"{prefix}-images-idx3-ubyte.gz", ranks=3)
    label = read_idx(directory / f"{prefix}-labels-idx1-ubyte.gz", ranks=1)
    if len(image) != len(label) or image.shape[1:] != (28, 28):
        raise DataError(
            f"{directory}: {split} images have shape {image.shape} and labels "
            f"{label.shape}; expected [n, 28, 28] and [n]. Fetch the four files anew."
        )
    check_labels(f"{directory}: {split} label", label, 10, "Fetch the four files anew.")
    return image[..., None], label


def read_idx(path: pathlib.Path, ranks: int) -> np.ndarray:
    """Reads one gzipped IDX file of unsigned bytes with `ranks` axes."""
    with reading(path, "gzip file", gzip.BadGzipFile), gzip.open(path) as unpacked:
        bounded = Bounded(path, unpacked, MOST)
        content = b"".join(iter(lambda: bounded.read(1 << 20), b""))
    start = 4 + 4 * ranks
    # Two zero bytes, 8 for unsigned bytes, the number of axes; then big-endian sizes.
    if len(content) < start or content[:4] != bytes([0, 0, 8, ranks]):
        raise DataError(
            f"{path}: starts with {content[:4].hex()}; expected 000008{ranks:02x}, an "
            f"IDX file of bytes with {ranks} axes. Is it the file that its name says?"
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", ranks, offset=4))
    expected = start + int(np.prod(shape, dtype=np.int64))
    if len(content) != expected:
        raise DataError(
            f"{path}: holds {len(content)} bytes; shape {shape} needs {expected}. "
            "Fetch it anew."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
