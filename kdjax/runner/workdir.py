"""A run's directory: one writer, one config, a summary when it is done."""

import contextlib
import os
import pathlib
import secrets
import socket
import time
from collections.abc import Callable
from typing import NoReturn

from kdjax.checkpoints import aside, read_identity, read_meta
from kdjax.contracts import InputError, flat
from kdjax.distributed import collectives
from kdjax.experiment import schema
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.paths import is_url, resolve
from kdjax.paths.json_files import DamagedError, check_form, read_json
from kdjax.reporting.files import replace, replace_json, replace_record
from kdjax.reporting.results import SUMMARY, read_summary

LOCK, SHARED = ".lock", ".hosts"  # of the processes that are at work here
SHARED_WITHIN = 60.0  # seconds; network file systems remember what was not there
CONFIG = "config.json"
GIVEN = "data"  # of a run from Python: what was prepared of the folder it was given
SELECTION = "selection.json"
IMPORTED = "imported.json"
CONFIG_FORM = {
    **{f"{one.name}?": dict for one in schema.SECTIONS},
    "data?": {"name?": str, "data_dir?": str, "keep?": str},
    "students?": {str: dict},
    "stages?": {str: dict},
    "order?": [str],
}


@contextlib.contextmanager
def locked(workdir: pathlib.Path):
    """Creates the directory and holds it against a second writer.

    A lock of the file system, or in a bucket a lease that expires. Of several processes
    the first holds it, and all must share it. A start that is refused, by InputError,
    leaves nothing on a disk that was not there.
    """
    with contextlib.ExitStack() as stack:
        if collectives.broadcast(lambda: _is_archived(workdir)) is not True:
            collectives.broadcast(lambda: hold(workdir, stack))
            if collectives.processes() > 1:
                _check_shared(workdir)
        yield


def hold(workdir: pathlib.Path, stack: contextlib.ExitStack) -> None:
    """Holds the directory, in this process alone, until the stack ends."""
    if is_url(workdir):
        from kdjax.runner import lease as how
    else:
        from kdjax.runner import lock as how
    how.hold(workdir, stack)


def _is_archived(workdir: pathlib.Path) -> bool:
    """Whether a run is finished where nobody can write: it needs no lock."""
    is_local = not is_url(workdir)
    return is_local and is_finished(workdir) and not os.access(workdir, os.W_OK)


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
    if not is_begun(workdir):
        return {}
    changed = changes_of(workdir, config)
    if not changed:
        return {}
    from kdjax.runner import changes

    return changes.accepted(workdir, config, changed, allow)


def read_config(workdir: pathlib.Path) -> dict | None:
    """The config of a run, as it is written here or, if that is damaged, in its steps.

    None where neither is there, as in the first versions; DamagedError where one is,
    and cannot be used.
    """
    path, damage = workdir / CONFIG, None
    try:
        advice = "The same `python -m kdjax train` in a new --workdir writes another."
        return read_json(path, "the config of a run", CONFIG_FORM, advice)
    except FileNotFoundError:
        why = f"{path} is missing."
    except DamagedError as error:
        why, damage = str(error), error
    config = (read_identity(workdir / CHECKPOINTS) or {}).get("config")
    if config is not None:
        _check_form(workdir, config)
        collectives.log(f"{why} The config in the checkpoints is used.")
        return config
    if damage:
        raise damage
    return None


def _check_form(workdir: pathlib.Path, config: object) -> None:
    try:
        check_form(config, CONFIG_FORM, "config")
    except ValueError as error:
        where = f"{workdir / CHECKPOINTS}: the config in its meta is damaged"
        advice = f"Expected the {CONFIG} of the run in {workdir}, from a copy."
        raise DamagedError(f"{where}: {error}. {advice}") from error


def check_same_config(workdir: pathlib.Path, config: dict) -> None:
    """Raises InputError where the config that is written here is of another run."""
    if changed := changes_of(workdir, config):
        refuse(workdir, changed)


def changes_of(workdir: pathlib.Path, config: dict) -> dict[str, list]:
    """Keys, dotted, that differ from the config that is written here: [was, is now]."""
    written = read_config(workdir)
    if written is None:
        return {}
    old = flat(schema.with_defaults(written))
    new = flat(schema.with_defaults(config))
    return {
        key: [old.get(key), new.get(key)]
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
        and not schema.is_free(key)
        and not _is_same_student(key, old, new)
    }


def _is_same_student(key: str, old: dict, new: dict) -> bool:
    """Whether one names the only student of a run, and the other leaves it unnamed.

    From Python a teacher in memory has its name, and the directory of its run none.
    """
    section, _, last = key.rpartition(".")
    path = new.get(f"{section}.workdir")
    if last != "student" or not path:
        return False
    names = {old.get(key), new.get(key)} - {"", None}
    with contextlib.suppress(Exception):  # of a run that is gone, or several
        meta, _ = read_meta(resolve(path, key) / CHECKPOINTS)
        return names == set(meta["students"])
    return False


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


def write_record(path: pathlib.Path, record: dict) -> None:
    """`write_json`, with a checksum."""
    if collectives.is_primary():
        replace_record(path, record)


def has_steps(workdir: pathlib.Path) -> bool:
    return bool(aside.step_names(workdir / CHECKPOINTS))


def is_begun(workdir: pathlib.Path) -> bool:
    """Whether something was trained or selected here: its config counts."""
    return has_steps(workdir) or is_done(workdir)


def is_done(workdir: pathlib.Path) -> bool:
    """Whether a run's last file is there, and can be read: a cut one says nothing."""
    return any(_is_whole(workdir / name, read) for name, read in LAST.items())


def damaged_end(workdir: pathlib.Path) -> str:
    """What is wrong with a last file that is there; "" for nothing."""
    for name, read in LAST.items():
        try:
            read(workdir / name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except DamagedError as error:
            return str(error)
    return ""


def _is_whole(path: pathlib.Path, read: Callable[[pathlib.Path], dict]) -> bool:
    try:
        return bool(read(path))
    except (FileNotFoundError, NotADirectoryError, DamagedError):
        return False


def _read_last(path: pathlib.Path) -> dict:
    advice = "The same command writes it anew."
    return read_json(path, "what was selected or imported", dict, advice)


# What is written last, and how it is read.
LAST = {SUMMARY: read_summary, SELECTION: _read_last, IMPORTED: _read_last}


def is_finished(workdir: pathlib.Path) -> bool:
    """Whether a run is done, or all of its stages are."""
    if is_done(workdir) or not (workdir / CONFIG).exists():
        return is_done(workdir)
    try:
        order = (read_config(workdir) or {}).get("order", ())
    except (OSError, ValueError):
        return False  # whoever reads it says so
    return bool(order) and all(is_finished(workdir / name) for name in order)
