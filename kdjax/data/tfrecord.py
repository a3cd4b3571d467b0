"""A set prepared as TFRecord once more as array_record: the same records, other files.

Needs no TensorFlow. The files' checksums are not compared; lengths and counts are.
"""

import json
import os
import pathlib
import shutil
import struct
from collections.abc import Callable, Iterator

import tensorflow_datasets as tfds

from kdjax.data import catalogue
from kdjax.data.building import Prepared, describe, moved
from kdjax.data.errors import DataError
from kdjax.data.ordered import Writer
from kdjax.data.staging import staged

_INFO = "dataset_info.json"
_OLD, _NEW = ".tfrecord-", ".array_record-"


def convert(
    name: str,
    source: str | pathlib.Path,
    *,
    data_dir: str | pathlib.Path,
    say: Callable[[str], None] = lambda message: None,
) -> Prepared:
    """Converts a set, unless it is there already.

    Args:
      name: of the set, optionally with config and version.
      source: the data_dir in which TFDS prepared it as TFRecord.
      data_dir: where it is to be; another one, since TFDS keeps one format a version.
      say: is told what takes long.

    Raises:
      DataError: there is no such set in `source`, or a file of it is damaged.
      OSError: data_dir cannot be written.
    """
    source, data_dir = (pathlib.Path(p).expanduser() for p in (source, data_dir))
    if source.resolve() == data_dir.resolve():
        raise DataError(
            f"--tfrecord and --data_dir are both {source}; TFDS keeps one format of a "
            "version in a directory. Expected another --data_dir."
        )
    found = catalogue.prepared(name, data_dir)
    if found is not None:
        return describe(name, found, None)
    old = catalogue.find(name, source)
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
    say(f"converting {old}")
    with staged(data_dir) as apart:
        new = pathlib.Path(apart) / old.relative_to(source)
        new.mkdir(parents=True)
        _copy(old, new, info, say)
        directory = moved(new, apart, data_dir)
    return describe(name, directory, str(old))


def _copy(old: pathlib.Path, new: pathlib.Path, info: dict, say) -> None:
    splits = tfds.builder_from_directory(old).info.splits
    for split in splits.values():
        counts = zip(split.filepaths, split.shard_lengths, strict=True)
        for number, (path, count) in enumerate(counts, start=1):
            target = new / os.path.basename(path).replace(_OLD, _NEW)
            rows = enumerate(_records(pathlib.Path(path), count))
            Writer("array_record").write(target, rows)
            if number % 100 == 0:
                say(f"{split.name}: {number} of {split.num_shards} files")
    for path in old.iterdir():
        if path.is_file() and _OLD not in path.name and path.name != _INFO:
            shutil.copy(path, new)
    info["fileFormat"] = "array_record"
    for row in info["splits"]:
        template = row.get("filepathTemplate", "")
        row["filepathTemplate"] = template.replace("tfrecord", "array_record")
    (new / _INFO).write_text(json.dumps(info, indent=2))


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
