"""One config in one directory: a training, a selection, or several of them in order."""

import json
import math
import pathlib
from typing import Any

from kdjax.contracts import InputError
from kdjax.distributed import collectives
from kdjax.experiment.build import build
from kdjax.experiment.checks import check_training
from kdjax.experiment.schema import check_keys, plain, resolved
from kdjax.experiment.stages import split_stages
from kdjax.reporting.results import SUMMARY, Result, read_results
from kdjax.runner import identities, select, trainer
from kdjax.runner import workdir as workdirs


def run(config: Any, workdir: pathlib.Path, deadline: float = math.inf) -> None:
    """Does what the config says; resumes what was begun and skips what is finished.

    Devices are configured before, by `devices.configure_cpu`.

    Args:
      config: as `get_config` gives it, overrides applied, or nested dicts.
      workdir: absolute; created where it is missing.
      until: on `time.monotonic()`; then a training saves its state and stops.
    """
    config = plain(config)
    with workdirs.locked(workdir):
        if config["stages"] or config["order"]:
            check(config, workdir)
            parts = split_stages(config, workdir)
            workdirs.write_config(workdir, resolved(config))
            for name, part in parts.items():
                collectives.log(f"part {name} of {', '.join(parts)}")
                run(part, workdir / name, deadline)
            return
        run_part(config, workdir, deadline)


def run_part(config: dict, workdir: pathlib.Path, deadline: float = math.inf) -> None:
    """A training or a selection, plain, in a directory that is held.

    When it returns, all processes see what was written.
    """
    collectives.broadcast(lambda: workdirs.check_config(workdir, resolved(config)))
    if collectives.broadcast(lambda: workdirs.is_done(workdir)):
        identities.check_finished(workdir, resolved(config))
        collectives.log(f"{workdir} is finished; nothing to do.")
    elif config["select"]:
        select.select(config, workdir)
    else:
        trainer.train(build(config), workdir, deadline)
    collectives.barrier()


def check(config: Any, workdir: pathlib.Path) -> None:
    """Refuses a misspelt last part before the first one has trained for a day.

    Raises:
      InputError: with the part and the dotted path of what does not fit.
    """
    parts = split_stages(config, workdir)
    if not parts:
        _check_one(plain(config))
    for name, part in parts.items():
        try:
            _check_one(plain(part))
        except InputError as error:
            raise InputError(f"part {name}: {error}") from error


def _check_one(part: dict) -> None:
    check_keys(part)
    if part["select"]:
        select.check("config.select", part["select"])
    else:
        check_training(part)


def results(workdir: pathlib.Path) -> list[Result]:
    """The trained networks of a run, or of all its parts in their order."""
    if (workdir / SUMMARY).exists():
        return read_results(workdir)
    config = workdir / workdirs.CONFIG
    order = json.loads(config.read_text())["order"] if config.exists() else ()
    parts = [workdir / name for name in order]
    return [r for part in parts if (part / SUMMARY).exists() for r in results(part)]
