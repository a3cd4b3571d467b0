"""A set prepared as TFRecord once more as array_record: the same records, other files.

Needs no TensorFlow. The files' checksums are compared, their lengths and counts too,
and each image is decoded once. Records that cannot be read are left out.
"""

import json
import os
import pathlib
import shutil
import struct
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from kdjax import paths
from kdjax.data.images.decode import Unreadable, decode_with_warning
from kdjax.data.prefetch import map_ahead
from kdjax.data.split import DataError, SkippedImages
from kdjax.data.tfds import find
from kdjax.data.tfds.feature_classes import check_classes
from kdjax.data.tfds.labels import save_labels
from kdjax.data.tfds.records import bytes_feature, with_bytes
from kdjax.datasets.crc32c import masked
from kdjax.datasets.encode import as_plain_jpeg
from kdjax.datasets.sharded_writer import Writer
from kdjax.datasets.staging import staged
from kdjax.datasets.write import Log, Prepared, describe, existing, publish, silent
from kdjax.paths.json_files import read_json

_INFO = "dataset_info.json"
_SPLIT = {"name": str, "shardLengths": [str], "filepathTemplate?": str}
_INFO_FORM = {"fileFormat?": str, "splits": [_SPLIT]}
_AGAIN = "Copy the set anew."
_ADVICE = "Prepare the set anew there, or allow more with --skip_at_most."
_OLD, _NEW = ".tfrecord-", ".array_record-"


def convert_tfrecord(
    name: str,
    source: str | pathlib.Path,
    *,
    data_dir: str | pathlib.Path,
    skip_at_most: int,
    log: Log = silent,
) -> Prepared:
    """Converts a set that TFDS prepared as TFRecord in `source`, unless it exists.

    Raises DataError if there is no such set in `source`, a file of it is damaged or
    more than `skip_at_most` images are, OSError if data_dir cannot be written.
    """
    source = paths.local(source, "--tfrecord")
    data_dir = paths.parse(data_dir, "--data_dir")
    if source.resolve() == data_dir.resolve():
        raise DataError(
            f"--tfrecord and --data_dir are both {source}; TFDS keeps one format of a "
            "version in a directory. Expected another --data_dir."
        )
    if (prepared := existing(name, data_dir)) is not None:
        return prepared
    old = find.find(name, source)
    if old is None:
        expected = f"expected {source / name} as TFDS wrote it"
        raise DataError(f"{name} is not prepared in {source}; {expected}.")
    info = read_json(old / _INFO, "the description of a set", _INFO_FORM, _AGAIN)
    if info.get("fileFormat") != "tfrecord":
        raise DataError(
            f"{old} is stored as {info.get('fileFormat')}; expected tfrecord. What is "
            f"stored as array_record is read with --data_dir={source}."
        )
    skipped = SkippedImages(skip_at_most, _ADVICE)
    log(f"converting {old}")
    with staged(data_dir) as staging:
        new = pathlib.Path(staging) / old.relative_to(source)
        new.mkdir(parents=True)
        labels = _copy(old, new, info, skipped, log)
        directory = publish(new, staging, data_dir)
    save_labels(directory, labels)
    return describe(name, directory, str(old), skipped)


def _copy(old: pathlib.Path, new: pathlib.Path, info: dict, skipped, log: Log) -> dict:
    """Writes the set anew; returns the labels of each split."""
    check_classes(old)
    source, labels = tfds.builder_from_directory(old).info, {}
    for row in info["splits"]:
        split, row["shardLengths"] = source.splits[row["name"]], []
        labels[split.name] = []
        counts = zip(split.filepaths, split.shard_lengths, strict=True)
        for number, (path, count) in enumerate(counts, start=1):
            target = new / os.path.basename(path).replace(_OLD, _NEW)
            file = _File(pathlib.Path(path), source.features, skipped)
            Writer("array_record").write(target, enumerate(file.records(count)))
            row["shardLengths"].append(str(file.count))
            labels[split.name] += file.labels
            if number % 100 == 0:
                log(f"{split.name}: {number} of {split.num_shards} files")
        template = row.get("filepathTemplate", "")
        row["filepathTemplate"] = template.replace("tfrecord", "array_record")
    for path in old.iterdir():
        if path.is_file() and _OLD not in path.name and path.name != _INFO:
            shutil.copy(path, new)
    info["fileFormat"] = "array_record"
    (new / _INFO).write_text(json.dumps(info, indent=2))
    return labels


_HEAD = struct.Struct("<QI")


class _File:
    """A file's records with readable images, their count and labels."""

    def __init__(self, path: pathlib.Path, features, skipped: SkippedImages):
        self.path, self.count, self.labels, self._skipped = path, 0, [], skipped
        is_dict = isinstance(features, tfds.features.FeaturesDict)
        named = dict(features) if is_dict else {}
        self._has_image = isinstance(named.get("image"), tfds.features.Image)
        label = {key: named[key] for key in ("label",) if key in named}
        self._label = tfds.features.FeaturesDict(label)

    def records(self, count: int) -> Iterator[bytes]:
        for record in map_ahead(self._checked, enumerate(_records(self.path, count))):
            if record is not None:
                self.count += 1
                example = self._label.deserialize_example_np(record)
                self.labels.extend(np.ravel(example.get("label", [])).tolist())
                yield record

    def _checked(self, numbered: tuple[int, tuple[bytes, int]]) -> bytes | None:
        """A record as it is, or with its image mended; None: it is left out."""
        number, (record, checksum) = numbered
        where = f"{self.path}, record {number}"
        if masked(record) != checksum:
            self._skipped.add(where, "it differs from its checksum")
            return None
        if not self._has_image:
            return record
        try:
            content = bytes_feature(record, "image")
        except Exception as error:  # protobuf raises its own
            raise DataError(f"{where}: is damaged ({error}); copy it anew.") from error
        try:
            warning = decode_with_warning(content)[1]
        except Unreadable:
            try:
                content, warning = as_plain_jpeg(content)
            except Unreadable as error:
                self._skipped.add(where, str(error))
                return None
            record = with_bytes(record, "image", content)
        self._skipped.warn(where, warning)
        return record


def _records(path: pathlib.Path, count: int) -> Iterator[tuple[bytes, int]]:
    """Records and their checksums; the rest of a file is lost with a wrong length.

    Frames of 8 bytes length, 4 of its checksum, the record, 4 of its checksum.
    """
    number, left = 0, path.stat().st_size
    with path.open("rb", buffering=1 << 20) as file:
        while left:
            head = file.read(12)
            length, checksum = _HEAD.unpack(head) if len(head) == 12 else (left, None)
            left -= length + 16
            if left < 0:
                raise DataError(f"{path}: ends within record {number}; copy it anew.")
            if checksum != masked(head[:8]):
                raise DataError(
                    f"{path}: the length of record {number} is damaged; copy it anew."
                )
            yield file.read(length), int.from_bytes(file.read(4), "little")
            number += 1
    if number != count:
        expected = f"expected {count:,}, as {_INFO} says"
        raise DataError(f"{path}: has {number:,} records; {expected}.")
