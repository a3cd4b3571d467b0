"""A sweep's directory: the state of each trial and program. Nothing else holds it.

DIR/programs/ID is a run of several trials at once, with its program.json. Each of them
has the files in DIR/TRIAL that it would have alone; its checkpoints are the program's.
"""

import json
import pathlib
from typing import NamedTuple

from kdjax import paths
from kdjax.contracts import json_text
from kdjax.distributed import collectives
from kdjax.experiment.builders import allow_code, code_of
from kdjax.experiment.schema import resolved
from kdjax.experiment.stages import split_stages
from kdjax.paths import files
from kdjax.paths.json_files import DamagedError, read_json
from kdjax.reporting.files import replace, replace_record
from kdjax.reporting.reporter import read_rows
from kdjax.reporting.results import SUMMARY, read_summary
from kdjax.runner import provenance
from kdjax.runner import workdir as workdirs
from kdjax.sweeps import packing
from kdjax.sweeps.trials import Trial

DONE, FAILED = "DONE", "FAILED"
PROGRAMS, MEMBERS = "programs", "program.json"
METRICS = "metrics.jsonl"


class Job(NamedTuple):
    """One run: of a trial alone, or of a program of several."""

    workdir: pathlib.Path
    trials: list[Trial]

    def __str__(self) -> str:
        names = ", ".join(trial.name for trial in self.trials)
        shared = len(self.trials) > 1
        return f"program {self.workdir.name}: {names}" if shared else f"alone: {names}"


class Plan(NamedTuple):
    """How many trials are done and failed; what is to run next, in order."""

    trials: int
    done: int
    failed: int
    jobs: list[Job]

    def __str__(self) -> str:
        shared = [len(job.trials) for job in self.jobs if len(job.trials) > 1]
        alone = len(self.jobs) - len(shared)
        return (
            f"{self.trials} trials: {self.done} done, {self.failed} failed, "
            f"{sum(shared)} in {len(shared)} programs, {alone} alone"
        )


def make_plan(
    root: pathlib.Path, trials: list[Trial], limit: int, retry_failed: bool = False
) -> Plan:
    """Reads the directory, in process 0; what was started goes on first, as it was.

    `limit` is the most students of a program that is not started yet. With
    `retry_failed`, failed trials count as trials that have not run.
    """
    wanted = {trial.name: trial for trial in trials}

    def read() -> tuple[int, int, list]:
        done = {n: t for n, t in wanted.items() if _is_done(root / n)}
        failed = [n for n in wanted if (root / n / FAILED).exists()]
        failed = [] if retry_failed else failed
        pending = {n: t for n, t in wanted.items() if n not in {*done, *failed}}
        jobs = _started_programs(root, done, pending)
        for trial in [trial for job in jobs for trial in job.trials]:
            pending.pop(trial.name, None)
        alone = {name for name in pending if workdirs.has_steps(root / name)}
        for members in packing.group(list(pending.values()), limit, alone):
            name = members[0].name
            if len(members) > 1:
                name = f"{PROGRAMS}/{packing.program_id(members)}"
            jobs.append(Job(root / name, members))
        named = [(str(job.workdir), [t.name for t in job.trials]) for job in jobs]
        return len(done), len(failed), named

    done, failed, jobs = collectives.broadcast(read)
    jobs = [
        Job(paths.parse(path, "--workdir"), [wanted[n] for n in names])
        for path, names in jobs
    ]
    return Plan(len(trials), done, failed, jobs)


def _started_programs(
    root: pathlib.Path, done: dict[str, Trial], pending: dict[str, Trial]
) -> list[Job]:
    """Programs on disk that can go on with exactly the trials that they have."""
    jobs, planned = [], set()
    # A later program may have some of the trials of one that was given up.
    programs = [root / PROGRAMS / name for name in files.names(root / PROGRAMS)]
    programs = [path / MEMBERS for path in programs if (path / MEMBERS).exists()]
    for path in sorted(programs, key=lambda path: -files.modified(path)):
        names = _members(path)
        # A finished program may have been stopped while its trials were written.
        is_finished = workdirs.is_done(path.parent)
        usable = done | pending if is_finished else pending
        missing = pending.keys() & set(names)
        if not missing or missing & planned or not usable.keys() >= set(names):
            continue
        members = [usable[name] for name in names]
        still_one = len(packing.group(members, len(members), set())) == 1
        if still_one and (is_finished or workdirs.has_steps(path.parent)):
            jobs.append(Job(path.parent, members))
            planned |= missing
    return jobs


def _members(path: pathlib.Path) -> list[str]:
    """The trials of a program; [] where its file is damaged: they start afresh."""
    try:
        return read_json(path, "the trials of a program", {"rows": [str]})["rows"]
    except DamagedError as error:
        collectives.log(f"{error} Trials of it that are not done start afresh.")
        return []


def _is_done(workdir: pathlib.Path) -> bool:
    """Whether a trial is done; one whose results cannot be read is written again."""
    if damage := _damage(workdir):
        collectives.log(f"{workdir.name} is not done: {damage}")
    return not damage and (workdir / DONE).exists()


def _damage(workdir: pathlib.Path) -> str:
    """What is wrong with the results of a trial that was done; "" for nothing."""
    if not (workdir / DONE).exists():
        return ""
    stages = [workdir / name for name in files.names(workdir)]
    return next(filter(None, map(workdirs.damaged_end, (workdir, *stages))), "")


def check_done(root: pathlib.Path, trials: list[Trial]) -> None:
    """Raises InputError where a trial was done with another config or teacher."""
    digests = {}  # many trials have one teacher
    for trial in trials:
        workdir = root / trial.name
        if not (workdir / DONE).exists():
            continue
        workdirs.check_same_config(workdir, resolved(trial.config))
        if _damage(workdir):  # it is trained again, and compared then
            continue
        stages = split_stages(trial.config, workdir) or {"": trial.config}
        for name, stage in stages.items():
            with allow_code(*code_of(trial.config)):
                provenance.check_finished(workdir / name, resolved(stage), digests)


def start(root: pathlib.Path, job: Job) -> None:
    """Records which trials share a program, before it runs; none is done any more."""
    for trial in job.trials:
        if _damage(root / trial.name):
            (root / trial.name / DONE).unlink()
    if len(job.trials) > 1:
        files.make_directory(job.workdir)
        members = {"rows": [trial.name for trial in job.trials]}
        replace_record(job.workdir / MEMBERS, members)


def finish(root: pathlib.Path, job: Job) -> None:
    """Writes each trial's part of a finished job, DONE last."""
    ran = str(job.workdir.relative_to(root))
    for trial in job.trials:
        workdir = root / trial.name
        if (workdir / DONE).exists():
            continue
        if workdir != job.workdir:
            files.make_directory(workdir)
            _write_trial(job, trial, workdir, ran)
        replace(workdir / DONE, json.dumps({"ran": ran}) + "\n")


def _write_trial(job: Job, trial: Trial, workdir: pathlib.Path, ran: str) -> None:
    """The files that the trial would have written alone, from those of its program."""
    program = read_summary(job.workdir / SUMMARY)
    student = str(trial.config.method.name)  # as a run of one names it
    rows = read_rows(job.workdir / METRICS)
    lines = [json_text(_own_metrics(row, trial.name, student)) + "\n" for row in rows]
    replace(workdir / METRICS, "".join(lines))
    workdirs.write_config(workdir, resolved(trial.config))
    identity = {student: program["identity"]["students"][trial.name]}
    shared = {"workdir": ran, "student": trial.name, "seconds": program["seconds"]}
    summary = {
        "seconds": program["seconds"] / len(job.trials),
        "students": {student: program["students"][trial.name]},
        "identity": program["identity"] | {"students": identity},
        "program": shared | {"students": len(job.trials)},
    }
    copied = ("unreadable_images", "provenance", "prepared")
    summary |= {key: program[key] for key in copied if key in program}
    if trial.name in program.get("selections", {}):
        summary["selections"] = {student: program["selections"][trial.name]}
    workdirs.write_record(workdir / SUMMARY, summary)


def _own_metrics(line: dict, name: str, student: str) -> dict:
    """One line of a program's metrics as one student's run would have written it."""
    own = {}
    for key, value in line.items():
        space, _, rest = key.partition("/")
        prefix, _, metric = rest.partition("/")
        if prefix == name:
            own[f"{space}/{student}/{metric}"] = value
        elif not metric:  # step, epoch, seconds, train/images_per_second
            own[key] = value
    return own


def fail(root: pathlib.Path, trial: Trial, message: str) -> None:
    """Marks a trial that cannot be trained; it is left out from now on."""
    files.make_directory(root / trial.name)
    replace(root / trial.name / FAILED, message + "\n")


def reset_failed(root: pathlib.Path, trials: list[Trial]) -> None:
    """Lets the failed trials be tried again."""
    for trial in trials:
        (root / trial.name / FAILED).unlink(missing_ok=True)
