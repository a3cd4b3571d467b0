"""Lists images in folders: DIR/train/CLASS/*.JPEG and DIR/val/CLASS/*.JPEG."""

import os
import pathlib
from typing import NamedTuple

from kdjax.data.images.decode import Unreadable
from kdjax.data.split import DataError

# What splits are called on disk -> in TFDS.
SPLITS = {"train": "train", "val": "validation", "valid": "validation"}
SPLITS |= {"validation": "validation", "test": "test"}
SUFFIXES = (".jpeg", ".jpg", ".png")
_EXPECTED = (
    "Expected DIR/train/CLASS/*.JPEG and, where there is one, DIR/val/CLASS/*.JPEG "
    f"(or valid, validation, test; images end in {', '.join(SUFFIXES)})."
)


class File(NamedTuple):
    """An image, not read yet."""

    class_name: str
    name: str
    size: int  # bytes


class Folder(NamedTuple):
    """What a directory holds."""

    root: pathlib.Path
    class_names: list[str]  # sorted: the label is the position
    splits: dict[str, list[File]]
    folders: dict[str, str]  # split -> its directory's name
    ignored: int  # files that are no images by their names

    def path(self, split: str, file: File) -> pathlib.Path:
        return self.root / self.folders[split] / file.class_name / file.name

    def read(self, split: str, file: File) -> bytes:
        """An image's content; raises Unreadable if it is a broken link or no file."""
        path = self.path(split, file)
        if not path.is_file():
            raise Unreadable("a link to nothing, or no file")
        return path.read_bytes()


def scan(root: pathlib.Path) -> Folder:
    """Lists a folder of images; reads none of them."""
    if not root.is_dir():
        raise DataError(f"{root} is not a directory. {_EXPECTED}")
    try:
        return _scan(root)
    except OSError as error:
        advice = "Look at its disk and permissions."
        raise DataError(f"{root}: cannot be listed ({error}). {advice}") from error


def _scan(root: pathlib.Path) -> Folder:
    folders = {}
    for entry in _directories(root):
        split = SPLITS.get(entry)
        if split in folders:
            raise DataError(f"{root} has both {folders[split]} and {entry}; keep one.")
        if split:
            folders[split] = entry
    if "train" not in folders:
        raise _lacks(root, "folder train")
    splits, ignored = {}, 0
    for split in dict.fromkeys(SPLITS.values()):  # train first
        if split in folders:
            splits[split], others = _split(root / folders[split])
            ignored += others
    _check_names(root, folders, splits)
    class_names = sorted({file.class_name for file in splits["train"]})
    for split, files in splits.items():
        names = sorted({file.class_name for file in files})
        if unknown := [name for name in names if name not in class_names]:
            where, names = root / folders[split], _some(unknown)
            raise DataError(f"{where} has classes that train has not: {names}.")
    return Folder(root, class_names, splits, folders, ignored)


def _check_names(root: pathlib.Path, folders: dict, splits: dict) -> None:
    """Refuses what the set's files cannot hold: names of classes stand one a line."""
    wrong = []
    for split, files in splits.items():
        names = dict.fromkeys(file.class_name for file in files)
        wrong += [(folders[split], name) for name in names if not _is_line(name)]
        wrong += [
            (folders[split], file.class_name, file.name)
            for file in files
            if not _is_utf8(file.name)
        ]
    if wrong:
        shown = _some([_escaped("/".join(names)) for names in wrong])
        raise DataError(
            f"{_escaped(str(root))[1:-1]}: {len(wrong):,} names cannot be kept: "
            f"{shown}. Expected names in UTF-8, those of classes without blanks at an "
            "end and without line breaks; rename them."
        )


def _is_line(name: str) -> bool:
    """Whether TFDS and lists of classes read it back from a line of its own."""
    lines = name.strip().splitlines()
    return lines == [name] and name[0] != "\ufeff" and _is_utf8(name)


def _is_utf8(name: str) -> bool:
    """Whether the bytes on disk were; Python stands surrogates for others."""
    return name.encode(errors="replace").decode() == name


def _escaped(name: str) -> str:
    """In quotation marks, with everything escaped that does not print."""
    return repr(name) if _is_utf8(name) else repr(os.fsencode(name))[1:]


def _split(directory: pathlib.Path) -> tuple[list[File], int]:
    """The images of a split, and how many files are none."""
    classes = _directories(directory)
    if not classes:
        raise _lacks(directory, "folders")
    files, ignored = [], 0
    for name in classes:
        before = len(files)
        with os.scandir(directory / name) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    raise DataError(f"{entry.path} is a folder in a class. {_EXPECTED}")
                if entry.name.lower().endswith(SUFFIXES):
                    # What is no file, as a broken link, is reported by `read`.
                    size = entry.stat().st_size if entry.is_file() else 0
                    files.append(File(name, entry.name, size))
                else:
                    ignored += 1
        if len(files) == before:
            raise _lacks(directory / name, "images")
    return sorted(files), ignored


def _directories(directory: pathlib.Path) -> list[str]:
    with os.scandir(directory) as entries:
        return sorted(e.name for e in entries if e.is_dir() and e.name[0] != ".")


def _lacks(directory: pathlib.Path, what: str) -> DataError:
    """The error of a directory, with its entries in a few words."""
    with os.scandir(directory) as entries:
        names = sorted(e.name + "/" * e.is_dir() for e in entries)
    content = f"it has {_some(names)}" if names else "it is empty"
    return DataError(f"{directory} has no {what}; {content}. {_EXPECTED}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
