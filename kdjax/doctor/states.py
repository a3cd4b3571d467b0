"""The checkpoints of a run: complete, readable, as they were saved, finite."""

import pathlib

from kdjax.checkpoints import aside, inspection
from kdjax.checkpoints.inspection import Step
from kdjax.doctor.findings import Findings, note, ok, problem

UNFINISHED = ".orbax-checkpoint-tmp"  # in the names of what Orbax writes
START_AFRESH = "Begin anew in another --workdir, or restore a copy of these files."


def examine_steps(directory: pathlib.Path, quick: bool) -> Findings:
    """Findings for each step; returns them, the oldest first."""
    waiting = yield from _leftovers(directory)
    if not inspection.numbers(directory):
        if not waiting:
            text = "holds no checkpoint: a run that is killed now begins anew"
            yield note(directory, text)
        return []
    steps = list(inspection.inspect(directory, quick))
    sound = [step for step in steps if not step.problems]
    for step in steps:
        where = directory / str(step.number)
        if step.scores:
            text = f"{step.scores}; so its arrays were not looked at"
            advice = "Start it again: that writes them anew, from the step's identity."
            yield problem(where, text, advice)
        if step.problems:
            text = f"is damaged: {'; '.join(step.problems[:5])}"
            yield problem(where, text, _advice(step.number, sound))
        elif not step.scores and quick:
            yield ok(where, "all parts are there; checksums were not compared")
        elif not step.scores:
            yield ok(where, f"{step.arrays} arrays are as they were saved, and finite")
    return steps


def _advice(number: int, sound: list[Step]) -> str:
    """What a start would do, and what the step was good for."""
    if not sound:
        return START_AFRESH
    newest = sound[-1].number
    if number > newest:
        return (
            f"Nothing: the same command goes on from step {newest} and sets this one "
            "aside."
        )
    return (
        f"Training does not need it (step {newest} is sound); what names it, or "
        "checkpoint=best where it is the best, cannot be read. Delete it."
    )


def _leftovers(directory: pathlib.Path) -> Findings:
    """Returns how many steps the next start gives back, if it has to."""
    waiting = 0
    for path in sorted(directory.glob("*"), key=str):
        if path.name.endswith(aside.DAMAGED):
            text = "was set aside as damaged by an earlier start"
            advice = "Delete it, and look at the disk's health if it comes again."
            yield note(path, text, advice)
        elif path.name.endswith(aside.REPLACED):
            waiting += 1
            text = "waits for the state that takes its place: a save is under way, or "
            text += "did not end"
            advice = "Nothing: the next start gives it back, or deletes it."
            yield note(path, text, advice)
        elif UNFINISHED in path.name:
            text = "is of a save that is under way, or did not end"
            yield note(path, text, "Nothing: the next start removes it.")
    return waiting
