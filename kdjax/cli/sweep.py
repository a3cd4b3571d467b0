"""python -m kdjax sweep: trains a grid of settings, as few programs as can be.

  python -m kdjax sweep --config=FILE[:ARG] --workdir=DIR [--config.a.b=value ...]
                        [--grid.a.b=v1,v2,... ...] [--students_per_program=8]
                        [--dry_run] [--retry_failed] [--minutes=M]
  python -m kdjax sweep --config=FILE --workdir=DIR --rows=ROWS.jsonl [--row=I]

The grid is the product of the axes that --grid.KEY and `get_grid(arg="")` in FILE name:
{dotted key: values, or {short name: value}}; a value may be a whole section. Keys that
change together share an axis: {"a,b": ((1, 2), (3, 4))}. A text in the config may refer
to the row's own values: --config.teacher.workdir="teachers/seed-{seed}".

Rows that differ in method or selection only are students of one program. Each row has a
directory DIR/ROW: config.json, metrics.jsonl, summary.json, and DONE when it is
finished, or FAILED. The same command goes on where it was; it skips failed rows and
exits with 3 unless --retry_failed. With --minutes it stops after so many, the state
saved, with exit code 42. DIR/results.json holds what the tables show.

--rows takes the rows from a file instead: one JSON object a line, of dotted keys. --row
trains one of them only (or of the grid), counted from 0, in DIR/ROW: for job arrays,
where each job is given its number and may be given it again. The same command without
--row then trains what is missing, and shows all.
"""

import contextlib
import gc
import json
import math
import pathlib

from kdjax import cli, paths
from kdjax.cli import arguments, time_slice
from kdjax.contracts import InputError
from kdjax.distributed import collectives, devices, runtime
from kdjax.experiment import schema
from kdjax.experiment.overrides import load_grid, split_overrides
from kdjax.reporting.files import replace
from kdjax.reporting.grids import Line, as_json, print_lines
from kdjax.runner import run, workdir
from kdjax.sweep import directory, packing
from kdjax.sweep.axes import read_axes
from kdjax.sweep.trial_files import read_rows
from kdjax.sweep.trials import Row, in_common, make_rows
from kdjax.training.loop import NonFinite

GRID = "--grid."
RESULTS = "results.json"


def main(argv: list[str]) -> int:
    options, rows = _read(argv)
    deadline = time_slice.deadline(options.minutes)
    root = paths.local(options.workdir, "--workdir").resolve()
    limit = options.students_per_program
    sizes = [schema.number(row.config, "batch_size", 1, integer=True) for row in rows]
    with runtime.joined(options) as processes:
        devices.configure_cpu(options.devices, math.gcd(*sizes), processes)
        collectives.assert_equal("this sweep", in_common(rows))
        directory.check_done(root, rows)
        if options.dry_run:
            plan = _plan(root, rows, limit, options.retry_failed)
            if collectives.is_primary():
                print("\n".join([told(plan), *map(_words, plan.jobs)]))
            return 0
        with _held(root, options.row):
            if options.retry_failed and collectives.is_primary():
                directory.reset_failed(root, rows)
            run_all(root, rows, limit, deadline)
            keeps = options.row is None
            failed = collectives.broadcast(lambda: _tell(root, rows, keeps))
    return NonFinite.exit_code if failed else 0


def _held(root: pathlib.Path, row: int | None):
    """A sweep's directory against a second sweep; one row holds its own as it runs."""
    return workdir.locked(root) if row is None else contextlib.nullcontext()


def _tell(root: pathlib.Path, rows: list[Row], keeps: bool) -> list[str]:
    """Prints what the rows came to, and keeps it; names of those that failed."""
    lines = [line for row in rows for line in _lines(root, row)]
    if keeps:
        replace(root / RESULTS, json.dumps(as_json(lines), indent=2) + "\n")
    print_lines(lines)
    failed = [line.row for line in lines if line.state == "failed"]
    if failed:
        say(
            f"kdjax sweep: failed: {', '.join(failed)}. {directory.FAILED} in each "
            "one's directory says why; --retry_failed tries again."
        )
    return failed


def _read(argv: list[str]):
    """(options, rows), checked as far as that is possible before anything is loaded."""
    parser = cli.parser("sweep", __doc__)
    arguments.add_config(parser)
    parser.add_argument("--workdir", required=True, help="where the sweep lives")
    parser.add_argument("--students_per_program", type=int, default=8)
    parser.add_argument(
        "--dry_run", action="store_true", help="only say what would run"
    )
    parser.add_argument("--retry_failed", action="store_true")
    parser.add_argument("--rows", help="a file of rows in place of the grid")
    parser.add_argument("--row", type=int, help="only this one, from 0")
    time_slice.add_minutes(parser)
    argv, words = split_overrides(argv, GRID)
    options, config = arguments.parse(parser, argv)
    if options.students_per_program < 1:
        raise InputError(
            f"--students_per_program is {options.students_per_program}; expected >= 1."
        )
    rows = _rows(options, config, words)
    for row in rows:
        try:
            run.check(row.config, pathlib.Path(row.name))
        except InputError as error:
            raise InputError(f"{row.name}: {error}") from error
    return options, rows


def _rows(options, config, words: list[str]) -> list[Row]:
    """The grid's or the file's, or the one of them that is asked for."""
    if options.rows is None:
        axes = read_axes(load_grid(options.config), words)
        rows = make_rows(config, axes)
    elif words:
        raise InputError("--rows and --grid each say what the rows are; expected one.")
    else:
        rows = read_rows(config, paths.local(options.rows, "--rows"))
    if options.row is None:
        return rows
    if not 0 <= options.row < len(rows):
        raise InputError(
            f"--row is {options.row} and there are {len(rows)} rows; expected 0 to "
            f"{len(rows) - 1}."
        )
    return rows[options.row :][:1]


def run_all(
    root: pathlib.Path, rows: list[Row], limit: int, deadline: float = math.inf
) -> None:
    """Runs job after job; the plan is read anew from the disk before each."""
    plan = _plan(root, rows, limit)
    say(told(plan))
    while plan.jobs:
        say(f"{len(plan.jobs)} to go; next {_words(plan.jobs[0])}")
        run_job(root, plan.jobs[0], deadline)
        gc.collect()  # its arrays leave the devices before the next ones come
        plan = _plan(root, rows, limit)


def _plan(
    root: pathlib.Path, rows: list[Row], limit: int, retry_failed: bool = False
) -> directory.Plan:
    """What the first process finds, in all of them."""

    def found():
        plan = directory.make_plan(root, rows, limit, retry_failed)
        jobs = [[str(job.workdir), _names(job.rows)] for job in plan.jobs]
        return [_names(plan.done), _names(plan.failed), jobs]

    named = {row.name: row for row in rows}
    done, failed, jobs = collectives.broadcast(found)
    done, failed = ([named[name] for name in names] for names in (done, failed))
    jobs = [
        directory.Job(pathlib.Path(where), [named[name] for name in names])
        for where, names in jobs
    ]
    return directory.Plan(done, failed, jobs)


def _names(rows: list[Row]) -> list[str]:
    return [row.name for row in rows]


def run_job(root: pathlib.Path, job: directory.Job, deadline: float = math.inf) -> None:
    """Runs a program or a row alone; a row that diverges is marked, not raised."""
    collectives.broadcast(lambda: directory.begin(job))
    alone = len(job.rows) == 1
    config = job.rows[0].config if alone else packing.program(job.rows)
    try:
        run.run(config, job.workdir, deadline)
    except NonFinite as error:
        bad = job.rows if alone else [r for r in job.rows if r.name == error.student]
        if not bad:
            raise
        message = str(error)
        collectives.broadcast(lambda: directory.fail(root, bad[0], message))
        say(f"{bad[0].name} failed: {error}")
        if not alone:
            # Its checkpoints hold all students and cannot go on without one.
            say(
                f"the other {len(job.rows) - 1} of that program start afresh without it"
            )
        return
    collectives.broadcast(lambda: directory.finish(root, job))


def told(plan: directory.Plan) -> str:
    """How many rows there are, and how they run."""
    shared = [job for job in plan.jobs if len(job.rows) > 1]
    inside = sum(len(job.rows) for job in shared)
    todo = {row.name for job in plan.jobs for row in job.rows}
    todo -= {row.name for row in plan.done}
    return (
        f"{len(plan.done) + len(plan.failed) + len(todo)} rows: {len(plan.done)} done, "
        f"{len(plan.failed)} failed, {inside} in {len(shared)} programs, "
        f"{len(plan.jobs) - len(shared)} alone"
    )


def _words(job: directory.Job) -> str:
    names = ", ".join(row.name for row in job.rows)
    return f"program {job.workdir.name}: {names}" if job.rows[1:] else f"alone: {names}"


def _lines(root: pathlib.Path, row: Row) -> list[Line]:
    """What a row came to: a line for each network of its last part."""
    where = root / row.name
    if not (where / directory.DONE).exists():
        return [Line(row.name, row.cells, "", "failed", {}, None)]
    found = run.results(where)
    if not found:  # it selects and trains nothing
        return [Line(row.name, row.cells, "", "done", {}, None)]
    return [
        Line(row.name, row.cells, r.student, "done", r.metrics, r.seconds / r.students)
        for r in found
        if r.run == found[-1].run
    ]


def say(text: str) -> None:
    collectives.say(text)
