"""python -m kdjax sweep: trains a grid of settings in as few programs as possible.

  python -m kdjax sweep --config=FILE[:ARG] --workdir=DIR [--config.a.b=value ...]
                        [--grid.a.b=v1,v2,... ...] [--students_per_program=8]
                        [--dry_run] [--retry_failed] [--minutes=M]
  python -m kdjax sweep --config=FILE --workdir=DIR --trials=FILE.jsonl [--trial=I]

The grid is the product of the axes that --grid.KEY and `get_grid(arg="")` in FILE name:
{dotted key: values, or {short name: value}}; a value may be a whole section. Keys that
change together share an axis: {"a,b": ((1, 2), (3, 4))}. A text in the config may refer
to the trial's own values: --config.teacher.workdir="teachers/seed-{seed}".

Trials that differ in method or selection only are students of one program. Each trial
has a directory DIR/TRIAL: config.json, metrics.jsonl, summary.json, and DONE when it is
finished, or FAILED. The same command goes on where it was; it skips failed trials and
exits with 3 unless --retry_failed. With --minutes it stops after so many, the state
saved, with exit code 42. DIR/results.json holds what the tables show.

--trials takes the trials from a file instead: one JSON object a line, of dotted keys.
--trial trains one of them only (or of the grid), counted from 0, in DIR/TRIAL: for job
arrays, where each job gets its number and may get it again. The same command without
--trial then trains what is missing, and shows all.
"""

import argparse
import math

from kdjax import cli, paths
from kdjax.cli import arguments
from kdjax.contracts import InputError
from kdjax.distributed import collectives, devices, runtime
from kdjax.experiment.overrides import load_grid, split_overrides
from kdjax.reporting.console import say
from kdjax.runner import time_slice
from kdjax.sweeps import directory, run
from kdjax.sweeps.axes import read_axes
from kdjax.sweeps.trials import Trial, in_common, make_trials, read_trials
from kdjax.training.loop import NonFinite

GRID = "--grid."


def main(argv: list[str]) -> int:
    argv, axes = split_overrides(argv, GRID)
    options, config = arguments.parse(_parser(), argv)
    limit = options.students_per_program
    trials = _trials(options, config, axes)
    run.check(trials, limit)
    deadline = time_slice.deadline(options.minutes)
    root, retry = options.workdir, options.retry_failed
    sizes = [
        trial.config["batch_size"] // trial.config["accumulation_steps"] or 1
        for trial in trials
    ]
    with runtime.joined(options) as processes:
        devices.configure(options.devices, math.gcd(*sizes), processes)
        collectives.assert_equal("this sweep", in_common(trials))
        directory.check_done(root, trials)
        if options.dry_run:
            plan = directory.make_plan(root, trials, limit, retry)
            if collectives.is_primary():
                say("\n".join(map(str, [plan, *plan.jobs])))
            return 0
        whole = options.trial is None
        failed = run.run(root, trials, limit, deadline, retry_failed=retry, whole=whole)
    return NonFinite.exit_code if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("sweep", __doc__)
    arguments.add_config(parser, workdir="where the sweep lives")
    parser.add_argument("--students_per_program", type=int, default=8)
    parser.add_argument("--dry_run", action="store_true", help="only print the plan")
    parser.add_argument("--retry_failed", action="store_true")
    parser.add_argument("--trials", help="a file of trials in place of the grid")
    parser.add_argument("--trial", type=int, help="only this one, from 0")
    parser.add_argument("--rows", dest="trials", help=argparse.SUPPRESS)
    parser.add_argument("--row", dest="trial", type=int, help=argparse.SUPPRESS)
    time_slice.add_minutes(parser)
    return parser


def _trials(options: argparse.Namespace, config, axes: list[str]) -> list[Trial]:
    """The grid's or the file's, or the one of them that --trial names."""
    if options.trials is None:
        axes = read_axes(load_grid(options.config), axes)
        trials = make_trials(config, axes)
    elif axes:
        raise InputError("--trials and --grid both give the trials; expected one.")
    else:
        trials = read_trials(config, paths.parse(options.trials, "--trials"))
    if options.trial is None:
        return trials
    if not 0 <= options.trial < len(trials):
        raise InputError(
            f"--trial is {options.trial} and there are {len(trials)} trials; expected "
            f"0 to {len(trials) - 1}."
        )
    return [trials[options.trial]]
