"""python -m kdjax report: one page on finished or running trainings.

  python -m kdjax report WORKDIR [WORKDIR ...] [--output=DIR] [--title=TEXT]
                         [--baseline=NAME] [--watch[=SECONDS]] [--no_networks]

A WORKDIR is a run, a sweep, or a directory of them. The page, DIR/index.html, needs no
network and no other file. DIR is by default "report" beside the first WORKDIR.

Runs that differ in their seed only are one line, mean and deviation. Methods are ranked
by paired differences over the seeds that they share with --baseline: the name of a line
or a method; by default the student without a teacher ("ce"), else "kd".

Networks of finished runs are run on the test images: projections, disagreement, gains
by class. Their answers are kept in WORKDIR/analysis; --no_networks leaves that out.

--watch writes the page again every so many seconds (10 by default) until all runs are
finished or have stopped; a browser that shows it loads it anew. It waits for a WORKDIR
that has no training yet. A run has stopped when no process holds its directory and it
has written nothing for a minute, or for ten times as long as between two rows.
"""

import argparse
import pathlib
import sys
import time

from kdjax import cli, paths
from kdjax.cli import evidence
from kdjax.contracts import InputError
from kdjax.reporting.blocks import Section
from kdjax.reporting.console import say
from kdjax.reporting.grouping import make_groups
from kdjax.reporting.page import write_page
from kdjax.reporting.results import print_table
from kdjax.reporting.runs import Run, is_without_training, read_runs
from kdjax.reporting.sections import run_sections
from kdjax.reporting.sections.run_names import shortly_named

SECONDS, MOST = 10.0, 86_400.0


def main(argv: list[str]) -> int:
    parser = cli.parser("report", __doc__)
    parser.add_argument("workdirs", nargs="+", metavar="WORKDIR")
    parser.add_argument("--output", help='default: "report" beside the first WORKDIR')
    parser.add_argument("--title", default="Knowledge distillation")
    parser.add_argument("--baseline", default="", help="what methods are compared with")
    parser.add_argument("--watch", nargs="?", type=float, const=SECONDS)
    evidence.add_options(parser)
    options = parser.parse_args(argv)
    if options.watch is not None and not 1 <= options.watch <= MOST:
        raise InputError(
            f"--watch is {options.watch:g}; expected seconds, from 1 to {MOST:g}."
        )
    workdirs = [paths.parse(workdir, "WORKDIR") for workdir in options.workdirs]
    page = _page(options.output, workdirs[0])
    if options.watch is None:
        runs = read_runs(workdirs)
        _write(runs, page, options)
    else:
        runs = _watch(workdirs, page, options)
    named = shortly_named(runs, make_groups(runs))
    print_table([result for run in named for result in run.results])
    say(f"wrote {page}")
    return 0


def _watch(
    workdirs: list[pathlib.Path], page: pathlib.Path, options: argparse.Namespace
) -> list[Run]:
    """Writes the page again and again; returns the runs when none goes on."""
    from kdjax.runner.liveness import Watched

    watched, messages = Watched(workdirs), set()
    while True:
        awaited = [workdir for workdir in workdirs if is_without_training(workdir)]
        for workdir in set(awaited) - messages:
            say(f"report: waits for {workdir}: no training in it yet", sys.stderr)
        runs = read_runs([one for one in workdirs if one not in awaited])
        goes_on = watched.goes_on(runs) or bool(awaited)
        if runs:
            _write(runs, page, options, options.watch if goes_on else None)
        if not goes_on:
            break
        if runs and page not in messages:
            say(f"report: wrote {page}; watching", sys.stderr)
            messages.add(page)
        messages.update(awaited)
        time.sleep(options.watch)
    if ended := [str(run.workdir) for run in runs if not run.is_finished]:
        say(
            f"report: {', '.join(ended)} stopped before the end: no process holds it, "
            "and it has written nothing for long. The command that trained it goes on.",
            sys.stderr,
        )
    return runs


def _page(output: str | None, workdir: pathlib.Path) -> pathlib.Path:
    if output is not None:
        return paths.parse(output, "--output") / "index.html"
    return paths.resolve(workdir, "WORKDIR").parent / "report" / "index.html"


def _write(
    runs: list[Run],
    page: pathlib.Path,
    options: argparse.Namespace,
    refresh: float | None = None,
) -> None:
    """Writes the page of what the runs have now."""
    write_page(page, options.title, _sections(runs, options), refresh=refresh)


def _sections(runs: list[Run], options: argparse.Namespace) -> list[Section]:
    """What lies in the workdirs and, once they are finished, what networks answer."""
    is_one_finished = any(run.is_finished for run in runs)
    answered = evidence.sections(runs, options) if is_one_finished else []
    return run_sections(runs, options.baseline, answered)
