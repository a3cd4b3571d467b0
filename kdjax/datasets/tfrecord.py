"""A set prepared as TFRecord once more as array_record: the same records, other files.

Needs no TensorFlow. The files' checksums are not compared; lengths and counts are, and
each picture is decoded once. Those that cannot be read are left out.
"""

import json
import os
import pathlib
import shutil
import struct
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow_datasets as tfds

from kdjax import paths
from kdjax.data.errors import DataError
from kdjax.data.images.decode import Unreadable, decode_told
from kdjax.data.images.skipped import Skipped
from kdjax.data.prefetch import mapped
from kdjax.data.tfds import find, label_cache
from kdjax.data.tfds.example_proto import bytes_feature, with_bytes
from kdjax.datasets.encode import as_plain_jpeg
from kdjax.datasets.sharded_writer import Writer
from kdjax.datasets.staging import staged
from kdjax.datasets.write import Prepared, describe, moved

_INFO = "dataset_info.json"
_ADVICE = "Prepare the set anew there, or allow more with --skip_at_most."
_OLD, _NEW = ".tfrecord-", ".array_record-"


def convert(
    name: str,
    source: str | pathlib.Path,
    *,
    data_dir: str | pathlib.Path,
    skip_at_most: int,
    say: Callable[[str], None] = lambda message: None,
) -> Prepared:
    """Converts a set, unless it is there already.

    Args:
      name: of the set, optionally with config and version.
      source: the data_dir in which TFDS prepared it as TFRecord.
      data_dir: where it is to be; another one, since TFDS keeps one format a version.
      skip_at_most: how many unreadable pictures are left out before that is an error.
      say: is told what takes long.

    Raises:
      DataError: there is no such set in `source`, a file of it is damaged, or too many
        pictures are.
      OSError: data_dir cannot be written.
    """
    source = paths.local(source, "source")
    data_dir = paths.local(data_dir, "--data_dir")
    if source.resolve() == data_dir.resolve():
        raise DataError(
            f"--tfrecord and --data_dir are both {source}; TFDS keeps one format of a "
            "version in a directory. Expected another --data_dir."
        )
    found = find.prepared(name, data_dir)
    if found is not None:
        return describe(name, found, None)
    old = find.find(name, source)
    if old is None:
        raise DataError(
            f"{name} is not prepared in {source}; expected {source / name} as TFDS "
            "wrote it."
        )
    info = json.loads((old / _INFO).read_text())
    if info.get("fileFormat") != "tfrecord":
        raise DataError(
            f"{old} is stored as {info.get('fileFormat')}; expected tfrecord. What is "
            f"stored as array_record is read with --data_dir={source}."
        )
    skipped = Skipped(skip_at_most, _ADVICE)
    say(f"converting {old}")
    with staged(data_dir) as apart:
        new = pathlib.Path(apart) / old.relative_to(source)
        new.mkdir(parents=True)
        labels = _copy(old, new, info, skipped, say)
        directory = moved(new, apart, data_dir)
    label_cache.keep_all(directory, labels)
    return describe(name, directory, str(old), skipped)


def _copy(old: pathlib.Path, new: pathlib.Path, info: dict, skipped, say) -> dict:
    """Writes the set anew; returns the labels of each split."""
    features, labels = tfds.builder_from_directory(old).info.features, {}
    splits = tfds.builder_from_directory(old).info.splits
    for row in info["splits"]:
        split, left = splits[row["name"]], []
        labels[split.name] = []
        counts = zip(split.filepaths, split.shard_lengths, strict=True)
        for number, (path, count) in enumerate(counts, start=1):
            target = new / os.path.basename(path).replace(_OLD, _NEW)
            copied = _Copied(pathlib.Path(path), features, skipped, labels[split.name])
            Writer("array_record").write(target, enumerate(copied.records(count)))
            left.append(copied.count)
            if number % 100 == 0:
                say(f"{split.name}: {number} of {split.num_shards} files")
        row["shardLengths"] = [str(count) for count in left]
    for path in old.iterdir():
        if path.is_file() and _OLD not in path.name and path.name != _INFO:
            shutil.copy(path, new)
    info["fileFormat"] = "array_record"
    for row in info["splits"]:
        template = row.get("filepathTemplate", "")
        row["filepathTemplate"] = template.replace("tfrecord", "array_record")
    (new / _INFO).write_text(json.dumps(info, indent=2))
    return labels


class _Copied:
    """The records of a file whose pictures can be read."""

    def __init__(self, path: pathlib.Path, features, skipped: Skipped, labels: list):
        self.path, self.count = path, 0
        self._skipped, self._labels = skipped, labels
        named = (
            dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
        )
        self._has_picture = isinstance(named.get("image"), tfds.features.Image)
        label = {key: named[key] for key in ("label",) if key in named}
        self._label = tfds.features.FeaturesDict(label)

    def records(self, count: int) -> Iterator[bytes]:
        for record in mapped(self._checked, enumerate(_records(self.path, count))):
            if record is not None:
                self.count += 1
                found = self._label.deserialize_example_np(record)
                self._labels.extend(np.ravel(found.get("label", [])).tolist())
                yield record

    def _checked(self, numbered: tuple[int, bytes]) -> bytes | None:
        number, record = numbered
        if not self._has_picture:
            return record
        where = f"{self.path}, record {number}"
        try:
            content = bytes_feature(record, "image")
        except Exception as error:  # protobuf raises its own
            raise DataError(f"{where}: is damaged ({error}); copy it anew.") from error
        try:
            record, complaint = _readable(record, content)
        except Unreadable as error:
            self._skipped.add(where, str(error))
            return None
        self._skipped.doubt(where, complaint)
        return record


def _readable(record: bytes, content: bytes) -> tuple[bytes, str]:
    """A record as it is, or with its picture mended; and what the decoder said."""
    try:
        return record, decode_told(content)[1]
    except Unreadable:
        content, complaint = as_plain_jpeg(content)
        return with_bytes(record, "image", content), complaint


def _records(path: pathlib.Path, count: int) -> Iterator[bytes]:
    """Frames of 8 bytes length, 4 of its checksum, the record, 4 of its checksum."""
    found = 0
    left = path.stat().st_size
    with path.open("rb", buffering=1 << 20) as file:
        while left:
            head = file.read(12)
            length = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else left
            left -= length + 16
            if left < 0:
                raise DataError(f"{path}: ends within record {found}; copy it anew.")
            yield file.read(length)
            file.read(4)
            found += 1
    if found != count:
        raise DataError(
            f"{path}: has {found:,} records; expected {count:,}, as {_INFO} says."
        )
