"""TFDS sets of any size, written shard by shard in an order that is known beforehand.

TFDS's usual writer sorts records: above 1 GB that takes TensorFlow and the set's size
on disk once more. Here the list of a split is sorted, by the same hash of the same
keys, and the images are read in that order.
"""

import functools
import itertools
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
from array_record.python import array_record_module
from tensorflow_datasets.core import hashing
from tensorflow_datasets.core.dataset_builder import ShardBasedBuilder
from tensorflow_datasets.core.utils.shard_utils import ShardConfig, get_shard_boundaries
from tensorflow_datasets.core.writer import ExampleWriter

from kdjax.data.images.decode import Unreadable
from kdjax.data.prefetch import map_ahead
from kdjax.data.split import DataError, SkippedImages

_REPORT_EVERY = 30  # seconds
# TFDS's group size, so that any record can be read alone; but its compression gains 4 %
# on pixels, whose reading takes 2.4 times as long then, and nothing on JPEGs.
_OPTIONS = "group_size:1,uncompressed"


class Entry(NamedTuple):
    """One example, of which nothing is read yet."""

    key: str | int
    size: int  # bytes, or about as many
    source: Any  # where it lies, for the builder's `read`


class Writer(ExampleWriter):
    """Writes records as they are."""

    def write(self, path, examples) -> None:
        writer = array_record_module.ArrayRecordWriter(os.fspath(path), _OPTIONS)
        try:
            for _, record in examples:
                writer.write(record)
        finally:
            writer.close()


class ShardedBuilder(ShardBasedBuilder, skip_registration=True):
    """Base of the builders: `entries` lists a split, `read` makes an example of one.

    `labels` has those of a split's records, in their order, once they are written.
    """

    def __init__(
        self, *, skipped: SkippedImages, log: Callable[[str], None], **arguments
    ):
        self.skipped, self.labels, self._log = skipped, {}, log
        super().__init__(file_format="array_record", **arguments)

    @classmethod
    def named(cls, name: str, version: str, **attributes) -> type["ShardedBuilder"]:
        """A subclass with the name and version of a set, as TFDS wants it."""
        attributes |= {"name": name, "VERSION": tfds.core.Version(version)}
        return type("Named", (cls,), attributes, skip_registration=True)

    def entries(self) -> dict[str, list[Entry]]:
        """What each split is to hold, in the order of the records."""
        raise NotImplementedError

    def read(self, split: str, entry: Entry) -> dict:
        """The example of an entry, in any thread; Unreadable leaves it out."""
        raise NotImplementedError

    def name_of(self, split: str, entry: Entry) -> str:
        """An entry, for errors."""
        raise NotImplementedError

    def nothing_readable(self, split: str) -> DataError:
        """The error of a split of which nothing is left."""
        return DataError(f"{self.name}, {split}: not one image can be read.")

    def _example_writer(self) -> ExampleWriter:
        return Writer(self.info.file_format)

    def _shard_iterators_per_split(self, dl_manager):
        return {split: self._shards(split, e) for split, e in self.entries().items()}

    def _shards(self, split: str, entries: list[Entry]) -> list:
        size = sum(entry.size for entry in entries)
        count = ShardConfig().get_number_shards(size, len(entries))
        ends = get_shard_boundaries(len(entries), count)
        examples = self._examples(split, entries)
        lengths = (end - start for start, end in itertools.pairwise([0, *ends]))
        shards = (itertools.islice(examples, length) for length in lengths)
        return [functools.partial(filter, None, shard) for shard in shards]

    def _examples(self, split: str, entries: list[Entry]) -> Iterator:
        """Keys and examples in order, None for what is left out; records labels."""
        feature, labels = self.info.features["label"], self.labels.setdefault(split, [])
        last = time.monotonic()
        keyed = map_ahead(functools.partial(self._keyed, split), entries)
        for count, example in enumerate(keyed):
            if time.monotonic() > last + _REPORT_EVERY:
                last = time.monotonic()
                self._log(f"{self.name}, {split}: {count:,} of {len(entries):,}")
            if example is not None:
                labels.append(int(feature.encode_example(example[1]["label"])))
            if not labels and count == len(entries) - 1:
                raise self.nothing_readable(split)
            yield example

    def _keyed(self, split: str, entry: Entry) -> tuple[str | int, dict] | None:
        try:
            return entry.key, self.read(split, entry)
        except Unreadable as error:
            self.skipped.add(self.name_of(split, entry), str(error))
            return None
        except OSError as error:  # of what is read; nothing is written here
            raise DataError(
                f"{self.name_of(split, entry)}: its disk does not give it ({error}). "
                "Look at that disk, or copy the file anew; then prepare again."
            ) from error


def shuffled(split: str, entries: list[Entry]) -> list[Entry]:
    """Entries in the order in which TFDS's own writer would put them."""
    hasher = hashing.Hasher(split)
    return sorted(entries, key=lambda entry: hasher.hash_key(entry.key))
