"""TFDS sets of any size, written shard by shard in an order that is known beforehand.

TFDS's usual writer sorts what it is given: above 1 GB that takes TensorFlow and the
set's size on disk once more. Here the list of a split is sorted, by the same hash of
the same keys, and the pictures are read in that order. So the records come out in the
order in which TFDS's writer puts them.
"""

import functools
import itertools
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from array_record.python import array_record_module
from tensorflow_datasets.core import hashing
from tensorflow_datasets.core.dataset_builder import ShardBasedBuilder
from tensorflow_datasets.core.utils.shard_utils import ShardConfig, get_shard_boundaries
from tensorflow_datasets.core.writer import ExampleWriter

from kdjax.data.errors import DataError
from kdjax.data.images.decode import Unreadable
from kdjax.data.images.skipped import Skipped
from kdjax.data.prefetch import mapped

_SAY_EVERY = 30  # seconds
# TFDS's group size, so that any record can be read alone; but its compression gains 4 %
# on pixels, whose reading takes 2.4 times as long then, and nothing on JPEGs.
_OPTIONS = "group_size:1,uncompressed"


class Entry(NamedTuple):
    """One example, of which nothing is read yet."""

    key: str | int
    size: int  # bytes, or about as many
    place: Any  # where it lies, for whoever reads it


class Writer(ExampleWriter):
    """Writes records as they are."""

    def write(self, path, examples) -> None:
        writer = array_record_module.ArrayRecordWriter(os.fspath(path), _OPTIONS)
        try:
            for _, record in examples:
                writer.write(record)
        finally:
            writer.close()


class OrderedBuilder(ShardBasedBuilder, skip_registration=True):
    """Base of the builders: `entries` lists a split, `read` makes an example of one.

    Attributes:
      skipped: pictures that were left out, and doubtful ones.
      labels: split -> those of its records, in their order, once they are written.
    """

    def __init__(self, *, skipped: Skipped, say: Callable[[str], None], **arguments):
        self.skipped, self.labels, self._say = skipped, {}, say
        super().__init__(file_format="array_record", **arguments)

    def entries(self) -> dict[str, list[Entry]]:
        """What each split is to hold, in the order of the records."""
        raise NotImplementedError

    def read(self, split: str, entry: Entry) -> dict:
        """The example of an entry. Called by several threads.

        Raises:
          Unreadable: it is left out, and counted.
        """
        raise NotImplementedError

    def name_of(self, split: str, entry: Entry) -> str:
        """An entry, for errors."""
        raise NotImplementedError

    def _example_writer(self) -> ExampleWriter:
        return Writer(self.info.file_format)

    def _shard_iterators_per_split(self, dl_manager):
        listed = self.entries()
        return {split: self._shards(split, listed[split]) for split in listed}

    def _shards(self, split: str, entries: list[Entry]) -> list:
        size = sum(entry.size for entry in entries)
        count = ShardConfig().get_number_shards(size, len(entries))
        ends = get_shard_boundaries(len(entries), count)
        keyed = mapped(functools.partial(self._keyed, split), entries)
        keyed = self._noting(self.labels.setdefault(split, []), keyed)
        examples = self._telling(f"{self.name}, {split}", keyed, len(entries))
        lengths = (end - start for start, end in itertools.pairwise([0, *ends]))
        return [functools.partial(_taken, examples, length) for length in lengths]

    def _telling(self, what: str, examples: Iterator, total: int) -> Iterator:
        """The same ones; says now and then how many there were."""
        said, some = time.monotonic(), False
        for count, example in enumerate(examples):
            if time.monotonic() > said + _SAY_EVERY:
                said = time.monotonic()
                self._say(f"{what}: {count:,} of {total:,}")
            some = some or example is not None
            if not some and count == total - 1:
                raise DataError(f"{what}: not one picture can be read.")
            yield example

    def _noting(self, labels: list[int], examples: Iterator) -> Iterator:
        """The same ones, once their labels are noted."""
        feature = self.info.features["label"]
        for example in examples:
            if example is not None:
                labels.append(int(feature.encode_example(example[1]["label"])))
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


def _taken(examples: Iterator, count: int) -> Iterator[tuple[str | int, dict]]:
    """The next ones, without those that were left out."""
    return (row for row in itertools.islice(examples, count) if row is not None)
