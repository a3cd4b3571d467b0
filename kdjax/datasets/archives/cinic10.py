"""CINIC-10 (Darlow et al. 2018, arXiv:1810.03505): CIFAR-10's classes, more images."""

import io
import pathlib
import re
from collections.abc import Iterator

import tensorflow_datasets as tfds

from kdjax.datasets import encode
from kdjax.datasets.archive_builder import ArchiveBuilder, dataset_info
from kdjax.datasets.archives.reading import tar_members

MOST = 2_000_000_000  # bytes that the archive unpacks to, its headers too
FILE_NAME = "CINIC-10.tar.gz"
_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck"
CLASS_NAMES = tuple(_CLASSES.split())
_FOLDERS = {"train": "train", "validation": "valid", "test": "test"}


class Cinic10(ArchiveBuilder, skip_registration=True):
    """TFDS has no builder of it."""

    name = "cinic10"
    VERSION = tfds.core.Version("1.0.0")
    FILES = ((FILE_NAME,),)
    URL = "https://datashare.ed.ac.uk/bitstream/handle/10283/3192"
    SUMS = ("6ee4d0c996905fe93221de577967a372",)
    SIZES = {"train": 90000, "validation": 90000, "test": 90000}

    def _info(self):
        return dataset_info(
            self,
            "CINIC-10: CIFAR-10's classes from CIFAR-10 and ImageNet, 32 by 32.",
            "https://datashare.ed.ac.uk/handle/10283/3192",
            id=tfds.features.Text(),
            image=tfds.features.Image(shape=(32, 32, 3)),
            label=tfds.features.ClassLabel(names=CLASS_NAMES),
            source=tfds.features.ClassLabel(names=("cifar10", "imagenet")),
        )

    def _generate_examples(self, split):
        for key, content, label, source in read_split(self._path(), split):
            example = {"id": f"{split}/{key}", "image": io.BytesIO(content)}
            yield key, example | {"label": label, "source": source}


def read_split(path: pathlib.Path, split: str) -> Iterator[tuple[str, bytes, str, str]]:
    """Yields (identity, PNG bytes, class name, "cifar10" or "imagenet") of a split."""
    classes = "|".join(CLASS_NAMES)
    folder = rf"(?:\./)?(?:CINIC-10/)?{_FOLDERS[split]}"
    pattern = re.compile(rf"{folder}/({classes})/([^/]+\.png)")
    members = tar_members(path, lambda n: pattern.fullmatch(n) is not None, MOST)
    for name, content in members:
        class_name, file = pattern.fullmatch(name).groups()
        origin = "cifar10" if file.startswith("cifar10") else "imagenet"
        content = encode.as_colour(content, (32, 32), f"{path}: {name}")
        yield f"{class_name}/{file}", content, class_name, origin
