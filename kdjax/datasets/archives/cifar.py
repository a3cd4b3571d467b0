"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), from "binary" or "python" archives."""

import pathlib
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from kdjax.data.split import DataError, check_labels
from kdjax.datasets import encode
from kdjax.datasets.archive_builder import ArchiveBuilder, dataset_info
from kdjax.datasets.archives import pickles
from kdjax.datasets.archives.reading import tar_files

_PIXELS = 3 * 32 * 32
UNKNOWN = "backslashreplace"  # bytes of a name that are no UTF-8
MOST = 300_000_000  # bytes that an archive unpacks to; the official ones have 187 MB


class Cifar10(ArchiveBuilder, skip_registration=True):
    """CIFAR-10."""

    name = "cifar10"
    VERSION = tfds.core.Version("3.0.2")
    FILES = (("cifar-10-binary.tar.gz",), ("cifar-10-python.tar.gz",))
    URL = "https://www.cs.toronto.edu/~kriz"
    SUMS = ("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",)
    SIZES = {"train": 50000, "test": 10000}
    LABELS = {"label": 10}

    def _info(self):
        label = tfds.features.ClassLabel
        labels = {name: label(num_classes=n) for name, n in self.LABELS.items()}
        return dataset_info(
            self,
            f"{self.name}: photographs, 32 by 32, {self.LABELS['label']} classes.",
            "https://www.cs.toronto.edu/~kriz/cifar.html",
            id=tfds.features.Text(),
            image=tfds.features.Image(shape=(32, 32, 3)),
            **labels,
        )

    def _split_generators(self, dl_manager):
        self._content = read(self._path())
        for feature in self.LABELS:
            self._set_class_names(feature, self._content.class_names[feature])
        return super()._split_generators(dl_manager)

    def _generate_examples(self, split):
        labels = self._content.label[split]
        for i, image in enumerate(self._content.image[split]):
            example = {"id": f"{split}_{i:05d}", "image": encode.png(image)}
            yield i, example | {name: int(labels[name][i]) for name in self.LABELS}


class Cifar100(Cifar10, skip_registration=True):
    """CIFAR-100."""

    name = "cifar100"
    FILES = (("cifar-100-binary.tar.gz",), ("cifar-100-python.tar.gz",))
    SUMS = ("58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",)
    LABELS = {"label": 100, "coarse_label": 20}


class Cifar(NamedTuple):
    """What an archive holds."""

    image: dict[str, np.ndarray]  # split -> uint8 [n, 32, 32, 3]
    label: dict[str, dict[str, np.ndarray]]  # split -> feature -> int [n]
    class_names: dict[str, list[str]]  # feature -> names in label order


class Label(NamedTuple):
    """Where an archive keeps a feature of labels; no keys in binary files."""

    names_file: str
    names_key: str = ""
    key: str = ""


class Layout(NamedTuple):
    """Which files an archive has, and where its labels are."""

    files: dict[str, list[str]]  # split -> files, without the suffix of binary ones
    labels: dict[str, Label]  # feature -> label, as binary records order them


_TEN = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
_HUNDRED = {"train": ["train"], "test": ["test"]}
_HUNDRED_LABELS = {"coarse_label": "coarse", "label": "fine"}
_BINARY = {f: Label(f"{x}_label_names.txt") for f, x in _HUNDRED_LABELS.items()}
_PYTHON = {
    feature: Label("meta", f"{kind}_label_names", f"{kind}_labels")
    for feature, kind in _HUNDRED_LABELS.items()
}
LAYOUTS = {
    "cifar-10-binary.tar.gz": Layout(_TEN, {"label": Label("batches.meta.txt")}),
    "cifar-10-python.tar.gz": Layout(
        _TEN, {"label": Label("batches.meta", "label_names", "labels")}
    ),
    "cifar-100-binary.tar.gz": Layout(_HUNDRED, _BINARY),
    "cifar-100-python.tar.gz": Layout(_HUNDRED, _PYTHON),
}


def read(path: pathlib.Path) -> Cifar:
    """Reads any of the four archives; the file's name says which."""
    layout, is_binary = LAYOUTS[path.name], path.name.endswith("binary.tar.gz")
    suffix, read_file = (".bin", _binary) if is_binary else ("", _pickled)
    files = {s: [name + suffix for name in names] for s, names in layout.files.items()}
    wanted = {name for names in files.values() for name in names}
    wanted |= {label.names_file for label in layout.labels.values()}
    content = tar_files(path, wanted, MOST)
    class_names = _class_names(content, path, layout.labels)
    images, labels = {}, {}
    for split, names in files.items():
        batches = [read_file(content[n], f"{path}: {n}", layout.labels) for n in names]
        images[split] = np.concatenate([pixels for pixels, _ in batches])
        labels[split] = {}
        for feature in layout.labels:
            values = np.concatenate([batch[feature] for _, batch in batches])
            where, classes = f"{path}: {split} {feature}", len(class_names[feature])
            check_labels(where, values, classes, "Fetch the archive anew.")
            labels[split][feature] = values
    return Cifar(images, labels, class_names)


def _binary(content: bytes, where: str, features: dict[str, Label]):
    """Records: one byte a label, then red, green and blue planes of 1,024 bytes."""
    width = len(features) + _PIXELS
    if not content or len(content) % width:
        raise DataError(
            f"{where} holds {len(content)} bytes; expected a multiple of {width}. "
            "Fetch the archive anew."
        )
    record = np.frombuffer(content, np.uint8).reshape(-1, width)
    labels = {key: record[:, i].astype(np.int32) for i, key in enumerate(features)}
    return _planes_last(record[:, len(features) :]), labels


def _pickled(content: bytes, where: str, features: dict[str, Label]):
    batch = pickles.load(content, where)
    pixels = _entry(batch, "data", where)
    is_uint8 = getattr(pixels, "dtype", None) == np.uint8
    if not is_uint8 or pixels.shape[1:] != (_PIXELS,):
        raise DataError(f"{where}: data is no uint8 array [n, {_PIXELS}].")
    labels = {}
    for feature, (_, _, key) in features.items():
        values = _entry(batch, key, where)
        if not isinstance(values, list) or not all(type(v) is int for v in values):
            raise DataError(f"{where}: {key} is no list of whole numbers.")
        if len(values) != len(pixels):
            counts = f"{len(values)} {key} for {len(pixels)} images"
            raise DataError(f"{where}: {counts}; expected one each.")
        labels[feature] = np.array(values, np.int32)
    return _planes_last(pixels), labels


def _planes_last(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _class_names(content: dict[str, bytes], path, features: dict[str, Label]):
    names = {}
    for feature, (file, key, _) in features.items():
        where = f"{path}: {file}"
        if key:
            values = _entry(pickles.load(content[file], where), key, where)
            lines = [
                v.decode(errors=UNKNOWN) if isinstance(v, bytes) else v for v in values
            ]
        else:
            lines = content[file].decode(errors=UNKNOWN).splitlines()
        names[feature] = [line for line in lines if line]
    return names


def _entry(batch: dict, key: str, where: str):
    """Python 2 wrote its keys as bytes, Python 3 writes them as strings."""
    for candidate in (key.encode(), key):
        if candidate in batch:
            return batch[candidate]
    raise DataError(f"{where}: lacks the entry {key!r}.")
