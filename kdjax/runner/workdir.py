"""A run's directory: one writer, one config, a summary when it is done."""

import contextlib
import fcntl
import json
import pathlib
import secrets
import socket
import time
from typing import NoReturn

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
        collectives.broadcast(lambda: hold(workdir, stack))
        if collectives.processes() > 1:
            _check_shared(workdir)
        yield


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


def check_config(workdir: pathlib.Path, config: dict, allow=()) -> dict[str, list]:
    """The changed keys, each [was, is now], that a run here goes on with.

    Those of `allow`, and a length that may be raised; InputError for any other, where
    something was trained or selected already.
    """
    if not (workdir / CONFIG).exists() or not (has_steps(workdir) or is_done(workdir)):
        return {}
    changed = changes_of(workdir, config)
    if not changed:
        return {}
    from kdjax.runner import changes

    return changes.accepted(workdir, config, changed, allow)


def check_same_config(workdir: pathlib.Path, config: dict) -> None:
    """Raises InputError where the config that is written here is of another run."""
    if changed := changes_of(workdir, config):
        refuse(workdir, changed)


def changes_of(workdir: pathlib.Path, config: dict) -> dict[str, list]:
    """Keys, dotted, that differ from the config that is written here: [was, is now]."""
    old = flat(schema.with_defaults(json.loads((workdir / CONFIG).read_text())))
    new = flat(schema.with_defaults(config))
    return {
        key: [old.get(key), new.get(key)]
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and not schema.is_free(key)
    }


def refuse(workdir: pathlib.Path, changed: dict[str, list]) -> NoReturn:
    words = [f"config.{k} was {a!r} and is now {b!r}" for k, (a, b) in changed.items()]
    raise InputError(
        f"--workdir: {workdir} holds a run of another config: "
        f"{'; '.join(words[:5])}. Use a new --workdir, or the old values, or let "
        f"`train` go on with these: --allow={','.join(changed)}."
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
