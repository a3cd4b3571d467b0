"""Lists images in folders: DIR/CLASS/*.jpg, or DIR/train/CLASS/*.jpg and DIR/val/..."""

import hashlib
import os
import pathlib
from collections import Counter
from typing import NamedTuple

from kdjax.data.images.decode import Unreadable
from kdjax.data.split import DataError
from kdjax.datasets import holdout
from kdjax.datasets.problems import Problems, printed
from kdjax.datasets.stored_image import is_image
from kdjax.paths import nearest

# What splits are called on disk, in any case -> in TFDS.
SPLITS = {"train": "train", "training": "train"}
SPLITS |= dict.fromkeys(("val", "valid", "validation"), "validation")
SPLITS |= dict.fromkeys(("test", "testing"), "test")
_EXPECTED = (
    "Expected DIR/CLASS/*.jpg, or DIR/train/CLASS/*.jpg and, where they are, "
    "DIR/val/CLASS/*.jpg and DIR/test/CLASS/*.jpg, a folder for each class."
)
LAYOUTS = ("auto", "classes", "splits")  # what the folders in a directory are
_NOT_LISTED = ("__MACOSX",)  # what an archive from a Mac holds beside its files


class File(NamedTuple):
    """An image, not read yet."""

    class_name: str
    name: str  # below the class's folder, with / between folders
    size: int  # bytes


class Folder(NamedTuple):
    """What a directory holds, and what is wrong with it."""

    root: pathlib.Path
    class_names: list[str]  # sorted: the label is the position
    splits: dict[str, list[File]]
    folders: dict[str, str]  # split -> its directory's name; "": of the classes
    problems: Problems

    def path(self, split: str, file: File) -> pathlib.Path:
        return self.root / self.folders[split] / file.class_name / file.name

    def read(self, split: str, file: File) -> bytes:
        """An image's content; raises Unreadable if it is a broken link or no file."""
        path = self.path(split, file)
        if not path.is_file():
            raise Unreadable("a link to nothing, or no file")
        return path.read_bytes()

    def digest(self) -> str:
        """SHA-256 of which files there are in which split, and of their sizes."""
        return hashlib.sha256(repr(sorted(self.splits.items())).encode()).hexdigest()

    def validation_share(self, wanted: float | None) -> float:
        """What is split off each class; None: a usual share if there is no train/."""
        if wanted is None:
            return 0.0 if self.folders["train"] else holdout.SHARE
        if "validation" in self.splits:
            raise DataError(
                f"--validation is {wanted:g}, and {self.root} has "
                f"{self.folders['validation']}/; expected one of both."
            )
        return wanted

    def with_validation(self, share: float, seed: int) -> "Folder":
        """The same with a validation split off train."""
        train, validation = holdout.split_off(self.splits["train"], share, seed)
        if not validation:
            return self
        splits = {"train": train, "validation": validation} | {
            split: files for split, files in self.splits.items() if split != "train"
        }
        folders = self.folders | {"validation": self.folders["train"]}
        return self._replace(splits=splits, folders=folders)


def scan(root: pathlib.Path, *, nested: bool = False, layout: str = "auto") -> Folder:
    """Lists a folder of images; reads none of them.

    With `nested`, images in folders of a class's folder are of the class. `layout`
    says what the folders in it are; "auto": what they hold. Raises DataError where
    nothing can be listed; what else is wrong is in `problems`.
    """
    if layout not in LAYOUTS:
        expected = " or ".join(LAYOUTS)
        raise DataError(f"--layout is {layout!r}; expected {expected}.")
    if not root.is_dir():
        raise DataError(f"{root} is not a directory. {_EXPECTED}{nearest(root)}")
    try:
        return _scan(root, nested, layout)
    except OSError as error:
        advice = "Look at its disk and permissions."
        raise DataError(f"{root}: cannot be listed ({error}). {advice}") from error


def _scan(root: pathlib.Path, nested: bool, layout: str) -> Folder:
    problems, folders, splits = Problems(), _layout(root, nested, layout), {}
    if folders["train"]:
        for name in sorted(set(_directories(root)) - set(folders.values())):
            problems.add("ignored", f"{name}/")
        _note_files(root, problems)
    for split, name in folders.items():
        splits[split] = _files(root, name, nested, problems)
    class_names = sorted({file.class_name for file in splits["train"]})
    for split, files in splits.items():
        names = {file.class_name for file in files}
        for name in sorted(names - set(class_names)):
            problems.add("unknown", f"{folders[split]}/{name}")
    if not folders["train"] and len(class_names) == 1:
        problems.add("alone", class_names[0])
    return Folder(root, class_names, splits, folders, problems)


def _layout(root: pathlib.Path, nested: bool, layout: str) -> dict[str, str]:
    """Split -> its directory's name, train first; "" where classes lie in the root."""
    names = _directories(root)
    if not names:
        raise _lacks(root, "folders of classes")
    if layout == "auto":
        layout = _recognise(root, names, nested)
    return {"train": ""} if layout == "classes" else _splits(root, names)


def _recognise(root: pathlib.Path, names: list[str], nested: bool) -> str:
    """Whether folders are classes or splits: a split holds folders of classes.

    Raises DataError where they may be either.
    """
    named = [name for name in names if name.lower() in SPLITS]
    others = [name for name in names if name not in named]
    if others and not any(_may_train(root, name) for name in named):
        return "classes"
    images = {name: _has_images(root / name) for name in names}
    folders = {name: bool(_directories(root / name)) for name in named}
    if all(images[name] and not folders[name] for name in named):
        return "classes"
    for name in named:
        if SPLITS[name.lower()] != "train":
            continue
        # Files that lie beside the classes of a split are no class of their own.
        stray = folders[name] and not any(images[other] for other in others)
        if (images[name] and not stray) or (nested and others):
            also = f" beside {', '.join(map(printed, others[:3]))}" if others else ""
            raise DataError(
                f"{printed(str(root))}: {name}{also} may be a split or a class, by "
                "what the folders hold. Expected --layout=classes, of DIR/CLASS/*.jpg, "
                "or --layout=splits, of DIR/train/CLASS/*.jpg."
            )
    return "splits"


def _may_train(root: pathlib.Path, name: str) -> bool:
    """Whether a folder may be the training split: "training" is a class's name too."""
    is_train = SPLITS[name.lower()] == "train"
    return is_train and (name.lower() == "train" or bool(_directories(root / name)))


def _splits(root: pathlib.Path, names: list[str]) -> dict[str, str]:
    folders: dict[str, str] = {}
    for name in names:
        split = SPLITS.get(name.lower())
        if split in folders:
            raise DataError(f"{root} has both {folders[split]} and {name}; keep one.")
        if split:
            folders[split] = name
    if "train" not in folders:
        raise _lacks(root, "folder train")
    return {split: folders[split] for split in SPLITS.values() if split in folders}


def _has_images(directory: pathlib.Path) -> bool:
    """Whether an image lies in a directory itself."""
    with os.scandir(directory) as entries:
        return any(is_image(entry.name, _head(entry)) for entry in entries)


def _files(
    root: pathlib.Path, split: str, nested: bool, problems: Problems
) -> list[File]:
    """The images of a split's directory."""
    classes = _directories(root / split)
    if not classes:
        raise _lacks(root / split, "folders of classes")
    _note_files(root / split, problems)
    files = []
    for name in classes:
        if not _is_line(name):
            problems.add("name", str(pathlib.PurePath(split, name)))
        files += _images(root / split, name, nested, problems)
    counts = Counter(file.class_name for file in files)
    for name in classes:
        directory = root / split / name
        if not counts[name] and (nested or not _directories(directory)):
            problems.add("empty", f"{directory} has no images; {_content(directory)}")
    return sorted(files)


def _images(
    above: pathlib.Path, name: str, nested: bool, problems: Problems
) -> list[File]:
    """The images of a class; what else lies there becomes a problem."""
    files, waiting, visited = [], [""], set()
    while waiting:
        inner = waiting.pop()
        directory = above / name / inner
        if (real := os.path.realpath(directory)) in visited:  # links in a circle
            continue
        visited.add(real)
        with os.scandir(directory) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = f"{inner}/{entry.name}".removeprefix("/")
                if entry.name.startswith(".") or entry.name in _NOT_LISTED:
                    continue
                if entry.is_dir():
                    if nested:
                        waiting.append(path)
                    else:
                        problems.add("nested", f"{entry.path} is a folder in a class")
                elif not is_image(entry.name, _head(entry)):
                    problems.add("ignored", entry.path)
                elif not _is_utf8(path):
                    problems.add("name", f"{above.name}/{name}/{path}")
                else:
                    # What is no file, as a broken link, is reported by `read`.
                    size = entry.stat().st_size if entry.is_file() else 0
                    files.append(File(name, path, size))
    return files


def _note_files(directory: pathlib.Path, problems: Problems) -> None:
    """Notes the files that lie beside folders, and so are of no class."""
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if not entry.is_dir() and not entry.name.startswith("."):
                problems.add("ignored", entry.path)


def _head(entry: os.DirEntry) -> bytes:
    """The first bytes of a file whose name does not say that it is an image."""
    if is_image(entry.name, b"") or not entry.is_file():
        return b""
    with open(entry.path, "rb") as file:
        return file.read(16)


def _is_line(name: str) -> bool:
    """Whether TFDS and lists of classes read it back from a line of its own."""
    lines = name.strip().splitlines()
    return lines == [name] and name[0] != "\ufeff" and _is_utf8(name)


def _is_utf8(name: str) -> bool:
    """Whether the bytes on disk were; Python stands surrogates for others."""
    return name.encode(errors="replace").decode() == name


def _directories(directory: pathlib.Path) -> list[str]:
    with os.scandir(directory) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.is_dir() and entry.name[0] != "." and entry.name not in _NOT_LISTED
        )


def _lacks(directory: pathlib.Path, what: str) -> DataError:
    """The error of a directory, with its entries in a few words."""
    return DataError(
        f"{printed(str(directory))} has no {what}; {_content(directory)}. {_EXPECTED}"
    )


def _content(directory: pathlib.Path) -> str:
    with os.scandir(directory) as entries:
        names = sorted(e.name + "/" * e.is_dir() for e in entries)
    if not names:
        return "it is empty"
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return f"it has {', '.join(map(printed, names[:5]))}{more}"
