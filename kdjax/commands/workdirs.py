"""A run's directory: one writer, one config, a summary when it is done."""

import contextlib
import fcntl
import json
import pathlib
from collections.abc import Mapping

from kdjax.contracts import InputError
from kdjax.reporting.results import SUMMARY

CONFIG = "config.json"
# What may change between two starts of one run: where things lie and what is shown.
FREE = ("data.data_dir", "log_every_steps", "tensorboard", "evaluation.batch_size")


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


def claim(workdir: pathlib.Path, config: dict) -> None:
    """Writes the resolved config, or compares with the one that is there.

    Raises:
      InputError: the directory holds a run of another config.
    """
    path = workdir / CONFIG
    if path.exists():
        old = _flat(json.loads(path.read_text()))
        new = _flat(config)
        changed = [
            f"config.{key} was {old.get(key)!r} and is now {new.get(key)!r}"
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key) and key not in FREE
        ]
        if changed:
            raise InputError(
                f"--workdir: {workdir} holds a run of another config: "
                + "; ".join(changed[:5])
                + ". Use a new --workdir, or the old values."
            )
    path.write_text(json.dumps(config, indent=2) + "\n")


def is_done(workdir: pathlib.Path) -> bool:
    return (workdir / SUMMARY).exists()


def finish(workdir: pathlib.Path, summary: dict) -> None:
    """Writes the summary in one move: it is there whole, or not at all."""
    part = workdir / f"{SUMMARY}.part"
    part.write_text(json.dumps(summary, indent=2) + "\n")
    part.rename(workdir / SUMMARY)


def _flat(value, path: str = "") -> dict:
    if not isinstance(value, Mapping) or not value:
        return {path: value}
    rows = {}
    for key, inner in value.items():
        rows |= _flat(inner, f"{path}.{key}" if path else str(key))
    return rows
