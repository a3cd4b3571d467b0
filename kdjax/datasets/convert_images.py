"""Writes a prepared set once more: the same images, in order, in another format."""

import functools
import io
import pathlib
import threading
from collections import Counter

import tensorflow_datasets as tfds

from kdjax import paths
from kdjax.data.images.decode import decode, size_of_jpeg
from kdjax.data.recorded import read_facts
from kdjax.data.split import SkippedImages
from kdjax.data.tfds import find
from kdjax.data.tfds.names import parse_name
from kdjax.data.tfds.records import UNDECODED, OpenSplit, open_split
from kdjax.datasets import set_facts
from kdjax.datasets.archive_builder import dataset_info
from kdjax.datasets.image_formats import Pixels, ShortSide
from kdjax.datasets.sharded_writer import Entry, ShardedBuilder
from kdjax.datasets.write import Log, Prepared, build, existing, silent

ADVICE = "Mend or delete what cannot be read, or allow more with --skip_at_most."


class ConvertedBuilder(ShardedBuilder, skip_registration=True):
    """All splits of a set in another format; `file_name` and other texts stay."""

    format: ShortSide | Pixels
    source: tfds.core.DatasetInfo
    opened: dict[str, OpenSplit]  # of the source, by split

    def __init__(self, **arguments):
        self.sizes: Counter[tuple[int, int]] = Counter()  # (height, width), as written
        self._lock = threading.Lock()
        super().__init__(**arguments)

    def _info(self):
        about = f"{self.source.full_name} as {self.format.about}."
        image = tfds.features.Image(shape=(None, None, 3))
        features = dict(self._features) | {"image": image}
        return dataset_info(self, about, self.source.homepage, **features)

    def entries(self):
        size = self.format.size
        return {
            split: [Entry(i, size, i) for i in range(len(opened.records))]
            for split, opened in self.opened.items()
        }

    def read(self, split, entry):
        record = self.opened[split].read_record(entry.source)
        example = self._features.deserialize_example_np(record, decoders=UNDECODED)
        content = self.format.convert(bytes(example["image"]))
        size = size_of_jpeg(content) or decode(content).shape[:2]  # of pixels a view
        with self._lock:
            self.sizes[size] += 1
        return example | {"image": io.BytesIO(content)}

    def name_of(self, split, entry):
        return self.opened[split].name_of(entry.source)

    @functools.cached_property
    def _features(self) -> tfds.features.FeaturesDict:
        """Those of the source that are kept."""
        kept = {
            name: feature
            for name, feature in self.source.features.items()
            if name in ("image", "label") or isinstance(feature, tfds.features.Text)
        }
        return tfds.features.FeaturesDict(kept)


def convert_images(
    name: str,
    format: ShortSide | Pixels,
    *,
    data_dir: str | pathlib.Path,
    skip_at_most: int,
    log: Log = silent,
) -> Prepared:
    """Writes NAME/FORMAT from the prepared set NAME, unless `converted_set` has it.

    At most `skip_at_most` images that cannot be read are left out. Raises DataError if
    the set is not prepared, not in colour, or too much of it is unreadable, OSError if
    data_dir cannot be written.
    """
    data_dir = paths.parse(data_dir, "--data_dir")
    if (prepared := converted_set(name, format, data_dir)) is not None:
        return prepared
    converted = converted_name(name, format)
    dataset, config, _ = parse_name(converted)
    whole = open_split(name, "all", data_dir)
    whole.check_colour()
    info = whole.builder.info
    config = tfds.core.BuilderConfig(name=config, description=format.about)
    builder_class = ConvertedBuilder.named(
        dataset,
        str(whole.builder.version),
        BUILDER_CONFIGS=[config],
        format=format,
        source=info,
        opened={s: open_split(name, s, data_dir) for s in info.splits if s != "all"},
    )
    skipped = SkippedImages(skip_at_most, ADVICE)
    make = functools.partial(builder_class, skipped=skipped)
    finish = functools.partial(set_facts.copy, whole.builder.data_dir, format.side)
    how = {"data_dir": data_dir, "source": info.full_name, "log": log}
    return build(converted, make, **how, finish=finish)


def converted_set(
    name: str, format: ShortSide | Pixels, data_dir: pathlib.Path
) -> Prepared | None:
    """A set in another format, None where it, or that of a newer NAME, is to be made.

    NAME itself may be deleted. Raises ChangedError if it was prepared anew since, of
    other files or options.
    """
    prepared = existing(converted_name(name, format), data_dir)
    source = find.prepared(name, data_dir)
    if prepared is None or source is None:
        return prepared
    ours, theirs = (_version(path) for path in (prepared.directory, source))
    if theirs > ours:
        return None
    facts = read_facts(source)
    if theirs == ours and facts is not None:
        set_facts.check_same(prepared, facts["source"])
    return prepared


def _version(directory: pathlib.Path) -> list[int]:
    return [int(number) for number in directory.name.split(".")]


def converted_name(name: str, format: ShortSide | Pixels) -> str:
    """What a set is called in another format.

    >>> converted_name("imagenet2012:5.1.0", Pixels(160))
    'imagenet2012/pixels_160:5.1.0'
    """
    dataset, config, version = parse_name(name)
    config = f"{config}-{format.name}" if config else format.name
    return f"{dataset}/{config}" + (f":{version}" if version else "")
