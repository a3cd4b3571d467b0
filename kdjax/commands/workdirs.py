"""A run's directory: one writer, one config, a summary when it is done."""

import contextlib
import fcntl
import json
import pathlib
from collections.abc import Mapping

from kdjax.build.networks import CHECKPOINTS
from kdjax.contracts import InputError
from kdjax.reporting.files import replace
from kdjax.reporting.results import SUMMARY

CONFIG = "config.json"
SELECTION = "selection.json"
IMPORTED = "imported.json"
# What may change between two starts of one run: where things lie, what is shown, and
# how it is computed where that is a matter of rounding, as on another device.
# What lies there may not; `identities` looks. The images of a finished run are not read
# again to see whether they are the same in another data_dir.
FREE = (
    "data.data_dir",
    "data.keep",
    "teacher.workdir",
    "teacher.cache",
    "initial.workdir",
    "select.proxies",
    "select.reference",
    "select.as_many_as",
    "log_every_steps",
    "tensorboard",
    "stacked",  # earlier versions had none
    "evaluation.batch_size",
    "evaluation.keep_all",
)


@contextlib.contextmanager
def locked(workdir: pathlib.Path):
    """Creates the directory and holds it against a second writer."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = (workdir / ".lock").open("w")
    except OSError as error:
        raise InputError(f"--workdir: cannot write to {workdir}: {error}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"--workdir: another run is writing to {workdir}; wait for it or "
                "choose another directory."
            ) from None
        yield


def check_config(workdir: pathlib.Path, config: dict) -> None:
    """Compares with the config of what was trained here, if anything was.

    Raises:
      InputError: the directory holds a run of another config.
    """
    path = workdir / CONFIG
    steps = [p for p in (workdir / CHECKPOINTS).glob("*") if p.name.isdigit()]
    if path.exists() and (steps or is_done(workdir)):
        check_same(workdir, config)


def check_same(workdir: pathlib.Path, config: dict) -> None:
    """Compares with the config that is written here.

    Raises:
      InputError: something differs that makes it another run.
    """
    old = _flat(json.loads((workdir / CONFIG).read_text()))
    new = _flat(config)
    changed = [
        f"config.{key} was {old.get(key)!r} and is now {new.get(key)!r}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and not _is_free(key)
    ]
    if changed:
        raise InputError(
            f"--workdir: {workdir} holds a run of another config: "
            + "; ".join(changed[:5])
            + ". Use a new --workdir, or the old values."
        )


def _is_free(key: str) -> bool:
    # A selection's files move with the runs they lie beside.
    return key in FREE or key.endswith(("selection.path", "selection.reference"))


def write_config(workdir: pathlib.Path, config: dict) -> None:
    replace(workdir / CONFIG, json.dumps(config, indent=2) + "\n")


def is_done(workdir: pathlib.Path) -> bool:
    return any((workdir / name).exists() for name in (SUMMARY, SELECTION, IMPORTED))


def finish(workdir: pathlib.Path, summary: dict) -> None:
    replace(workdir / SUMMARY, json.dumps(summary, indent=2) + "\n")


def _flat(value, path: str = "") -> dict:
    if not isinstance(value, Mapping) or not value:
        return {path: value}
    rows = {}
    for key, inner in value.items():
        rows |= _flat(inner, f"{path}.{key}" if path else str(key))
    return rows
