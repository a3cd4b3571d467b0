"""Where the weights of a sweep's trials are: several may share a program."""

import pathlib

from kdjax.contracts import InputError
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.paths.files import names
from kdjax.reporting.results import SUMMARY, read_summary


def trained_in(workdir: pathlib.Path, student: str) -> tuple[pathlib.Path, str]:
    """(the directory with a network's checkpoints, what it is called there).

    They are another directory and name for a trial of a sweep that was trained in one
    program with others. `student` may be "" where there is one.
    """
    if not (workdir / SUMMARY).exists() or names(workdir / CHECKPOINTS):
        return workdir, student
    summary = read_summary(workdir / SUMMARY)
    own, program = summary["students"], summary.get("program")
    if not program:
        return workdir, student
    if student and student not in own:
        raise InputError(f"student is {student!r}; {workdir} has {', '.join(own)}.")
    return workdir.parent / program["workdir"], program["student"]
