"""A prepared set once more, in another form of the same pictures in the same order."""

import functools
import io
import pathlib
import types
from collections.abc import Callable

import tensorflow_datasets as tfds

from kdjax import paths
from kdjax.data.errors import DataError
from kdjax.data.images.skipped import Skipped
from kdjax.data.tfds import find
from kdjax.data.tfds.names import parse_name
from kdjax.data.tfds.records import Opened, open_split
from kdjax.datasets.archive_builder import described
from kdjax.datasets.image_formats import Pixels, ShortSide
from kdjax.datasets.prepare_folder import ADVICE
from kdjax.datasets.sharded_writer import Entry, OrderedBuilder
from kdjax.datasets.write import Prepared, build, describe

_AS_STORED = {"image": tfds.decode.SkipDecoding()}


class FormBuilder(OrderedBuilder, skip_registration=True):
    """All splits of a set in another form; `file_name` and other texts stay."""

    form: ShortSide | Pixels
    opened: dict[str, Opened]

    def _info(self):
        return described(
            self,
            f"{self._source.info.full_name} as {self.form.about}.",
            self._source.info.homepage,
            self._kept | {"image": tfds.features.Image(shape=(None, None, 3))},
        )

    def entries(self):
        return {
            split: [
                Entry(position, self.form.size, position)
                for position in range(len(opened.records))
            ]
            for split, opened in self.opened.items()
        }

    def read(self, split, entry):
        record = self.opened[split].read_record(entry.place)
        features = tfds.features.FeaturesDict(self._kept)
        example = features.deserialize_example_np(record, decoders=_AS_STORED)
        content = self.form.make(bytes(example["image"]))
        return example | {"image": io.BytesIO(content)}

    def name_of(self, split, entry):
        return self.opened[split].name_of(entry.place)

    @property
    def _source(self) -> tfds.core.DatasetBuilder:
        return next(iter(self.opened.values())).builder

    @functools.cached_property
    def _kept(self) -> dict:
        features = dict(self._source.info.features)
        return {
            name: feature
            for name, feature in features.items()
            if name in ("image", "label") or isinstance(feature, tfds.features.Text)
        }


def derive(
    name: str,
    form: ShortSide | Pixels,
    *,
    data_dir: str | pathlib.Path,
    skip_at_most: int,
    say: Callable[[str], None] = lambda message: None,
) -> Prepared:
    """Writes NAME/FORM from the prepared set NAME, unless it is there.

    A picture's position stays, unless one before it cannot be read and is left out.

    Args:
      name: of the set, optionally with config and version.
      form: of the pictures.
      data_dir: where TFDS keeps its sets.
      skip_at_most: how many unreadable pictures are left out before that is an error.
      say: is told what takes long.

    Raises:
      DataError: the set is not prepared, not of colour pictures, or too much of it is
        unreadable.
      OSError: data_dir cannot be written.
    """
    data_dir = paths.local(data_dir, "--data_dir")
    derived = derived_name(name, form)
    dataset, config, _ = parse_name(derived)
    found = find.prepared(derived, data_dir)
    if found is not None:
        return describe(derived, found, None)
    opened = _opened(name, data_dir)
    builder = next(iter(opened.values())).builder
    configs = [tfds.core.BuilderConfig(name=config, description=form.about)]
    own = {"name": dataset, "VERSION": builder.version, "BUILDER_CONFIGS": configs}
    own |= {"form": form, "opened": opened}
    how = {"skip_registration": True}
    made = types.new_class("Named", (FormBuilder,), how, lambda body: body.update(own))
    skipped = Skipped(skip_at_most, ADVICE)
    say(f"preparing {derived}")
    make = functools.partial(made, skipped=skipped, say=say)
    directory, _ = build(make, data_dir)
    return describe(derived, directory, builder.info.full_name, skipped)


def derived_name(name: str, form: ShortSide | Pixels) -> str:
    """What a set is called in another form.

    >>> derived_name("imagenet2012:5.1.0", Pixels(160))
    'imagenet2012/pixels_160:5.1.0'
    """
    dataset, config, version = parse_name(name)
    config = f"{config}-{form.name}" if config else form.name
    return f"{dataset}/{config}" + (f":{version}" if version else "")


def _opened(name: str, data_dir: pathlib.Path) -> dict[str, Opened]:
    """Every split of a set of pictures in colour."""
    first = open_split(name, "all", data_dir)
    channels = first.features["image"].shape[-1]
    if channels not in (3, None):
        raise DataError(
            f"{name}: images have {channels} channel(s); expected pictures in colour."
        )
    splits = [s for s in first.builder.info.splits if s != "all"]
    return {split: open_split(name, split, data_dir) for split in splits}
