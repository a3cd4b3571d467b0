"""A data set as one NumPy file: for machines without TFDS.

Its arrays, for each split, such as train and test:

    SPLIT_image   uint8 [n, height, width, channels]
    SPLIT_label   whole numbers [n], from 0
    class_names   text [classes], for all splits; may be left out

Without names the classes are 0 to the largest label of any split. Nothing in the file
is unpickled. `python -m kdjax prepare NAME --npz=FILE` writes such files.
"""

import math
import os
import pathlib
import re
import tokenize
import zipfile
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import numpy as np

from kdjax.data.split import DataError, Split, check_labels, in_memory
from kdjax.paths import nearest
from kdjax.paths.files import is_refused, text_of, written

SUFFIX, NAMES = ".npz", "class_names"
IMAGE, LABEL = "_image", "_label"
_MOST_CLASSES = 1_000_000  # that are counted by their largest label
_DEFLATE = 1032  # bytes that one compressed byte can stand for, at most
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_SLICE = re.compile(r"(\w+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?")


def is_npz(name: str) -> bool:
    """Whether the name of a set is that of such a file."""
    return name.endswith(SUFFIX)


def load_npz(path: pathlib.Path, split: str) -> Split:
    """Loads a split, or a slice of one as TFDS cuts it, into memory.

    The file's name becomes part of the identity, its directory does not. Raises
    DataError: no such file, split or slice, or arrays of another form.
    """
    match = _SLICE.fullmatch(split)
    if match is None:
        raise DataError(
            f"{path}: split {split!r} cannot be opened; expected the name of a split, "
            "such as train, or a slice such as train[:45000] or train[90%:]."
        )
    name, *borders = match.groups()
    try:
        with path.open("rb") as opened, Arrays(opened) as file:
            classes = _class_names(path, file)
            image, label = _arrays(path, file, name, len(classes))
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: there is no such file. `python -m kdjax prepare NAME --npz=FILE` "
            f"writes one where TFDS is installed.{nearest(path)}"
        ) from error
    except Exception as error:  # NumPy and zipfile raise six kinds for other files
        if is_refused(error) and not isinstance(error, MemoryError):
            raise
        raise DataError(
            f"{path}: cannot be read as a file of arrays ({text_of(error)}). Fetch or "
            "write it anew."
        ) from error
    part = slice(*(_position(path, border, len(label)) for border in borders))
    image, label = image[part], label[part]
    if not len(label):
        raise DataError(f"{path}: split {split!r} is empty; choose a wider slice.")
    return in_memory(image, label, classes, name=path.name, split=split)


class Arrays(Mapping):
    """The arrays of an open .npz file by name, each read when it is looked at.

    Nothing is unpickled, and no array is larger than its part of the file: a file of
    a few bytes may say that it holds a terabyte. Raises ValueError, KeyError, or what
    zipfile does.
    """

    def __init__(self, file):
        self._zip = zipfile.ZipFile(file)
        parts = self._zip.infolist()
        self._parts = {part.filename.removesuffix(".npy"): part for part in parts}
        for part in parts:  # its name here is also that in front of its content
            self._zip.open(part).close()

    def __enter__(self) -> "Arrays":
        return self

    def __exit__(self, *_) -> None:
        self._zip.close()

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __contains__(self, name: object) -> bool:
        return name in self._parts  # reads nothing

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, name: str) -> np.ndarray:
        part = self._parts[name]
        self._check_size(name, part)
        with self._zip.open(part) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
            file.read()  # to the end, where its checksum is compared
        return array

    def _check_size(self, name: str, part: zipfile.ZipInfo) -> None:
        with self._zip.open(part) as file:
            size, form = _size_and_form(name, file)
        if size != part.file_size:
            text = f"{form}, in {part.file_size:,} bytes"
            raise ValueError(f"{name} is {text}; expected {size:,}")
        if size > _DEFLATE * part.compress_size + 1024:
            raise ValueError(f"{name} is {size:,} bytes, more than its part can hold")
        _check_memory(name, size)


def read_npy(file: BinaryIO) -> np.ndarray:
    """The array of an open .npy file, which may go on after it.

    As in `Arrays` nothing is unpickled, and no array is larger than the file that says
    it is. Raises ValueError.
    """
    file.seek(0, os.SEEK_END)
    length = file.tell()
    file.seek(0)
    size, form = _size_and_form("it", file)
    if size > length:
        raise ValueError(f"it is {form}, in {length:,} bytes; expected {size:,}")
    _check_memory("it", size)
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _size_and_form(name: str, file: BinaryIO) -> tuple[int, str]:
    """Bytes of a .npy file by its header, and its dtype and shape in words."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"{name} is of version {version} of the format")
    try:
        header = _HEADERS[version](file)
    except (MemoryError, RecursionError, tokenize.TokenError):
        header = None  # of thousands of signs, or a bracket that does not close
    if header is None:  # not above: of a MemoryError `is_refused` would say yes
        raise ValueError(f"{name} has no header of the format")
    shape, _, dtype = header
    if dtype.hasobject:
        raise ValueError(f"{name} holds objects of Python, which are never read")
    form = f"{dtype} of shape {shape}"
    if min(shape, default=0) < 0:
        raise ValueError(f"{name} is {form}; expected no length below 0")
    return file.tell() + math.prod(shape) * dtype.itemsize, form


def _check_memory(name: str, size: int) -> None:
    if size > _memory():
        raise ValueError(f"{name} is {size:,} bytes; memory here is {_memory():,}")


def _memory() -> float:
    """Bytes of this machine; infinity where the system does not say, as Windows."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return math.inf


def check_name(path: pathlib.Path) -> None:
    """Raises DataError if a file of that name would not be read as one of arrays."""
    if not is_npz(path.name):
        raise DataError(f"{path}: expected a file called NAME{SUFFIX}.")


def save_npz(path: pathlib.Path, splits: dict[str, Split]) -> None:
    """Writes splits of one set, each under its name; whole or not at all.

    If two processes write the same file at the same time, the last one's stays.
    """
    check_name(path)
    names = {split.class_names for split in splits.values()}
    if len(names) != 1:
        raise DataError(
            f"{path}: {len(names)} lists of classes; expected the same in all splits."
        )
    arrays = {NAMES: np.array(names.pop())}
    for name, split in splits.items():
        arrays |= {name + IMAGE: split.image, name + LABEL: split.label}
    with written(path) as part:
        np.savez_compressed(part, **arrays)


def _class_names(path: pathlib.Path, file) -> tuple[str, ...]:
    """The names of the classes, or their numbers."""
    if NAMES in file:
        names = file[NAMES]
        if names.ndim != 1 or names.dtype.kind != "U" or not names.size:
            raise _another_form(path, NAMES, names, "text of shape [classes]")
        return tuple(map(str, names))
    keys = [key for key in file if key.endswith(LABEL)]
    largest = 0
    for key in keys:
        label = _labels(path, key, file[key])
        check_labels(f"{path}: {key}", label, _MOST_CLASSES, "Write the file anew.")
        largest = max(largest, int(label.max(initial=0)))
    return tuple(map(str, range(largest + 1)))


def _arrays(path: pathlib.Path, file, name: str, classes: int):
    """Images and labels of a split, checked."""
    if name + IMAGE not in file or name + LABEL not in file:
        raise DataError(
            f"{path}: no {name}{IMAGE} and {name}{LABEL} in it; it has "
            f"{', '.join(file) or 'no arrays'}."
        )
    image, label = file[name + IMAGE], _labels(path, name + LABEL, file[name + LABEL])
    if image.ndim != 4 or image.dtype != np.uint8 or not image[:1].size:
        expected = "uint8 of shape [n, height, width, channels], n at least 1"
        raise _another_form(path, name + IMAGE, image, expected)
    if label.shape != image.shape[:1]:
        expected = f"[{len(image)}], a label for each image"
        raise _another_form(path, name + LABEL, label, expected)
    check_labels(f"{path}: {name}{LABEL}", label, classes, "Write the file anew.")
    return image, label.astype(np.int32)


def _labels(path: pathlib.Path, key: str, label: np.ndarray) -> np.ndarray:
    if label.ndim != 1 or label.dtype.kind not in "iu":
        raise _another_form(path, key, label, "whole numbers of shape [n]")
    return label


def _another_form(path, key: str, array: np.ndarray, expected: str) -> DataError:
    form = f"{array.dtype} of shape {array.shape}"
    return DataError(f"{path}: {key} is {form}; expected {expected}.")


def _position(path: pathlib.Path, border: str | None, count: int) -> int | None:
    """A slice's border as a position; a percentage goes to the nearest sample."""
    if border is None:
        return None
    number, is_percent = int(border.removesuffix("%")), border.endswith("%")
    if abs(number) > (100 if is_percent else count):
        raise DataError(f"{path}: {border} is outside the {count} samples.")
    return round(number * count / 100) if is_percent else number
