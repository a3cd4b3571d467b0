"""Tiny-ImageNet-200 (Stanford CS231n). Its test split has no labels and is left out."""

import io
import pathlib
import re
import zipfile
from collections.abc import Iterator

import tensorflow_datasets as tfds

from kdjax.data.split import DataError
from kdjax.datasets import encode
from kdjax.datasets.archive_builder import ArchiveBuilder, dataset_info
from kdjax.datasets.archives.reading import reading

FILE_NAME = "tiny-imagenet-200.zip"
MOST = 10_000_000  # bytes of a file in it
_ROOT = "tiny-imagenet-200"
_TRAIN = re.compile(rf"{_ROOT}/train/(n\d+)/images/([^/]+\.JPEG)")
_VALIDATION = re.compile(rf"{_ROOT}/val/images/([^/]+\.JPEG)")


class TinyImagenet(ArchiveBuilder, skip_registration=True):
    """TFDS has no builder of it."""

    name = "tiny_imagenet"
    VERSION = tfds.core.Version("1.0.0")
    FILES = ((FILE_NAME,),)
    URL = "http://cs231n.stanford.edu"
    SUMS = ("90528d7ca1a48142e341f4ef8d21d0de",)
    SIZES = {"train": 100000, "validation": 10000}

    def _info(self):
        return dataset_info(
            self,
            "Tiny-ImageNet-200: ImageNet's images, 64 by 64, 200 classes.",
            "http://cs231n.stanford.edu/",
            id=tfds.features.Text(),
            image=tfds.features.Image(shape=(64, 64, 3)),
            label=tfds.features.ClassLabel(num_classes=200),
        )

    def _split_generators(self, dl_manager):
        self._set_class_names("label", class_names(self._path()))
        return super()._split_generators(dl_manager)

    def _generate_examples(self, split):
        for key, content, label in read_split(self._path(), split):
            yield key, {"id": key, "image": io.BytesIO(content), "label": label}


def class_names(path: pathlib.Path) -> list[str]:
    """WordNet identifiers in label order: sorted, unlike the archive's own list."""
    with _opened(path) as archive:
        return sorted(
            _member(archive, path, f"{_ROOT}/wnids.txt")
            .decode(errors="backslashreplace")
            .split()
        )


def read_split(path: pathlib.Path, split: str) -> Iterator[tuple[str, bytes, str]]:
    """Yields (file name, bytes of a colour image, WordNet identifier) of a split."""
    with _opened(path) as archive:
        for name, file, label in _listing(archive, path, split):
            content = _member(archive, path, name)
            yield file, encode.as_colour(content, (64, 64), f"{path}: {name}"), label


def _listing(
    archive: zipfile.ZipFile, path: pathlib.Path, split: str
) -> Iterator[tuple[str, str, str]]:
    if split == "train":
        for name in archive.namelist():
            if match := _TRAIN.fullmatch(name):
                yield name, match[2], match[1]
        return
    annotations = _member(archive, path, f"{_ROOT}/val/val_annotations.txt").decode(
        errors="backslashreplace"
    )
    rows = [row.split("\t") for row in annotations.splitlines() if "\t" in row]
    labels = {file: label for file, label, *_ in rows}
    for name in archive.namelist():
        if match := _VALIDATION.fullmatch(name):
            file = match[1]
            if file not in labels:
                where = f"{path}: val_annotations.txt"
                raise DataError(f"{where} says nothing about {file}.")
            yield name, file, labels[file]


def _opened(path: pathlib.Path) -> zipfile.ZipFile:
    with reading(path, "zip file", zipfile.BadZipFile):
        return zipfile.ZipFile(path)


def _member(archive: zipfile.ZipFile, path: pathlib.Path, name: str) -> bytes:
    try:
        if (size := archive.getinfo(name).file_size) > MOST:
            raise DataError(
                f"{path}: {name} unpacks to {size:,} bytes; expected {MOST:,} at most. "
                "Fetch it anew."
            )
        with reading(f"{path}: {name}", "file", zipfile.BadZipFile):
            return archive.read(name)
    except KeyError as error:
        lacks = f"lacks {name}. Is it the file that its name says?"
        raise DataError(f"{path}: {lacks}") from error
