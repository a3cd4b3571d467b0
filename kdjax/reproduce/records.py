"""What a finished run measured, as a JSON file that names no machine's directory."""

import datetime
import hashlib
import json
import pathlib
import platform
import shutil

import jax

from kdjax import checkpoints
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.reporting.files import replace
from kdjax.reporting.reporter import read_rows
from kdjax.reporting.results import SUMMARY
from kdjax.reproduce import results
from kdjax.reproduce.plans import FLOAT32, Part, Settings

PIECES, RECORD = "pieces.jsonl", "record.json"


class Book:
    """Takes down every finished run of a study, once."""

    def __init__(self, study: str, where: pathlib.Path, command: str):
        """Where the files go; RESULTS.md is beside that directory."""
        self.study, self.where, self.command = study, where, command

    def enter(self, part: Part, workdir: pathlib.Path) -> None:
        """Writes the run's record, if it is not there, and RESULTS.md."""
        own = workdir / RECORD
        if not own.exists():
            told = {"study": self.study, "run": part.name, "command": self.command}
            told |= {"pair": part.pair._asdict()} | measured(part, workdir)
            replace(own, json.dumps(told, indent=2) + "\n")
        digests = json.loads(own.read_text())["students"].values()
        short = hashlib.sha256("".join(row["digest"] for row in digests).encode())
        target = self.where / f"{self.study}-{part.name}-{short.hexdigest()[:12]}.json"
        if not target.exists():
            self.where.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(own, target)
            results.write(self.study, self.where)


def note_piece(workdir: pathlib.Path) -> None:
    """Writes down on what a piece of a run begins: a run may see several machines."""
    workdir.mkdir(parents=True, exist_ok=True)
    found = jax.devices()
    kinds = ", ".join(sorted({device.device_kind for device in found}))
    line = {
        "device": f"{len(found)} x {kinds}",
        "python": platform.python_version(),
        "precision": jax.config.jax_default_matmul_precision or "default",
    }
    with (workdir / PIECES).open("a") as file:
        file.write(json.dumps(line) + "\n")


def command(study: str, settings: Settings) -> str:
    """What was typed, as far as it changes a number; files without their directory."""
    words = [f"launch/reproduce_{study}.sh"]
    if settings.data.endswith(".npz"):
        words.append(f"--data={settings.data}")
    words.append(f"--seeds={','.join(map(str, settings.seeds))}")
    if settings.dtype != FLOAT32:
        words.append(f"--dtype={settings.dtype}")
    if settings.total_steps:
        words.append(f"--total_steps={settings.total_steps}")
    return " ".join(words)


def measured(part: Part, workdir: pathlib.Path) -> dict:
    """A finished run's devices, versions, protocol, data, teacher and students."""
    whole = json.loads((workdir / SUMMARY).read_text())
    identity, teacher = whole["identity"], whole["identity"]["teacher"]
    pieces = read_rows(workdir / PIECES)
    seen = {key: list(dict.fromkeys(row[key] for row in pieces)) for key in pieces[0]}
    return {
        "recorded": datetime.date.today().isoformat(),
        **seen,
        "versions": identity["versions"],
        "seed": part.config["seed"],
        "dtype": part.config["model"].get("dtype", FLOAT32),
        "batch_size": part.config["batch_size"],
        "total_epochs": part.config["total_epochs"],
        "total_steps": part.config["total_steps"],
        "data": identity["data"],
        "teacher": teacher and {key: teacher[key] for key in ("model", "digest")},
        "seconds": whole["seconds"],
        "students": {
            name: _student(workdir, name, row, whole["students"][name]["metrics"])
            for name, row in identity["students"].items()
        },
    }


def _student(workdir: pathlib.Path, name: str, row: dict, metrics: dict) -> dict:
    """Who a student is, what its network came to, and what that scores."""
    directory = workdir / CHECKPOINTS
    meta, _ = checkpoints.read_meta(directory)
    variables = checkpoints.read_variables(directory, meta["step"], name)
    # Not the selection itself: it names directories. Its digest says what it chose.
    keys = ("model", "method", "selection_digest")
    kept = {key: row[key] for key in keys if key in row}
    return kept | {"digest": checkpoints.digest(variables), "metrics": metrics}
