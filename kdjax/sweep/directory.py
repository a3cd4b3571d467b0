"""A sweep's directory: what each row and program has come to. Nothing else remembers.

    DIR/ROW/           config.json, metrics.jsonl, summary.json and then DONE; or FAILED
    DIR/programs/ID/   a run of several rows at once, with its program.json

A row that ran alone is an ordinary --workdir. One that ran in a program has the files
that it would have alone, but its checkpoints are the program's.
"""

import json
import pathlib
from typing import NamedTuple

from kdjax.experiment.networks import CHECKPOINTS
from kdjax.experiment.schema import resolved
from kdjax.experiment.stages import split_stages
from kdjax.reporting.files import replace
from kdjax.reporting.reporter import read_rows
from kdjax.reporting.results import SUMMARY
from kdjax.runner import provenance
from kdjax.runner import workdir as workdirs
from kdjax.sweep import packing
from kdjax.sweep.trials import Row

DONE, FAILED = "DONE", "FAILED"
PROGRAMS, MEMBERS = "programs", "program.json"
METRICS = "metrics.jsonl"


class Job(NamedTuple):
    """One run: of a row alone, or of a program of several."""

    workdir: pathlib.Path
    rows: list[Row]


class Plan(NamedTuple):
    """Where a sweep stands, and what is to run next, in order."""

    done: list[Row]
    failed: list[Row]
    jobs: list[Job]


def make_plan(
    root: pathlib.Path, rows: list[Row], limit: int, retry_failed: bool = False
) -> Plan:
    """Reads the directory; what was begun goes on first, as it was begun.

    Args:
      root: of the sweep; need not exist.
      rows: all that are wanted.
      limit: most students of a program that is not begun yet.
      retry_failed: whether failed rows count as rows that have not run.
    """
    done = [row for row in rows if (root / row.name / DONE).exists()]
    failed = [row for row in rows if (root / row.name / FAILED).exists()]
    failed = [] if retry_failed else failed
    pending = {row.name: row for row in rows}
    for row in (*done, *failed):
        pending.pop(row.name, None)
    jobs = _begun(root, done, pending)
    for job in jobs:
        for row in job.rows:
            pending.pop(row.name, None)
    alone = {name for name in pending if _has_steps(root / name)}
    for members in packing.group(list(pending.values()), limit, alone):
        name = members[0].name
        if len(members) > 1:
            name = f"{PROGRAMS}/{packing.program_id(members)}"
        jobs.append(Job(root / name, members))
    return Plan(done, failed, jobs)


def _begun(root: pathlib.Path, done: list[Row], pending: dict[str, Row]) -> list[Job]:
    """Programs on disk that can go on with the very rows that they have."""
    known = {row.name: row for row in done} | pending
    jobs, taken = [], set()
    paths = (root / PROGRAMS).glob(f"*/{MEMBERS}")
    # A later program may have some of the rows of one that was given up.
    for path in sorted(paths, key=lambda path: -path.stat().st_mtime_ns):
        names = json.loads(path.read_text())["rows"]
        # A finished one may have been stopped while its rows were written.
        is_finished = (path.parent / SUMMARY).exists()
        wanted = known if is_finished else pending
        left = pending.keys() & set(names)
        if not left or left & taken or not wanted.keys() >= set(names):
            continue
        members = [known[name] for name in names]
        still_one = len(packing.group(members, len(members), set())) == 1
        if still_one and (is_finished or _has_steps(path.parent)):
            jobs.append(Job(path.parent, members))
            taken |= left
    return jobs


def _has_steps(workdir: pathlib.Path) -> bool:
    return any(path.name.isdigit() for path in (workdir / CHECKPOINTS).glob("*"))


def check_done(root: pathlib.Path, rows: list[Row]) -> None:
    """Compares the rows that are done with what they are to be now.

    Raises:
      InputError: one had another config, or another teacher or selection.
    """
    known = {}  # many rows have one teacher
    for row in rows:
        where = root / row.name
        if not (where / DONE).exists():
            continue
        workdirs.check_same(where, resolved(row.config))
        parts = split_stages(row.config, where) or {"": row.config}
        for name, part in parts.items():
            provenance.check_finished(where / name, resolved(part), known)


def begin(job: Job) -> None:
    """Writes down which rows share a program, before it runs."""
    if len(job.rows) > 1:
        job.workdir.mkdir(parents=True, exist_ok=True)
        members = {"rows": [row.name for row in job.rows]}
        replace(job.workdir / MEMBERS, json.dumps(members, indent=2) + "\n")


def finish(root: pathlib.Path, job: Job) -> None:
    """Gives every row what is its own of a finished job, DONE last."""
    ran = str(job.workdir.relative_to(root))
    for row in job.rows:
        where = root / row.name
        if (where / DONE).exists():
            continue
        if where != job.workdir:
            where.mkdir(exist_ok=True)
            _write_share(job, row, where, ran)
        replace(where / DONE, json.dumps({"ran": ran}) + "\n")


def _write_share(job: Job, row: Row, where: pathlib.Path, ran: str) -> None:
    """The files that the row would have written alone, from those of its program."""
    whole = json.loads((job.workdir / SUMMARY).read_text())
    student = str(row.config.method.name)  # as a run of one names it
    history = read_rows(job.workdir / METRICS)
    lines = [json.dumps(_own(line, row.name, student)) for line in history]
    replace(where / METRICS, "".join(f"{line}\n" for line in lines))
    workdirs.write_config(where, resolved(row.config))
    described = {student: whole["identity"]["students"][row.name]}
    shared = {"workdir": ran, "student": row.name, "seconds": whole["seconds"]}
    summary = {
        "seconds": whole["seconds"] / len(job.rows),
        "students": {student: whole["students"][row.name]},
        "identity": whole["identity"] | {"students": described},
        "program": shared | {"students": len(job.rows)},
    }
    summary |= {key: whole[key] for key in ("unreadable_images",) if key in whole}
    workdirs.finish(where, summary)


def _own(line: dict, name: str, student: str) -> dict:
    """One line of a program's metrics as one student's run would have written it."""
    own = {}
    for key, value in line.items():
        space, _, rest = key.partition("/")
        whose, _, metric = rest.partition("/")
        if whose == name:
            own[f"{space}/{student}/{metric}"] = value
        elif not metric:  # step, epoch, seconds, train/images_per_second
            own[key] = value
    return own


def fail(root: pathlib.Path, row: Row, message: str) -> None:
    """Marks a row that cannot be trained; it is left out from now on."""
    (root / row.name).mkdir(exist_ok=True)
    replace(root / row.name / FAILED, message + "\n")


def reset_failed(root: pathlib.Path, rows: list[Row]) -> None:
    """Lets the failed rows be tried again."""
    for row in rows:
        (root / row.name / FAILED).unlink(missing_ok=True)
