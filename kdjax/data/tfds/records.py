"""Opens a split of a prepared TFDS set, or reads it whole, without TensorFlow."""

import functools
import pathlib
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from kdjax import paths
from kdjax.data.errors import DataError
from kdjax.data.split import Split, digest
from kdjax.data.tfds import file_limits, find
from kdjax.data.tfds.names import parse_name
from kdjax.datasets.prepare import EMBEDDED, advice, prepare

_CHUNK = 1000  # reading that many records at once is twice as fast as one by one


class Opened(NamedTuple):
    """A split of a prepared set, of which nothing is read yet."""

    builder: tfds.core.DatasetBuilder
    split: str
    features: tfds.features.FeaturesDict  # image and label
    records: Sequence[bytes]  # serialised examples, in the order of TFDS

    @property
    def where(self) -> str:
        """Opens errors."""
        return f"{self.builder.info.full_name}, {self.split}"

    def files(self) -> list:
        """The files of the split, in order: filename, skip, take, examples_in_shard."""
        return self.builder.info.splits[self.split].file_instructions

    def read_record(self, position: int) -> bytes:
        """A serialised example.

        Raises:
          DataError: it is damaged.
        """
        try:
            return self.records[position]
        except Exception as error:  # array_record raises its own
            raise DataError(
                f"{self.name_of(position)}: the record cannot be read ({error}). "
                f"{file_limits.advice(error, self.builder.data_dir)}"
            ) from error

    def name_of(self, position: int, index: int | None = None) -> str:
        """An example, with its file and position there, for errors.

        Args:
          position: among the records.
          index: among those that are used; None: the same.
        """
        name = f"{self.where}, image {position if index is None else index}"
        for part in self.files():
            count = part.examples_in_shard - part.skip if part.take < 0 else part.take
            if position < count:
                return f"{name}, record {part.skip + position} of {part.filename}"
            position -= count
        return name


def open_split(name: str, split: str, data_dir: pathlib.Path) -> Opened:
    """Opens a split; see `kdjax.data.load.load_split` for names and errors."""
    builder = find.open_builder(_directory(name, data_dir))
    opened = Opened(builder, split, _features(builder), _records(builder, split))
    file_limits.allow(len(opened.files()), opened.where)
    return opened


def size_of(name: str, data_dir: pathlib.Path) -> int:
    """Bytes of a prepared set on disk, all splits together; 0 of the embedded one."""
    if parse_name(name).dataset == EMBEDDED:
        return 0  # else it would be unpacked for this
    return int(find.open_builder(_directory(name, data_dir)).info.dataset_size)


def load_records(name: str, split: str, data_dir: pathlib.Path) -> Split:
    """Loads a split of a prepared set; see `kdjax.data.load.load_split`."""
    builder, _, features, _ = opened = open_split(name, split, data_dir)
    class_names = tuple(features["label"].names)
    image, label = _read(opened)
    identity = {
        "name": builder.info.full_name.rsplit("/", 1)[0],
        "version": str(builder.version),
        "split": split,
        "num_examples": len(label),
        "sha256": digest(image, label, class_names),
    }
    return Split(image, label, class_names, identity)


def _directory(name: str, data_dir: pathlib.Path) -> pathlib.Path:
    data_dir = paths.local(data_dir, "data_dir")
    if parse_name(name).dataset == EMBEDDED:
        return _embedded(name, data_dir)
    found = find.find(name, data_dir)
    if found is None:
        raise DataError(
            f"{name} is not prepared: looked for {data_dir / name}. "
            f"{advice(name, data_dir)}"
        )
    return found


def _embedded(name: str, data_dir: pathlib.Path) -> pathlib.Path:
    try:
        return prepare(name, data_dir=data_dir).directory
    except OSError as error:
        elsewhere = _scratch()
        warnings.warn(
            f"{data_dir} cannot be written ({error}); the embedded images were "
            f"unpacked into {elsewhere.name} for this run. Give another data_dir to "
            "keep them.",
            stacklevel=5,
        )
        return prepare(name, data_dir=elsewhere.name).directory


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory:
    """A directory that lasts as long as the process."""
    return tempfile.TemporaryDirectory(prefix="kdjax-")


def _features(builder: tfds.core.DatasetBuilder) -> tfds.features.FeaturesDict:
    """The set's image and label; what else it holds is not decoded."""
    features = builder.info.features
    named = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    image, label = named.get("image"), named.get("label")
    if not isinstance(image, tfds.features.Image) or image.np_dtype != np.uint8:
        raise DataError(
            f"{builder.info.full_name}: feature image is {image!r}; expected a "
            "tfds.features.Image of uint8."
        )
    if not isinstance(label, tfds.features.ClassLabel) or not label.num_classes:
        raise DataError(
            f"{builder.info.full_name}: feature label is {label!r}; expected a "
            "tfds.features.ClassLabel that knows its number of classes."
        )
    return tfds.features.FeaturesDict({"image": image, "label": label})


def _records(builder: tfds.core.DatasetBuilder, split: str):
    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    try:
        records = builder.as_data_source(split=split, deserialize_method=raw)
        count = len(records)
    except Exception as error:  # TFDS and array_record each raise their own
        known = ", ".join(builder.info.splits) or "none"
        raise DataError(
            f"{builder.info.full_name}: split {split!r} cannot be opened ({error}). "
            f"Its splits are: {known}; slices are written train[:45000] or train[90%:]."
        ) from error
    if count == 0:
        raise DataError(
            f"{builder.info.full_name}: split {split!r} is empty; choose a wider slice."
        )
    return records


def _read(opened: Opened) -> tuple[np.ndarray, np.ndarray]:
    count, image = len(opened.records), None
    classes = opened.features["label"].num_classes
    label = np.empty(count, np.int32)
    for position, example in examples(opened):
        if image is None:
            image = np.empty((count, *example["image"].shape), np.uint8)
        _check(opened.where, position, example, image.shape[1:], classes)
        image[position] = example["image"]
        label[position] = example["label"]
    return image, label


def examples(opened: Opened, decoders=None) -> Iterator[tuple[int, dict]]:
    """All examples in order, with their positions; `decoders` are TFDS's.

    Raises:
      DataError: one cannot be read.
    """
    records, features = opened.records, opened.features
    for start in range(0, len(records), _CHUNK):
        positions = range(start, min(start + _CHUNK, len(records)))
        position = start
        try:
            chunk = records.__getitems__(list(positions))
            for position, record in zip(positions, chunk, strict=True):
                yield (
                    position,
                    features.deserialize_example_np(record, decoders=decoders),
                )
        except Exception as error:
            raise DataError(
                f"{opened.where}: examples from {position} on cannot be read "
                f"({error}). {file_limits.advice(error, opened.builder.data_dir)}"
            ) from error


def _check(
    where: str, position: int, example: dict, shape: tuple[int, ...], classes: int
) -> None:
    picture, label = example["image"], int(example["label"])
    if picture.dtype != np.uint8 or picture.shape != shape:
        raise DataError(
            f"{where}: image {position} is {picture.dtype} of shape {picture.shape}; "
            f"expected uint8 of shape {shape}, as the first one. Expected "
            "config.data.feed=streamed, with config.data.mean and std, or pictures of "
            "one size."
        )
    if not 0 <= label < classes:
        raise DataError(
            f"{where}: label {position} is {label}; expected 0 to {classes - 1}. "
            "Unlabelled splits cannot be used."
        )
