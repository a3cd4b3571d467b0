"""Reads and writes files on disks and in buckets alike: whole, or not at all.

A bucket has objects and no directories. An object appears when all of it was sent; it
cannot be appended to, mapped into memory or renamed.
"""

import contextlib
import os
import pathlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator

from kdjax.paths import is_url


@contextlib.contextmanager
def written(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a local file to write, which takes the place of `path` afterwards.

    It has the suffix of `path`. After an error in the block it is deleted, and `path`
    is what it was. Makes the directory.
    """
    if is_url(path):
        with scratch() as directory:
            part = directory / path.name
            yield part
            bucket, name = filesystem(path)
            bucket.put_file(str(part), name)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of several processes that write the same file, the last one's stays.
    part = path.with_name(f".{secrets.token_hex(8)}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def local_copy(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives the file itself, or of a bucket a copy that is deleted afterwards.

    What was mapped into memory stays readable.
    """
    if not is_url(path):
        yield path
        return
    with scratch() as directory:
        copy = directory / path.name
        bucket, name = filesystem(path)
        bucket.get_file(name, str(copy))
        yield copy


@contextlib.contextmanager
def scratch() -> Iterator[pathlib.Path]:
    """A local directory below $TMPDIR that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="kdjax-") as directory:
        yield pathlib.Path(directory)


def upload(directory: pathlib.Path, target: pathlib.Path, last: str) -> None:
    """Sends all files of a local directory to a bucket.

    The one called `last` is sent when all others are there: where it is, all are.
    """
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    bucket, root = filesystem(target)
    names = [f"{root}/{path.relative_to(directory).as_posix()}" for path in files]
    pairs = [(str(path), name) for path, name in zip(files, names, strict=True)]
    final = [pair for pair in pairs if pair[1] == f"{root}/{last}"]
    first = [pair for pair in pairs if pair not in final]
    for group in (first, final):
        if group:
            bucket.put(*(list(side) for side in zip(*group, strict=True)))


def read_text(path: pathlib.Path) -> str:
    """A text file of the user's, with "\n" between lines, whatever system wrote it.

    UTF-8; the byte order mark that Windows puts before it is dropped. Raises OSError
    and UnicodeDecodeError.
    """
    text = path.read_bytes().decode("utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def make_directory(directory: pathlib.Path) -> None:
    """Makes it, with those above it; nothing in a bucket, which has none."""
    if not is_url(directory):
        directory.mkdir(parents=True, exist_ok=True)


def size(path: pathlib.Path) -> int:
    """Bytes of a file."""
    return path.stat().length if is_url(path) else path.stat().st_size


def modified(path: pathlib.Path) -> float:
    """When a file was written, in seconds; of a bucket whole ones."""
    return path.stat().mtime if is_url(path) else path.stat().st_mtime


def remove_tree(directory: pathlib.Path) -> None:
    """Deletes a directory with all that is in it, if it is there."""
    if is_url(directory):
        directory.rmtree(missing_ok=True)
    else:
        shutil.rmtree(directory, ignore_errors=True)


def filesystem(path: pathlib.Path):
    """(fsspec's file system of a bucket, the path's name in it)."""
    import fsspec

    return fsspec.core.url_to_fs(str(path))
