"""What a finished run measured, as a JSON file that names no machine's directory."""

import datetime
import hashlib
import pathlib
import platform
import shutil
import subprocess
from collections.abc import Callable

import jax

from kdjax import checkpoints
from kdjax.contracts import json_text
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.paths.files import written
from kdjax.paths.json_files import read_json
from kdjax.reporting.files import replace_record
from kdjax.reporting.reporter import read_rows
from kdjax.reporting.results import SUMMARY, read_summary
from kdjax.reproduce import pages, tables
from kdjax.reproduce.plans import FLOAT32, Run, Settings

TIME_SLICES, RECORD = "pieces.jsonl", "record.json"
METRICS = "metrics.jsonl"


def add(
    study: str,
    command: str,
    results: pathlib.Path,
    write: Callable[[str, pathlib.Path], object],
    run: Run,
    workdir: pathlib.Path,
    *,
    measure: Callable[[Run, pathlib.Path], dict] = lambda run, workdir: {},
) -> None:
    """Writes a finished run's record below `results` and, by `write`, the page.

    Does nothing where the record is there already. `measure` adds to it what a study
    asks of a finished run beside its own metrics.
    """
    if run.config["select"]:
        return  # stands in the records of the runs that train on it
    own = workdir / RECORD
    if not own.exists():
        record = {"study": study, "run": run.name, "command": command}
        record |= {"pair": run.pair._asdict()} | _measured(run, workdir)
        record |= measure(run, workdir)
        replace_record(own, record)
    advice = "Delete it; the same command writes it anew."
    record = read_json(own, "the record of a run", tables.RECORD_FORM, advice)
    students = record["students"].values()
    digests = "".join(student["digest"] for student in students)
    short = hashlib.sha256(digests.encode()).hexdigest()[:12]
    target = results / f"{study}-{run.name.replace('/', '-')}-{short}.json"
    if not target.exists():
        with written(target) as part:
            shutil.copyfile(own, part)
        write(study, results)


def note_time_slice(workdir: pathlib.Path) -> None:
    """Appends on what a time slice of a run starts: a run may use several machines."""
    workdir.mkdir(parents=True, exist_ok=True)
    devices = jax.devices()
    kinds = ", ".join(sorted({device.device_kind for device in devices}))
    line = {
        "device": f"{len(devices)} x {kinds}",
        "python": platform.python_version(),
        "precision": jax.config.jax_default_matmul_precision or "default",
        "commit": _commit(),
    }
    with (workdir / TIME_SLICES).open("a") as file:
        file.write(json_text(line) + "\n")


def _commit() -> str:
    """The commit of the checkout that runs, with -dirty; "" where it is none."""
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


def _measured(run: Run, workdir: pathlib.Path) -> dict:
    """A finished run's devices, versions, protocol, data, teacher and students."""
    summary = read_summary(workdir / SUMMARY)
    identity, teacher = summary["identity"], summary["identity"]["teacher"]
    slices = read_rows(workdir / TIME_SLICES, {})
    commits = dict.fromkeys(one.pop("commit", "") for one in slices)
    return {
        "recorded": datetime.date.today().isoformat(),
        **{key: list(dict.fromkeys(s[key] for s in slices)) for key in slices[0]},
        "commit": [commit for commit in commits if commit],
        "versions": identity["versions"],
        "seed": run.config["seed"],
        "dtype": run.config["model"].get("dtype", FLOAT32),
        "batch_size": run.config["batch_size"],
        "total_epochs": run.config["total_epochs"],
        "total_steps": run.config["total_steps"],
        "data": identity["data"],
        "teacher": teacher and {key: teacher[key] for key in ("model", "digest")},
        "kept": _kept(run.config["data"]["keep"]),
        "seconds": summary["seconds"],
        "students": {
            name: _student(workdir, name, student, summary["students"][name])
            for name, student in identity["students"].items()
        },
    }


def _kept(selection: str) -> dict | None:
    """How many samples a selection keeps, and how well, where labels are noisy."""
    if not selection:
        return None
    from kdjax.runner.select import read_selection

    summary = read_selection(pathlib.Path(selection))
    return {key: summary[key] for key in ("kept", "agreement") if key in summary}


def _student(workdir: pathlib.Path, name: str, identity: dict, scores: dict) -> dict:
    """A student's model, method, digests of selection and weights, and metrics."""
    directory = workdir / CHECKPOINTS
    meta, _ = checkpoints.read_meta(directory)
    variables = checkpoints.read_variables(directory, meta["step"], name)
    # Not the selection itself, which names directories.
    keys = ("model", "method", "selection_digest", "denominator")
    student = {key: identity[key] for key in keys if key in identity}
    digest = checkpoints.digest(variables)
    student |= {"digest": digest, "metrics": scores["metrics"]}
    return student | _shares(workdir, name)


def _shares(workdir: pathlib.Path, student: str) -> dict:
    """Means over a training: how often the teacher was right, and a rule changed it."""
    rows, shares = read_rows(workdir / METRICS), {}
    for share in ("teacher/top1", "target/changed"):
        key = f"train/{student}/{share}"
        values = [row[key] for row in rows if key in row]
        shares |= {share: sum(values) / len(values)} if values else {}
    return {"shares": shares} if shares else {}
