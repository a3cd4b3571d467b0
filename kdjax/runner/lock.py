"""Who writes to a directory on a disk: one process, by a lock of its file system."""

import contextlib
import errno
import fcntl
import os
import pathlib

from kdjax.contracts import InputError
from kdjax.paths.files import missing, remove_empty
from kdjax.runner.workdir import CONFIG, GIVEN, LOCK


def hold(workdir: pathlib.Path, stack: contextlib.ExitStack) -> None:
    """Makes the directory and locks it until the stack ends, or raises InputError.

    Where it ends by an InputError, before a run has begun, what is new is deleted.
    """
    directories, new = missing(workdir), [workdir / LOCK, workdir / CONFIG]
    new = [path for path in new if not path.exists()]
    file = _open(workdir)
    stack.callback(os.close, file)
    _lock(workdir, file)
    if not _is_there(workdir, file):  # whoever held it was refused, and deleted it
        hold(workdir, stack)
        return

    def clean(kind, error, trace) -> None:
        if isinstance(error, InputError) and not _is_begun(workdir):
            for path in new:
                path.unlink(missing_ok=True)
            remove_empty(directories)

    stack.push(clean)  # before the file is closed, so that nobody else holds it


def _open(workdir: pathlib.Path) -> int:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        # A link in a workdir that somebody sends would empty, or make, another file.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(workdir / LOCK, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP and (workdir / LOCK).is_symlink():
            raise InputError(
                f"--workdir: {workdir / LOCK} is a symbolic link; expected a directory "
                "of your own, in which kdjax makes that file. Delete the link."
            ) from error
        raise InputError(f"--workdir: cannot write to {workdir}: {error}.") from error


def _lock(workdir: pathlib.Path, file: int) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"--workdir: another run is writing to {workdir}; wait for it or choose "
            "another directory."
        ) from None
    except OSError as error:
        raise InputError(
            f"--workdir: {workdir} cannot be locked against a second writer: {error}; "
            "expected a file system with locks. Mount Lustre with -o flock, NFS 3 with "
            "its lock service, or choose another directory."
        ) from error


def _is_there(workdir: pathlib.Path, file: int) -> bool:
    """Whether the open file is still the one of that name."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file), os.stat(workdir / LOCK))
    return False


def _is_begun(workdir: pathlib.Path) -> bool:
    """Whether checkpoints or stages are there; a call's own data is no part of them."""
    with os.scandir(workdir) as entries:
        return any(entry.is_dir() and entry.name != GIVEN for entry in entries)
