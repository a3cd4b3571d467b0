"""A run's directory: one writer, one config, a summary when it is done."""

import contextlib
import fcntl
import json
import os
import pathlib
import secrets
import socket
import time

from kdjax.contracts import InputError, flat
from kdjax.distributed import collectives
from kdjax.experiment import schema
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.paths import is_url
from kdjax.reporting.files import replace, replace_json
from kdjax.reporting.results import SUMMARY

LOCK, SHARED = ".lock", ".hosts"  # of the processes that are at work here
SHARED_WITHIN = 60.0  # seconds; network file systems remember what was not there
CONFIG = "config.json"
SELECTION = "selection.json"
IMPORTED = "imported.json"


@contextlib.contextmanager
def locked(workdir: pathlib.Path):
    """Creates the directory and holds it against a second writer.

    A lock of the file system, or in a bucket a lease that expires. Of several processes
    the first holds it, and all must share it.
    """
    hold = _lock
    if is_url(workdir):
        from kdjax.runner.lease import hold
    with contextlib.ExitStack() as stack:
        if collectives.broadcast(lambda: _is_archived(workdir)) is not True:
            collectives.broadcast(lambda: hold(workdir, stack))
            if collectives.processes() > 1:
                _check_shared(workdir)
        yield


def _is_archived(workdir: pathlib.Path) -> bool:
    """Whether a run is finished where nobody can write: it needs no lock."""
    is_local = not is_url(workdir)
    return is_local and is_finished(workdir) and not os.access(workdir, os.W_OK)


def _lock(workdir: pathlib.Path, stack: contextlib.ExitStack) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = stack.enter_context((workdir / LOCK).open("w"))
    except OSError as error:
        raise InputError(f"--workdir: cannot write to {workdir}: {error}.") from error
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


def _check_shared(workdir: pathlib.Path) -> None:
    """Refuses a directory that only some of the hosts have."""
    path, token = workdir / SHARED, collectives.broadcast(lambda: secrets.token_hex(8))
    if collectives.is_primary():
        replace(path, token)
    deadline = time.monotonic() + SHARED_WITHIN
    while _text_of(path) != token:
        if time.monotonic() > deadline:
            raise InputError(
                f"--workdir: {workdir} on {socket.gethostname()} is not the directory "
                "that process 0 writes to; expected one that all hosts share, as on a "
                "network file system."
            )
        time.sleep(0.1)
    collectives.barrier()
    if collectives.is_primary():
        path.unlink()


def _text_of(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def check_config(workdir: pathlib.Path, config: dict) -> None:
    """`check_same_config`, where something was trained or selected already."""
    if (workdir / CONFIG).exists() and (has_steps(workdir) or is_done(workdir)):
        check_same_config(workdir, config)


def check_same_config(workdir: pathlib.Path, config: dict) -> None:
    """Raises InputError where the config that is written here is of another run."""
    old = flat(schema.with_defaults(json.loads((workdir / CONFIG).read_text())))
    new = flat(schema.with_defaults(config))
    changed = [
        f"config.{key} was {old.get(key)!r} and is now {new.get(key)!r}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and not schema.is_free(key)
    ]
    if changed:
        raise InputError(
            f"--workdir: {workdir} holds a run of another config: "
            f"{'; '.join(changed[:5])}. Use a new --workdir, or the old values."
        )


def write_config(workdir: pathlib.Path, config: dict) -> None:
    write_json(workdir / CONFIG, config)


def write_json(path: pathlib.Path, record: dict) -> None:
    """Writes, in the first process."""
    if collectives.is_primary():
        replace_json(path, record)


def has_steps(workdir: pathlib.Path) -> bool:
    return any(path.name.isdigit() for path in (workdir / CHECKPOINTS).glob("*"))


def is_done(workdir: pathlib.Path) -> bool:
    return any((workdir / name).exists() for name in (SUMMARY, SELECTION, IMPORTED))


def is_finished(workdir: pathlib.Path) -> bool:
    """Whether a run is done, or all of its stages are."""
    if is_done(workdir) or not (workdir / CONFIG).exists():
        return is_done(workdir)
    try:
        order = json.loads((workdir / CONFIG).read_text()).get("order", ())
    except (OSError, ValueError, AttributeError):
        return False  # whoever reads it says so
    return bool(order) and all(is_finished(workdir / name) for name in order)
