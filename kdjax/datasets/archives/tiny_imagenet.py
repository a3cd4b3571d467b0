"""Tiny-ImageNet-200 (Stanford CS231n). Its test split has no labels and is left out."""

import pathlib
import re
import zipfile
import zlib
from collections.abc import Iterator

from kdjax.data.errors import DataError
from kdjax.datasets import encode

FILE_NAME = "tiny-imagenet-200.zip"
_ROOT = "tiny-imagenet-200"
_TRAIN = re.compile(rf"{_ROOT}/train/(n\d+)/images/([^/]+\.JPEG)")
_VALIDATION = re.compile(rf"{_ROOT}/val/images/([^/]+\.JPEG)")


def class_names(path: pathlib.Path) -> list[str]:
    """WordNet identifiers in label order: sorted, unlike the archive's own list."""
    with _open(path) as archive:
        return sorted(_text(archive, path, "wnids.txt").split())


def read_split(path: pathlib.Path, split: str) -> Iterator[tuple[str, bytes, str]]:
    """Yields (file name, bytes of a colour image, WordNet identifier) of a split.

    Raises:
      DataError: the archive is damaged, a picture is not 64 by 64, or has no label.
    """
    with _open(path) as archive:
        for name, file, label in _listing(archive, path, split):
            content = _member(archive, path, name)
            yield file, encode.as_colour(content, (64, 64), f"{path}: {name}"), label


def _listing(
    archive: zipfile.ZipFile, path: pathlib.Path, split: str
) -> Iterator[tuple[str, str, str]]:
    if split == "train":
        for name in archive.namelist():
            if match := _TRAIN.fullmatch(name):
                yield name, match.group(2), match.group(1)
        return
    rows = _text(archive, path, "val/val_annotations.txt").splitlines()
    labels = dict(row.split("\t")[:2] for row in rows if "\t" in row)
    for name in archive.namelist():
        if match := _VALIDATION.fullmatch(name):
            file = match.group(1)
            if file not in labels:
                raise DataError(
                    f"{path}: val_annotations.txt says nothing about {file}."
                )
            yield name, file, labels[file]


def _open(path: pathlib.Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{path}: not a complete zip file ({error}); fetch it anew."
        ) from error


def _text(archive: zipfile.ZipFile, path: pathlib.Path, name: str) -> str:
    return _member(archive, path, f"{_ROOT}/{name}").decode()


def _member(archive: zipfile.ZipFile, path: pathlib.Path, name: str) -> bytes:
    try:
        return archive.read(name)
    except KeyError as error:
        raise DataError(
            f"{path}: lacks {name}. Is it the file that its name says?"
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"{path}: {name} is damaged ({error}); fetch it anew."
        ) from error
