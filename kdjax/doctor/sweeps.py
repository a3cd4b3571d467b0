"""A sweep's directory: each trial as a run, and what failed."""

import pathlib

from kdjax.doctor.findings import Findings, guarded, note, ok, problem
from kdjax.doctor.holder import examine_holder
from kdjax.doctor.run import examine_run
from kdjax.paths.json_files import read_json
from kdjax.runner.workdir import CONFIG
from kdjax.sweeps.directory import DONE, FAILED, MEMBERS, PROGRAMS

AGAIN = "Run the same sweep again; it trains what is missing."


def is_sweep(path: pathlib.Path) -> bool:
    marks = (PROGRAMS, f"*/{DONE}", f"*/{FAILED}")
    return any(any(path.glob(mark)) for mark in marks)


def examine_sweep(root: pathlib.Path, quick: bool) -> Findings:
    yield from guarded(root, AGAIN, examine_holder, root)
    for trial in _trials(root):
        if (trial / FAILED).exists():
            text = (trial / FAILED).read_text(errors="replace").strip()
            advice = "Sweep again with --retry_failed once the cause is mended."
            yield note(trial, f"failed: {text[:300]}", advice)
            continue
        yield from guarded(trial, AGAIN, _trial, root, trial)
        if (trial / CONFIG).exists():
            yield from guarded(trial, AGAIN, examine_run, trial, quick)
    for program in sorted((root / PROGRAMS).glob(f"*/{MEMBERS}"), key=str):
        names = (yield from guarded(program, AGAIN, _members, program)) or []
        if all((root / name / DONE).exists() for name in names):
            yield ok(program.parent, f"trained {len(names)} trials, all of them done")
        yield from guarded(program, AGAIN, examine_run, program.parent, quick)


def _trials(root: pathlib.Path) -> list[pathlib.Path]:
    """Of those that began: a trial of several students has no directory until then."""
    marked = [p.parent for name in (DONE, FAILED) for p in root.glob(f"*/{name}")]
    started = [p.parent for p in root.glob(f"*/{CONFIG}")]
    return sorted({*marked, *started}, key=str)


def _trial(root: pathlib.Path, trial: pathlib.Path) -> Findings:
    """A finished trial names the program that trained it."""
    if not (trial / DONE).exists():
        return
    done = read_json(trial / DONE, "the mark of a trial that is done", {"ran": str})
    ran = root / done["ran"]
    if not ran.exists():
        text = f"was trained in {ran}, which is not there: its weights are lost"
        yield problem(
            trial, text, "Restore a copy of it, or delete DONE and sweep again."
        )


def _members(path: pathlib.Path) -> Findings:
    yield from ()
    record = read_json(path, "the list of a program's trials", {"rows": [str]})
    return record["rows"]
