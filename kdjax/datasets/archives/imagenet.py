"""ImageNet (ILSVRC 2012): where its images lie in the official tar archives."""

import pathlib
import re
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow_datasets as tfds

from kdjax.data.split import DataError
from kdjax.datasets.archives.reading import reading

FILE_NAMES = {
    "train": "ILSVRC2012_img_train.tar",
    "validation": "ILSVRC2012_img_val.tar",
}
_NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")


class Member(NamedTuple):
    """An image in an archive, not read yet."""

    name: str  # without its directory
    class_name: str
    start: int  # of its bytes in the archive
    size: int


def class_names() -> list[str]:
    """The 1,000 synsets in label order, from the file that comes with TFDS."""
    return _lines("labels.txt")


def members(path: pathlib.Path, split: str) -> Iterator[Member]:
    """Lists the images of an archive; reads headers only."""
    with reading(path, "tar", tarfile.TarError), path.open("rb") as file:
        yield from (_train if split == "train" else _validation)(path, file)


def _train(path: pathlib.Path, file) -> Iterator[Member]:
    """A tar of one tar a class."""
    synsets = set(class_names())
    for outer in _files(file, 0):
        class_name = outer.name.rsplit("/", 1)[-1].removesuffix(".tar")
        if class_name not in synsets:
            raise DataError(
                f"{path}: holds {outer.name}; expected one .tar for each of ImageNet's "
                "1,000 synsets, e.g. n01440764.tar. Is it the file that its name says?"
            )
        for inner in _files(file, outer.offset_data):
            if inner.offset_data + inner.size > outer.offset_data + outer.size:
                raise DataError(f"{path}: {outer.name} is cut short; fetch it anew.")
            name = inner.name.rsplit("/", 1)[-1]
            yield Member(name, class_name, inner.offset_data, inner.size)


def _validation(path: pathlib.Path, file) -> Iterator[Member]:
    """Labels come with TFDS, in the order of the images' numbers."""
    labels = _lines("validation_labels.txt")
    for member in _files(file, 0):
        name = member.name.rsplit("/", 1)[-1]
        match = _NUMBER.fullmatch(name)
        if match is None or not 1 <= int(match[1]) <= len(labels):
            raise DataError(
                f"{path}: holds {member.name}; expected ILSVRC2012_val_00000001.JPEG "
                f"to {len(labels):08}. Is it the file that its name says?"
            )
        yield Member(name, labels[int(match[1]) - 1], member.offset_data, member.size)


def _files(file, start: int) -> Iterator[tarfile.TarInfo]:
    file.seek(start)
    with tarfile.open(fileobj=file, mode="r:") as archive:
        while (member := archive.next()) is not None:
            archive.members = []  # else all headers would be kept
            if member.isreg() and not member.issparse():
                yield member


def _lines(name: str) -> list[str]:
    return tfds.core.tfds_path(f"datasets/imagenet2012/{name}").read_text().split()
