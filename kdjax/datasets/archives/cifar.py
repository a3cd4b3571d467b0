"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), from "binary" or "python" archives."""

import pathlib
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from kdjax.data.split import DataError
from kdjax.datasets import encode
from kdjax.datasets.archive_builder import ArchiveBuilder, dataset_info
from kdjax.datasets.archives import pickles, tar

_PIXELS = 3 * 32 * 32


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
        labels = {
            name: tfds.features.ClassLabel(num_classes=count)
            for name, count in self.LABELS.items()
        }
        return dataset_info(
            self,
            f"{self.name}: photographs, 32 by 32, {self.LABELS['label']} classes.",
            "https://www.cs.toronto.edu/~kriz/cifar.html",
            {
                "id": tfds.features.Text(),
                "image": tfds.features.Image(shape=(32, 32, 3)),
                **labels,
            },
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


class Layout(NamedTuple):
    """Which files an archive has, and under which names they keep their labels."""

    files: dict[str, tuple[str, ...]]  # split -> files
    names: dict[str, tuple[str, str]]  # feature -> (file, key in it)
    keys: dict[str, str]  # feature -> key of its labels, as binary records order them


_TEN = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
_HUNDRED = {"train": ["train"], "test": ["test"]}


def _binary_files(files: dict[str, list[str]]) -> dict[str, list[str]]:
    return {split: [f"{name}.bin" for name in names] for split, names in files.items()}


LAYOUTS = {
    "cifar-10-binary.tar.gz": Layout(
        _binary_files(_TEN), {"label": ("batches.meta.txt", "")}, {"label": ""}
    ),
    "cifar-10-python.tar.gz": Layout(
        _TEN, {"label": ("batches.meta", "label_names")}, {"label": "labels"}
    ),
    "cifar-100-binary.tar.gz": Layout(
        _binary_files(_HUNDRED),
        {
            "coarse_label": ("coarse_label_names.txt", ""),
            "label": ("fine_label_names.txt", ""),
        },
        {"coarse_label": "", "label": ""},
    ),
    "cifar-100-python.tar.gz": Layout(
        _HUNDRED,
        {
            "coarse_label": ("meta", "coarse_label_names"),
            "label": ("meta", "fine_label_names"),
        },
        {"coarse_label": "coarse_labels", "label": "fine_labels"},
    ),
}


def read(path: pathlib.Path) -> Cifar:
    """Reads any of the four archives; the file's name says which."""
    layout = LAYOUTS[path.name]
    wanted = {name for names in layout.files.values() for name in names}
    wanted |= {file for file, _ in layout.names.values()}
    content = tar.files(path, tuple(sorted(wanted)))
    read_file = _binary if path.name.endswith("binary.tar.gz") else _pickled
    image, label = {}, {}
    for split, names in layout.files.items():
        batches = [
            read_file(content[name], f"{path}: {name}", layout) for name in names
        ]
        image[split] = np.concatenate([pixels for pixels, _ in batches])
        label[split] = {
            key: np.concatenate([labels[key] for _, labels in batches])
            for key in layout.keys
        }
    class_names = _class_names(content, path, layout)
    _check_labels(path, label, class_names)
    return Cifar(image, label, class_names)


def _binary(content: bytes, where: str, layout: Layout):
    """Records: one byte a label, then red, green and blue planes of 1,024 bytes."""
    width = len(layout.keys) + _PIXELS
    if not content or len(content) % width:
        raise DataError(
            f"{where} holds {len(content)} bytes; expected a multiple of {width}. "
            "Fetch the archive anew."
        )
    record = np.frombuffer(content, np.uint8).reshape(-1, width)
    labels = {key: record[:, i].astype(np.int32) for i, key in enumerate(layout.keys)}
    return _planes_last(record[:, len(layout.keys) :]), labels


def _pickled(content: bytes, where: str, layout: Layout):
    batch = pickles.load(content, where)
    pixels = _entry(batch, "data", where)
    is_uint8 = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8
    if not is_uint8 or pixels.shape[1:] != (_PIXELS,):
        raise DataError(f"{where}: data is no uint8 array [n, {_PIXELS}].")
    labels = {}
    for feature, key in layout.keys.items():
        values = _entry(batch, key, where)
        if not isinstance(values, list) or not all(type(v) is int for v in values):
            raise DataError(f"{where}: {key} is no list of whole numbers.")
        if len(values) != len(pixels):
            raise DataError(
                f"{where}: {len(values)} {key} for {len(pixels)} images; expected as "
                "many."
            )
        labels[feature] = np.array(values, np.int32)
    return _planes_last(pixels), labels


def _planes_last(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _class_names(content: dict[str, bytes], path: pathlib.Path, layout: Layout):
    names = {}
    for feature, (file, key) in layout.names.items():
        where = f"{path}: {file}"
        if key:
            values = _entry(pickles.load(content[file], where), key, where)
            lines = [v.decode() if isinstance(v, bytes) else v for v in values]
        else:
            lines = content[file].decode().splitlines()
        names[feature] = [line for line in lines if line]
    return names


def _entry(batch: dict, key: str, where: str):
    """Python 2 wrote its keys as bytes, Python 3 writes them as strings."""
    for candidate in (key.encode(), key):
        if candidate in batch:
            return batch[candidate]
    raise DataError(f"{where}: lacks the entry {key!r}.")


def _check_labels(path: pathlib.Path, label, class_names) -> None:
    for split, features in label.items():
        for feature, values in features.items():
            bad = np.flatnonzero((values < 0) | (values >= len(class_names[feature])))
            if bad.size:
                raise DataError(
                    f"{path}: {split} {feature}[{bad[0]}] is {values[bad[0]]}; "
                    f"expected 0 to {len(class_names[feature]) - 1}. Fetch the archive "
                    "anew."
                )
