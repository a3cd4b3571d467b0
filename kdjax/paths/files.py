"""Reads and writes files on disks and in buckets alike: whole, or not at all.

A bucket has objects and no directories. An object appears when all of it was sent; it
cannot be appended to, mapped into memory or renamed.
"""

import contextlib
import errno
import os
import pathlib
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator

from kdjax.contracts import BUCKET_CLIENTS
from kdjax.paths import is_url

# Answers that say what is on the disk; any other is of a disk that gives nothing now.
_ABSENT = (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR)
# Of TensorStore, whose errors are ValueErrors.
_REFUSED = re.compile(
    r"PERMISSION_DENIED|UNAVAILABLE|UNAUTHENTICATED|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED"
)
_OS_ERROR = re.compile(r"\[OS error (\d+)")


@contextlib.contextmanager
def written(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a local file to write, which takes the place of `path` afterwards.

    It has the suffix of `path`. After an error in the block it is deleted, and `path`
    is what it was. Makes the directory. When this returns, a loss of power loses
    nothing of the file.
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
        part.touch()
        mode = part.stat().st_mode & 0o777  # as the umask has it
        yield part
        part.chmod(mode)  # some libraries write files that only their owner reads
        sync(part)
        os.replace(part, path)
        sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def sync(path: pathlib.Path) -> None:
    """Waits until the disk has what was written to a file, or the names in a directory.

    A file that is renamed before that may be empty after a loss of power.
    """
    if os.name == "nt":  # which opens no directory, and syncs no file opened to read
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some network file systems do not know the request
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def sync_tree(directory: pathlib.Path) -> None:
    """`sync` of a directory and all that is in it."""
    for folder, _, names in os.walk(directory):
        for name in names:
            sync(pathlib.Path(folder) / name)
        sync(pathlib.Path(folder))


def names(directory: pathlib.Path) -> list[str]:
    """What is in a directory, sorted; [] where there is none.

    OSError where it cannot be read now, of which `glob` says nothing: what is there
    would be taken for missing, and written anew.
    """
    if is_url(directory):
        return sorted({path.name for path in directory.glob("*")})
    try:
        return sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_refused(error: BaseException | None) -> bool:
    """Whether a disk or a bucket gave nothing just now; else what it gave is wrong.

    Permissions, a network disk that is away, too many open files: the content may be
    sound, and is no reason to write it anew.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno not in _ABSENT:
            return True
        if isinstance(error, PermissionError | ConnectionError | TimeoutError):
            return True
        of_bucket = type(error).__module__.partition(".")[0] in BUCKET_CLIENTS
        if isinstance(error, MemoryError) or of_bucket:
            return True
        text = str(error)
        if _REFUSED.search(text):
            return True
        if (number := _OS_ERROR.search(text)) and int(number[1]) not in _ABSENT:
            return True
        error = error.__cause__ or error.__context__
    return False


def refusal(directory: pathlib.Path) -> Exception | None:
    """What the disk answers where it does not give all files of a directory now.

    Libraries leave out on the way what they could not read; so each is read once more.
    """

    def give(error: Exception) -> None:
        raise error

    try:
        if is_url(directory):
            bucket, name = filesystem(directory)
            for file in bucket.find(name):
                bucket.cat_file(file)
            return None
        for folder, _, inner in os.walk(directory, onerror=give):
            for name in inner:
                with open(os.path.join(folder, name), "rb") as file:
                    while file.read(1 << 24):
                        pass
    except Exception as error:  # clients of buckets raise their own
        return error if is_refused(error) else None
    return None


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


def missing(directory: pathlib.Path) -> list[pathlib.Path]:
    """It and those above it that are not there yet, the innermost first."""
    if is_url(directory):
        return []
    return [one for one in (directory, *directory.parents) if not one.exists()]


def remove_empty(directories: list[pathlib.Path]) -> None:
    """Deletes those of `missing`, as far as nothing is in them."""
    for directory in directories:
        with contextlib.suppress(OSError):
            directory.rmdir()


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


def text_of(error: BaseException) -> str:
    """An error of a library in few words, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def filesystem(path: pathlib.Path):
    """(fsspec's file system of a bucket, the path's name in it)."""
    import fsspec

    return fsspec.core.url_to_fs(str(path))
