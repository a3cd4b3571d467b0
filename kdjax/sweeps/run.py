"""Runs a sweep: its programs one after another, then a table of their results."""

import contextlib
import gc
import math
import numbers
import pathlib

from kdjax import signals
from kdjax.contracts import InputError
from kdjax.distributed import collectives
from kdjax.reporting.files import replace_record
from kdjax.reporting.grids import Line, as_json, print_lines
from kdjax.runner import run as runs
from kdjax.runner import workdir as workdirs
from kdjax.sweeps import directory, packing
from kdjax.sweeps.trials import Trial
from kdjax.training.loop import NonFinite

RESULTS = "results.json"


def check(trials: list[Trial], limit: int) -> None:
    """Raises InputError for a trial that no run would take, or no trial at a time.

    `limit` is the most students of a program.
    """
    if not isinstance(limit, numbers.Integral) or limit < 1:
        raise InputError(
            f"--students_per_program is {limit!r}; expected a whole number, 1 or more: "
            "at most so many train at once."
        )
    for trial in trials:
        try:
            runs.check(trial.config, pathlib.Path(trial.name))
        except InputError as error:
            raise InputError(f"{trial.name}: {error}") from error


def run(
    root: pathlib.Path,
    trials: list[Trial],
    limit: int,
    deadline: float = math.inf,
    *,
    retry_failed: bool = False,
    whole: bool = True,
) -> list[str]:
    """Trains what is missing and prints all results; names of the failed trials.

    A program has at most `limit` students. At `deadline`, on `time.monotonic()`, the
    state is saved and `Preempted` raised. `whole` locks `root` and writes results.json;
    False for one job of an array.
    """
    with workdirs.locked(root) if whole else contextlib.nullcontext():
        if retry_failed and collectives.is_primary():
            directory.reset_failed(root, trials)
        plan = directory.make_plan(root, trials, limit)
        collectives.log(str(plan))
        while plan.jobs:
            collectives.log(f"{len(plan.jobs)} to go; next {plan.jobs[0]}")
            _run_job(root, plan.jobs[0], deadline)
            signals.check()
            gc.collect()  # its arrays leave the devices before the next ones come
            plan = directory.make_plan(root, trials, limit)
        return collectives.broadcast(lambda: _report(root, trials, whole))


def _run_job(root: pathlib.Path, job: directory.Job, deadline: float) -> None:
    """Runs a program or a trial alone; a trial that diverges is marked, not raised."""
    collectives.broadcast(lambda: directory.start(root, job))
    alone = len(job.trials) == 1
    config = job.trials[0].config if alone else packing.program(job.trials)
    try:
        runs.run(config, job.workdir, deadline)
    except NonFinite as error:
        diverged = [t for t in job.trials if alone or t.name == error.student]
        if not diverged:
            raise
        message = str(error)
        collectives.broadcast(lambda: directory.fail(root, diverged[0], message))
        collectives.log(f"{diverged[0].name} failed: {message}")
        if not alone:
            # Its checkpoints hold all students and cannot go on without one.
            rest = len(job.trials) - 1
            collectives.log(f"the other {rest} of that program start afresh without it")
        return
    collectives.broadcast(lambda: directory.finish(root, job))


def _report(root: pathlib.Path, trials: list[Trial], whole: bool) -> list[str]:
    """Prints and writes the results; names of the trials that failed."""
    lines = results(root, trials)
    if whole:
        replace_record(root / RESULTS, as_json(lines))
    print_lines(lines)
    failed = [line.row for line in lines if line.state == "failed"]
    if failed:
        collectives.log(
            f"kdjax sweep: failed: {', '.join(failed)}. {directory.FAILED} in each "
            "one's directory says why; --retry_failed, from Python retry_failed=True, "
            "tries again."
        )
    return failed


def results(root: pathlib.Path, trials: list[Trial]) -> list[Line]:
    """A line for each network of the trials that are done, or have failed."""
    return [line for trial in trials for line in _lines(root, trial)]


def _lines(root: pathlib.Path, trial: Trial) -> list[Line]:
    """A line for each network of a trial's last stage."""
    own, workdir = (trial.name, trial.cells), root / trial.name
    done = (workdir / directory.DONE).exists()
    results = runs.results(workdir) if done else []
    if not results:  # it failed, or selects and trains nothing
        return [Line(*own, "", "done" if done else "failed", {}, None)]
    last = [r for r in results if r.run == results[-1].run]
    return [
        Line(*own, r.student, "done", r.metrics, r.seconds / r.students) for r in last
    ]
