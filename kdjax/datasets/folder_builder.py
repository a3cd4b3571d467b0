"""A set of one's own, from folders of pictures."""

import io
import types

import tensorflow_datasets as tfds

from kdjax.data.images.decode import decode_told
from kdjax.datasets.archive_builder import described
from kdjax.datasets.folders import Folder
from kdjax.datasets.sharded_writer import Entry, OrderedBuilder, shuffled

VERSION = "1.0.0"


class FolderBuilder(OrderedBuilder, skip_registration=True):
    """Files as they are; each is decoded once, and left out if that fails."""

    folder: Folder

    def _info(self):
        return described(
            self,
            "Pictures in folders, one folder a class.",
            "",
            {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(names=self.folder.class_names),
                "file_name": tfds.features.Text(),
            },
        )

    def entries(self):
        return {
            split: shuffled(
                split, [Entry(f"{f.class_name}/{f.name}", f.size, f) for f in files]
            )
            for split, files in self.folder.splits.items()
        }

    def read(self, split, entry):
        content = self.folder.read(split, entry.place)
        _, complaint = decode_told(content)
        self.skipped.doubt(self.name_of(split, entry), complaint)
        return {
            "image": io.BytesIO(content),
            "label": entry.place.class_name,
            "file_name": entry.key,
        }

    def name_of(self, split, entry):
        return str(self.folder.path(split, entry.place))


def builder_class(name: str, version: str, folder: Folder) -> type[FolderBuilder]:
    """The builder of a folder; TFDS takes name and version from the class."""
    own = {"name": name, "VERSION": tfds.core.Version(version), "folder": folder}
    how = {"skip_registration": True}
    return types.new_class(
        "Named", (FolderBuilder,), how, lambda body: body.update(own)
    )
