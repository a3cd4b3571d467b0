"""Opens a split of a prepared TFDS set, or reads it whole, without TensorFlow."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from kdjax.data.images.decode import Unreadable, decode_channels
from kdjax.data.split import DataError, Split, check_labels, in_memory
from kdjax.data.tfds import file_limits, find
from kdjax.paths.files import text_of

UNDECODED = {"image": tfds.decode.SkipDecoding()}  # decoders that leave images files
_CHUNK = 1000  # reading that many records at once is twice as fast as one by one


class SizesError(DataError):
    """Images that are to be loaded into one array are of several sizes."""


class OpenSplit(NamedTuple):
    """A split of a prepared set, of which nothing is read yet."""

    builder: tfds.core.DatasetBuilder
    split: str
    features: tfds.features.FeaturesDict  # image and label
    records: Sequence[bytes]  # serialised examples, in the order of TFDS

    @property
    def where(self) -> str:
        """Opens errors."""
        return f"{self.builder.info.full_name}, {self.split}"

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.features["label"].names)

    @property
    def decoders(self) -> dict | None:
        """TFDS's, that leave to `decoded` what it decodes.

        Four channels TFDS decodes: what the fourth is, the set's author knows.
        """
        return None if self.features["image"].shape[-1] == 4 else UNDECODED

    def identity(self) -> dict[str, str]:
        """What a run stores of a split, but for its length and content."""
        name, _, version = self.builder.info.full_name.rpartition("/")
        return {"name": name, "version": version, "split": self.split}

    def files(self) -> list:
        """The files of the split, in order: filename, skip, take, examples_in_shard."""
        return self.builder.info.splits[self.split].file_instructions

    def read_record(self, position: int, index: int | None = None) -> bytes:
        """A serialised example; `index` as in `name_of`."""
        try:
            return self.records[position]
        except Exception as error:  # array_record raises its own
            raise self.unreadable(error, position, index) from error

    def unreadable(
        self, error: Exception, position: int, index: int | None = None
    ) -> DataError:
        """The error of a record that cannot be read."""
        text = f"{self.name_of(position, index)}: the record cannot be read"
        return file_limits.failure(text, error, self.builder.data_dir)

    def name_of(self, position: int, index: int | None = None) -> str:
        """An example, with its file and position in it, for errors.

        `index` is its number among those that are used; None: `position`.
        """
        name = f"{self.where}, image {position if index is None else index}"
        for file in self.files():
            count = file.examples_in_shard - file.skip if file.take < 0 else file.take
            if position < count:
                return f"{name}, record {file.skip + position} of {file.filename}"
            position -= count
        return name

    def check_colour(self) -> None:
        """Raises DataError if the images cannot be decoded to three channels."""
        channels = self.features["image"].shape[-1]
        if channels not in (3, None):
            raise DataError(
                f"{self.where}: images have {channels} channel(s); a streamed or "
                "converted set is decoded to three. Expected shape (None, None, 3)."
            )

    def check_labels(self, labels: np.ndarray) -> None:
        """Raises DataError if a label is none of the set's classes."""
        advice = "Unlabelled splits cannot be used."
        check_labels(f"{self.where}: label", labels, len(self.class_names), advice)


def open_split(name: str, split: str, data_dir: pathlib.Path) -> OpenSplit:
    """Opens a split; see `kdjax.data.load.load_split` for names and errors."""
    builder = find.open_builder(find.require(name, data_dir))
    features, full_name = _features(builder), builder.info.full_name
    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    try:
        records = builder.as_data_source(split=split, deserialize_method=raw)
        count = len(records)
    except Exception as error:  # TFDS and array_record each raise their own
        raise no_such_split(full_name, split, builder.info.splits, error) from error
    if count == 0:
        raise DataError(f"{full_name}: split {split!r} is empty; choose a wider slice.")
    opened = OpenSplit(builder, split, features, records)
    file_limits.allow(len(opened.files()), opened.where)
    return opened


def load_records(name: str, split: str, data_dir: pathlib.Path) -> Split:
    """Loads a split of a prepared set; see `kdjax.data.load.load_split`."""
    opened = open_split(name, split, data_dir)
    count, image = len(opened.records), None
    label = np.empty(count, np.int64)
    for position, example in examples(opened, opened.decoders):
        pixels = decoded(opened, position, example["image"])
        if image is None:
            image = np.empty((count, *pixels.shape), np.uint8)
        if pixels.dtype != np.uint8 or pixels.shape != image.shape[1:]:
            raise SizesError(
                f"{opened.where}: image {position} is {pixels.dtype} of shape "
                f"{pixels.shape}; expected uint8 of shape {image.shape[1:]}, as the "
                "first one. Give config.data.feed=streamed, config.data.mean and std, "
                "or images of one size."
            )
        image[position], label[position] = pixels, example["label"]
    opened.check_labels(label)
    label = label.astype(np.int32)
    return in_memory(image, label, opened.class_names, **opened.identity())


def decoded(opened: OpenSplit, position: int, image: bytes | np.ndarray) -> np.ndarray:
    """The pixels of what `opened.decoders` gave, by the decoder of streamed images."""
    if opened.decoders is None:
        return image
    try:
        return decode_channels(image, opened.features["image"].shape[-1])
    except Unreadable as error:
        raise DataError(
            f"{opened.name_of(position)}: this image cannot be read ({error}). Prepare "
            "the set anew; `python -m kdjax prepare` leaves such images out."
        ) from error


def no_such_split(name: str, split: str, splits, error: Exception) -> DataError:
    """The error of a split that cannot be opened."""
    return DataError(
        f"{name}: split {split!r} cannot be opened ({text_of(error)}). Its splits are: "
        f"{', '.join(splits) or 'none'}; slices are written train[:45000] or "
        "train[90%:]."
    )


def _features(builder: tfds.core.DatasetBuilder) -> tfds.features.FeaturesDict:
    """The set's image and label; what else it holds is not decoded."""
    features = builder.info.features
    named = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    image, label = named.get("image"), named.get("label")
    where = f"{builder.info.full_name}: feature"
    if not isinstance(image, tfds.features.Image) or image.np_dtype != np.uint8:
        expected = "a tfds.features.Image of uint8"
        raise DataError(f"{where} image is {image!r}; expected {expected}.")
    if not isinstance(label, tfds.features.ClassLabel) or not label.num_classes:
        expected = "a tfds.features.ClassLabel that knows its number of classes"
        raise DataError(f"{where} label is {label!r}; expected {expected}.")
    return tfds.features.FeaturesDict({"image": image, "label": label})


def examples(opened: OpenSplit, decoders=None) -> Iterator[tuple[int, dict]]:
    """All examples in order, with their positions; `decoders` are TFDS's."""
    records, features = opened.records, opened.features
    for start in range(0, len(records), _CHUNK):
        positions = range(start, min(start + _CHUNK, len(records)))
        position = start
        try:
            chunk = records.__getitems__(list(positions))
            for position, record in zip(positions, chunk, strict=True):
                example = features.deserialize_example_np(record, decoders=decoders)
                if example["label"] is None:  # of a file that was cut
                    raise ValueError("the record is empty")
                yield position, example
        except Exception as error:
            text = f"{opened.where}: examples from {position} on cannot be read"
            raise file_limits.failure(text, error, opened.builder.data_dir) from error


def bytes_feature(record: bytes, name: str) -> bytes:
    """The one value of a feature of bytes of a serialised tf.train.Example.

    A fifth of TFDS's time, for every streamed image. Raises ValueError, or protobuf's
    DecodeError, of another record.
    """
    example = tf_example_pb2.Example.FromString(record)
    values = example.features.feature[name].bytes_list.value  # none, where it is not
    if len(values) != 1:
        count = f"{len(values)} values of bytes"
        raise ValueError(f"feature {name!r} has {count}; expected one")
    return values[0]


def with_bytes(record: bytes, name: str, value: bytes) -> bytes:
    """The same example with another value of a feature that `bytes_feature` reads."""
    example = tf_example_pb2.Example.FromString(record)
    example.features.feature[name].bytes_list.value[0] = value
    return example.SerializeToString()
