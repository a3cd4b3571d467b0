"""A directory in which a set is written before it gets its place.

Its writer holds a lock on a file in it. So what a killed writer has left can be
deleted, but not what another one is writing.
"""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator

from kdjax.data.tfds import file_limits
from kdjax.paths import is_url
from kdjax.paths.files import scratch

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_PREFIX, _LOCK = ".kdjax-", ".lock"


@contextlib.contextmanager
def staged(data_dir: pathlib.Path) -> Iterator[str]:
    """A directory beside the sets, or for a bucket in $TMPDIR; deleted afterwards."""
    if is_url(data_dir):
        with scratch() as directory:
            yield str(directory)
        return
    data_dir.mkdir(parents=True, exist_ok=True)
    staging, lock = _locked_directory(data_dir)
    try:
        yield staging
    except RuntimeError as error:  # array_record's, for instance when the disk is full
        if not file_limits.is_system_error(error):
            raise
        raise OSError(f"{data_dir}: the set cannot be written ({error})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        os.close(lock)


def clean(data_dir: pathlib.Path, log: Callable[[str], None]) -> None:
    """Deletes what writers that were killed have left in `data_dir`."""
    if is_url(data_dir):
        return
    for left in sorted(data_dir.glob(f"{_PREFIX}*")):
        with contextlib.suppress(OSError):  # in use, deleted by now, or not ours
            lock = _lock(left)
            try:
                size = sum(p.lstat().st_size for p in left.rglob("*") if p.is_file())
                shutil.rmtree(left)
            finally:
                os.close(lock)
            log(f"deleted {left}: {size / 1e9:.1f} GB of a set that was never finished")


def _locked_directory(data_dir: pathlib.Path) -> tuple[str, int]:
    """A new directory, and the descriptor that holds its lock."""
    while True:
        staging = tempfile.mkdtemp(prefix=_PREFIX, dir=data_dir)
        try:
            return staging, _lock(pathlib.Path(staging))
        except (BlockingIOError, FileNotFoundError):
            pass  # `clean` came between
        except OSError:  # no locks on this disk: then `clean` deletes nothing on it
            return staging, os.open(staging, os.O_RDONLY)


def _lock(directory: pathlib.Path) -> int:
    """Raises OSError if another process has it."""
    if fcntl is None:
        raise OSError("this system has no locks of this kind")
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.stat(directory / _LOCK)  # else it was deleted in between
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
