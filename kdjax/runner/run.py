"""One config in one directory: a training, a selection, or stages of them in order."""

import contextlib
import math
import pathlib
from typing import Any

from kdjax import signals
from kdjax.contracts import InputError
from kdjax.distributed import collectives, process_log
from kdjax.experiment import denominators
from kdjax.experiment.build import build
from kdjax.experiment.builders import allow_code, code_of
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.experiment.schema import check_keys, plain, resolved
from kdjax.reporting.growing import open_append
from kdjax.reporting.results import SUMMARY, Result, read_results, read_summary
from kdjax.runner import trainer
from kdjax.runner.summary import check_scores
from kdjax.runner.workdir import (
    CONFIG,
    changes_of,
    check_config,
    damaged_end,
    is_done,
    is_finished,
    locked,
    read_config,
    write_config,
)

LOGS = "logs"  # of the processes, where there are several


def run(
    config: Any,
    workdir: pathlib.Path,
    deadline: float = math.inf,
    profile: tuple[int, int] | None = None,
    allow: tuple[str, ...] = (),
) -> None:
    """Does what the config says; resumes what is unfinished, skips what is finished.

    `config` is what `get_config` returns, overrides applied, or nested dicts. At
    `deadline`, on `time.monotonic()`, a training saves its state and stops. Of every
    training the steps of `profile` are traced. The keys of `allow` may have changed
    since the last start.
    """
    config = plain(config)
    code = allow_code(*code_of(config))  # of all stages, which read each other
    watched = signals.watched("kdjax")  # over all stages, where no command does
    with watched, locked(workdir), own_log(workdir), code:
        if config["stages"] or config["order"]:
            from kdjax.experiment.stages import split_stages
            from kdjax.runner import changes

            check(config, workdir)
            stages = split_stages(config, workdir)
            collectives.broadcast(lambda: changes.check_stages(workdir, stages, allow))
            whole = resolved(config)
            # A stage may have been added to those that are finished.
            if not is_finished(workdir) or changes_of(workdir, whole):
                write_config(workdir, whole)
            for name, stage in stages.items():
                collectives.log(f"stage {name} of {', '.join(stages)}")
                run(stage, workdir / name, deadline, profile, allow)
        else:
            run_stage(config, workdir, deadline, profile, allow)


def own_log(workdir: pathlib.Path) -> contextlib.AbstractContextManager:
    """While active, this process of several has a log of its own in the directory."""
    if collectives.processes() == 1:
        return contextlib.nullcontext()
    path = workdir / LOGS / f"process-{collectives.process()}.log"
    try:
        return process_log.to_file(open_append(path))
    except OSError as error:
        collectives.log(f"{path} cannot be written: {error}. The run goes on without.")
        return contextlib.nullcontext()


def run_stage(
    config: dict,
    workdir: pathlib.Path,
    deadline: float = math.inf,
    profile: tuple[int, int] | None = None,
    allow: tuple[str, ...] = (),
) -> None:
    """A training or a selection, plain, in a directory that is held."""
    signals.check()
    changed = collectives.broadcast(
        lambda: check_config(workdir, resolved(config), allow)
    )
    if damage := collectives.broadcast(lambda: damaged_end(workdir)):
        collectives.log(damage)
    if not changed and collectives.broadcast(lambda: is_done(workdir)):
        from kdjax.runner import provenance

        provenance.check_finished(workdir, resolved(config))
        check_sound(workdir)
        collectives.log(f"{workdir} is finished; nothing to do.")
    elif config["select"]:
        from kdjax.runner import select

        select.select(config, workdir)
    else:
        directory = workdir / CHECKPOINTS
        stored = collectives.broadcast(lambda: denominators.stored_in(directory))
        experiment = build(config, denominators=stored)
        trainer.train(experiment, workdir, deadline, profile, changed)
    collectives.barrier()


def check_sound(workdir: pathlib.Path) -> None:
    """Raises NonFinite where a run is finished, and has scores that are nonsense."""
    if (workdir / SUMMARY).exists():
        students = read_summary(workdir / SUMMARY)["students"]
        check_scores({name: row["metrics"] for name, row in students.items()})


def check(config: Any, workdir: pathlib.Path) -> None:
    """Refuses a misspelt last stage before the first one has trained for a day."""
    from kdjax.experiment.stages import split_stages

    stages = split_stages(config, workdir)
    if not stages:
        _check_stage(plain(config))
    for name, stage in stages.items():
        try:
            _check_stage(plain(stage))
        except InputError as error:
            raise InputError(f"stage {name}: {error}") from error


def _check_stage(config: dict) -> None:
    check_keys(config)
    if config["select"]:
        from kdjax.runner import select

        select.check("config.select", config["select"])
    else:
        from kdjax.experiment.checks import check_training

        check_training(config)


def results(workdir: pathlib.Path) -> list[Result]:
    """The trained networks of a run, or of all its stages in their order."""
    if (workdir / SUMMARY).exists():
        return read_results(workdir)
    stages = [workdir / name for name in (read_config(workdir) or {}).get("order", ())]
    for stage in stages:
        if not is_done(stage):
            raise InputError(
                f"{stage} is no finished stage, and {workdir / CONFIG} names it; "
                "expected all stages. The same command trains what is missing."
            )
    return [r for s in stages if (s / SUMMARY).exists() for r in results(s)]
