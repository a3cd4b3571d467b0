"""ImageNet as TFDS's imagenet2012: from the official archives, or from folders."""

import io
import pathlib

import tensorflow_datasets as tfds

from kdjax.data.images.decode import Unreadable
from kdjax.data.split import DataError, SkippedImages
from kdjax.datasets import encode, folders
from kdjax.datasets.archive_builder import dataset_info
from kdjax.datasets.archives import imagenet
from kdjax.datasets.sharded_writer import Entry, ShardedBuilder, shuffled

_WHOLE = "ImageNet is whole or it is not imagenet2012: fetch this file anew."


class Imagenet2012(ShardedBuilder, skip_registration=True):
    """ImageNet, ILSVRC 2012 (Russakovsky et al. 2015, arXiv:1409.0575).

    Same version, features, keys and order of the records as TFDS's own builder, without
    the unlabelled test split. The one PNG and the CMYK files become JPEGs in RGB, by
    another encoder; so does a JPEG about which the decoder warns, but for its end.
    """

    name = "imagenet2012"
    VERSION = tfds.core.Version("5.1.0")
    FILES = (tuple(imagenet.FILE_NAMES.values()),)
    URL, SUMS = "https://image-net.org/download-images", ()  # no open address
    SIZES = {"train": 1281167, "validation": 50000}

    def __init__(self, *, archives: pathlib.Path, **arguments):
        """`archives` holds the official files, or their images in folders."""
        self._archives = archives
        super().__init__(skipped=SkippedImages(0, _WHOLE), **arguments)

    def _info(self):
        return dataset_info(
            self,
            "ImageNet, ILSVRC 2012: photographs of many sizes, 1,000 classes.",
            "https://image-net.org/",
            image=tfds.features.Image(encoding_format="jpeg"),
            label=tfds.features.ClassLabel(names=imagenet.class_names()),
            file_name=tfds.features.Text(),
        )

    def entries(self):
        listed = self._listed()
        for split, size in self.SIZES.items():
            count = len(listed.get(split, []))
            if count != size:
                raise DataError(
                    f"{self.name}: {split} has {count:,} images in {self._archives}; "
                    f"expected {size:,}. Something is missing, or is not ImageNet's."
                )
        return {split: shuffled(split, listed[split]) for split in self.SIZES}

    def read(self, split, entry):
        class_name, start = entry.source
        content, warning = encode.as_plain_jpeg(self._content(split, entry, start))
        self.skipped.warn(self.name_of(split, entry), warning)
        image = io.BytesIO(content)
        return {"image": image, "label": class_name, "file_name": entry.key}

    def name_of(self, split, entry):
        return f"{self._archives}, {split}, {entry.source[0]}/{entry.key}"

    def _listed(self) -> dict[str, list[Entry]]:
        listed = {}
        for split, file in imagenet.FILE_NAMES.items():
            listed[split] = [
                Entry(member.name, member.size, (member.class_name, member.start))
                for member in imagenet.members(self._archives / file, split)
            ]
        return listed

    def _content(self, split: str, entry: Entry, start: int) -> bytes:
        path = self._archives / imagenet.FILE_NAMES[split]
        with path.open("rb", buffering=0) as file:  # one a thread and image
            file.seek(start)
            content = file.read(entry.size)
        if len(content) != entry.size:
            raise Unreadable("the archive ends before it")
        return content


class Imagenet2012Folders(Imagenet2012, skip_registration=True):
    """The same set, from train/SYNSET/*.JPEG and val/SYNSET/*.JPEG."""

    name = "imagenet2012"

    def _listed(self):
        self._folder = folders.scan(self._archives)
        self._folder.problems.check(str(self._archives))
        unknown = set(self._folder.class_names) - set(imagenet.class_names())
        if unknown:
            raise DataError(
                f"{self._archives}: {min(unknown)} is none of ImageNet's synsets. "
                "Prepare these images under another name than imagenet2012."
            )
        return {
            split: [Entry(f.name, f.size, (f.class_name, f)) for f in files]
            for split, files in self._folder.splits.items()
        }

    def _content(self, split, entry, file):
        return self._folder.read(split, file)
