"""Names of runs for which tables and figures have room."""

import itertools
import pathlib

from kdjax.reporting.grouping import LONGEST
from kdjax.reporting.groups import Group, Member
from kdjax.reporting.results import numbered
from kdjax.reporting.runs import Run


def shortly_named(runs: list[Run], groups: list[Group]) -> list[Run]:
    """The runs, those with a long name called as the only network in them.

    That is what differs between the runs: "kd, tau 4, seed 1" instead of
    "seed-1__method.temperature-4.0".
    """
    owners = {
        member.run.workdir: (group, member)
        for group in groups
        for member in group.members
        if len(member.run.results) == 1
    }
    names = [
        _short(*owners[run.workdir])
        if len(run.name) > LONGEST and run.workdir in owners
        else run.name
        for run in runs
    ]
    pairs = zip(runs, numbered(names), strict=True)
    return [
        run._replace(name=name, results=[r._replace(run=name) for r in run.results])
        for run, name in pairs
    ]


def _short(group: Group, member: Member) -> str:
    has_seeds = len({one.seed for one in group.members}) > 1
    return group.name + f", seed {member.seed}" * has_seeds


def programs(runs: list[Run]) -> list[Run]:
    """The runs, of trials that shared a program the first, called after all of them.

    Their rows and times are those of the program.
    """

    def place(run: Run) -> pathlib.Path:
        program = run.summary.get("program")
        return run.workdir.parent / program["workdir"] if program else run.workdir

    result, ordered = [], sorted(runs, key=lambda run: str(place(run)))
    for _, own in itertools.groupby(ordered, place):
        first, *others = own
        more = f" and {len(others)} more" * bool(others)
        result.append(first._replace(name=first.name + more))
    order = {run.workdir: number for number, run in enumerate(runs)}
    return sorted(result, key=lambda run: order[run.workdir])
