"""Names of runs for which tables and figures have room."""

import pathlib

from kdjax.reporting.grouping import LONGEST
from kdjax.reporting.groups import Group, Member
from kdjax.reporting.results import numbered
from kdjax.reporting.runs import Run

MOST = 6  # trials of a program that are named


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


def programs(runs: list[Run]) -> tuple[list[Run], str]:
    """The runs, of trials that shared a program one for all; what each program is.

    The rows and times of such trials are those of their program.
    """
    together: dict[pathlib.Path, list[Run]] = {}
    for run in runs:
        program = run.summary.get("program")
        place = run.workdir.parent / program["workdir"] if program else run.workdir
        together.setdefault(place, []).append(run)
    result, words = [], []
    for own in together.values():
        if len(own) == 1:
            result += own
            continue
        name = f"program {len(words) + 1}"
        result.append(own[0]._replace(name=f"{name}, {len(own)} trials"))
        names = [run.name for run in own[:MOST]]
        more = [f"{len(own) - MOST} more"] * (len(own) > MOST)
        words.append(f"{name} trained {' · '.join([*names, *more])}")
    return result, f"{'; '.join(words)}." * bool(words)
