"""Turns folders of images into a TFDS set on disk, once."""

import functools
import io
import pathlib

import tensorflow_datasets as tfds

from kdjax import paths
from kdjax.data.images.decode import decode_with_warning
from kdjax.data.split import DataError, SkippedImages
from kdjax.data.tfds.names import parse_name
from kdjax.datasets import folders
from kdjax.datasets.archive_builder import dataset_info
from kdjax.datasets.imagenet import Imagenet2012Folders
from kdjax.datasets.sharded_writer import Entry, ShardedBuilder, shuffled
from kdjax.datasets.write import Log, Prepared, build, existing, silent

VERSION = "1.0.0"
ADVICE = "Mend or delete what cannot be read, or allow more with --skip_at_most."


class FolderBuilder(ShardedBuilder, skip_registration=True):
    """Files as they are; each is decoded once, and left out if that fails."""

    folder: folders.Folder

    def _info(self):
        return dataset_info(
            self,
            "Images in folders, one folder a class.",
            "",
            image=tfds.features.Image(shape=(None, None, 3)),
            label=tfds.features.ClassLabel(names=self.folder.class_names),
            file_name=tfds.features.Text(),
        )

    def entries(self):
        listed = {}
        for split, files in self.folder.splits.items():
            entries = [Entry(f"{f.class_name}/{f.name}", f.size, f) for f in files]
            listed[split] = shuffled(split, entries)
        return listed

    def read(self, split, entry):
        content = self.folder.read(split, entry.source)
        self.skipped.warn(self.name_of(split, entry), decode_with_warning(content)[1])
        image, label = io.BytesIO(content), entry.source.class_name
        return {"image": image, "label": label, "file_name": entry.key}

    def name_of(self, split, entry):
        return str(self.folder.path(split, entry.source))


def prepare_folder(
    name: str,
    folder: str | pathlib.Path,
    *,
    data_dir: str | pathlib.Path,
    skip_at_most: int,
    log: Log = silent,
) -> Prepared:
    """Prepares DIR/train/CLASS/*.JPEG and DIR/val/CLASS/*.JPEG, unless it exists.

    At most `skip_at_most` files that cannot be decoded are left out. Under the name
    imagenet2012 they become TFDS's own set, of which nothing may be missing. Raises
    DataError if the folder is laid out in another way or too much is unreadable,
    OSError if data_dir cannot be written.
    """
    data_dir = paths.parse(data_dir, "--data_dir")
    folder = paths.local(folder, "--folder")
    dataset, config, version = parse_name(name)
    if config is not None:
        raise DataError(f"{name!r}: a folder's set has no config; leave out /{config}.")
    if (prepared := existing(name, data_dir)) is not None:
        return prepared
    if dataset == Imagenet2012Folders.name:
        make = functools.partial(Imagenet2012Folders, archives=folder)
    else:
        listed = folders.scan(folder)
        if listed.ignored:
            log(f"{folder}: {listed.ignored:,} files are no images by their names")
        builder_class = FolderBuilder.named(dataset, version or VERSION, folder=listed)
        skipped = SkippedImages(skip_at_most, ADVICE)
        make = functools.partial(builder_class, skipped=skipped)
    return build(name, make, data_dir=data_dir, source=str(folder), log=log)
