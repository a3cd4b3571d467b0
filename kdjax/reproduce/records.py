"""What a finished run measured, as a JSON file that names no machine's directory."""

import hashlib
import os
import pathlib
import platform
import re
import shutil
import subprocess
from collections.abc import Callable

import jax

from kdjax.contracts import InputError, json_text
from kdjax.distributed import devices
from kdjax.paths.files import names, written
from kdjax.paths.json_files import read_json
from kdjax.reporting.files import replace_record
from kdjax.reproduce import pages, tables
from kdjax.reproduce.measurements import TIME_SLICES, measurements
from kdjax.reproduce.plans import FLOAT32, Run, Settings

RECORD = "record.json"


def add(
    study: str,
    command: str,
    results: pathlib.Path,
    write: Callable[[str, pathlib.Path], object],
    run: Run,
    workdir: pathlib.Path,
) -> None:
    """Writes a finished run's record below `results` and, by `write`, the page.

    Does nothing where the record is there already; InputError where the run has one of
    other weights there.
    """
    if run.config["select"]:
        return  # stands in the records of the runs that train on it
    own = workdir / RECORD
    if not own.exists():
        record = {"study": study, "run": run.name, "command": command}
        record |= {"pair": run.pair._asdict()} | measurements(run, workdir)
        replace_record(own, record)
    advice = "Delete it; the same command writes it anew."
    record = read_json(own, "the record of a run", tables.RECORD_FORM, advice)
    students = record["students"].values()
    digests = "".join(student["digest"] for student in students)
    short = hashlib.sha256(digests.encode()).hexdigest()[:12]
    stem = _stem(study, run)
    target = results / f"{stem}-{short}.json"
    if not target.exists():
        _check_is_only_one(results, stem, record["dtype"])
        with written(target) as part:
            shutil.copyfile(own, part)
        write(study, results)


def check_free(
    study: str, runs: list[Run], root: pathlib.Path, results: pathlib.Path, dtype: str
) -> None:
    """InputError where a run that is to be trained below `root` is recorded already.

    Before the first of them: other weights would be refused after hours.
    """
    for run in runs:
        if not run.config["select"] and not (root / run.name / RECORD).exists():
            _check_is_only_one(results, _stem(study, run), dtype)


def _stem(study: str, run: Run) -> str:
    return f"{study}-{run.name.replace('/', '-')}"


def _check_is_only_one(results: pathlib.Path, stem: str, dtype: str) -> None:
    """InputError where a run was recorded before: pages pair students by their seed."""
    for name in names(results):
        if not re.fullmatch(rf"{re.escape(stem)}-[0-9a-f]{{12}}\.json", name):
            continue
        path, form = results / name, tables.RECORD_FORM
        other = read_json(path, "the record of a run", form, tables.ADVICE)
        if other["dtype"] == dtype:
            raise InputError(
                f"{path} records the same run, of other weights, as another machine or "
                "version makes them: a page of both would compare what does not belong "
                "together. Nothing is lost. Expected the same command with "
                "--results=DIR, a new directory, or that study's files moved away."
            )


def note_time_slice(workdir: pathlib.Path) -> None:
    """Appends on what a time slice of a run starts: a run may use several machines."""
    workdir.mkdir(parents=True, exist_ok=True)
    used = jax.devices()
    kinds = ", ".join(sorted({device.device_kind for device in used}))
    line = {
        "device": f"{len(used)} x {kinds}",
        "host": f"{os.cpu_count()} cores of {devices.processor()}",
        "python": platform.python_version(),
        "precision": jax.config.jax_default_matmul_precision or "default",
        "commit": _commit(),
    }
    with (workdir / TIME_SLICES).open("a") as file:
        file.write(json_text(line) + "\n")


def _commit() -> str:
    """The commit of the checkout that runs, with -dirty; "" where it is none."""
    if not (pages.CHECKOUT / ".git").exists():
        return ""  # installed, maybe below a repository of the user's own
    words = ["git", "-C", str(pages.CHECKOUT), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(
            [*words, "--exclude=*", "--abbrev=12"], capture_output=True, text=True
        )
    except OSError:  # no git here
        return ""
    return done.stdout.strip()


def command(study: str, settings: Settings) -> str:
    """The command, as far as it changes a number; files without their directory."""
    words = [f"python -m kdjax reproduce {study}"]
    if settings.data.endswith(".npz"):
        words.append(f"--data={settings.data}")
    words.append(f"--seeds={','.join(map(str, settings.seeds))}")
    if settings.dtype != FLOAT32:
        words.append(f"--dtype={settings.dtype}")
    if settings.total_steps:
        words.append(f"--total_steps={settings.total_steps}")
    return " ".join(words)
