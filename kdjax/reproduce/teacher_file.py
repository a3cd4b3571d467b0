"""A study's teacher for others: a safetensors file, and a card that describes it."""

import hashlib
import pathlib

from kdjax.experiment.builders import allows_its_code
from kdjax.paths.json_files import read_json
from kdjax.reporting.console import say
from kdjax.reporting.files import replace
from kdjax.reproduce import pages, tables
from kdjax.reproduce.records import RECORD

LICENCE = (
    "The weights are under the licence of this repository, Apache-2.0. They were "
    "trained on CIFAR-100, whose images come without a licence of their own: whoever "
    "needs more than research has to judge that for themselves."
)


@allows_its_code
def export_teacher(config: dict, workdir: pathlib.Path, results: pathlib.Path) -> None:
    """Writes NAME.safetensors and NAME.md of a finished run into `results`.

    NAME is the directory's. Does nothing where the run is not recorded, or where both
    are there and the card is of these weights.
    """
    if not (workdir / RECORD).exists():
        return
    advice = "Delete it; the same command writes it anew."
    record = read_json(
        workdir / RECORD, "the record of a run", tables.RECORD_FORM, advice
    )
    weights, page = (
        results / f"{workdir.name}{end}" for end in (".safetensors", ".md")
    )
    (student,) = record["students"].values()
    if weights.exists() and page.exists() and student["digest"] in page.read_text():
        return
    # Only here: it brings what writes programs too.
    from kdjax.runner.export import export

    exported = export(workdir, weights, format="safetensors")
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    replace(page, card(record, weights.name, sha256, exported["layout"]))
    say(f"wrote {weights} and its card {page.name}")


def card(record: dict, file: str, sha256: str, layout: str) -> str:
    """What a user has to know of the file, in Markdown, from the run's record."""
    data, (student,) = record["data"], record["students"].values()
    train, test = data["train"], data["test"]
    moments = data["normalisation"]
    mean, std = (",".join(f"{x:g}" for x in moments[key]) for key in ("mean", "std"))
    height, width, channels = data["image_shape"]
    steps = record["total_steps"]
    length = f"{steps} steps" if steps else f"{record['total_epochs']:g} epochs"
    rows = [
        ("network", f"{student['model']['name']}, {data['classes']} classes"),
        ("parameters", f"{student['parameters']:,}"),
        ("data", f"{train['name']}, {train['num_examples']:,} training images"),
        ("trained by", f"{length} of batch {record['batch_size']}"),
        ("optimizer", _settings(record["optimizer"])),
        ("schedule", _settings(record["schedule"])),
        ("method", _settings(student["method"])),
        (
            "test accuracy",
            f"{student['metrics']['top1']:.2f} % of {test['num_examples']:,} images, "
            "last epoch, which was not chosen by it",
        ),
        ("seed", record["seed"]),
        ("command", record["command"]),
        ("device", ", then ".join(record["device"])),
        ("commit", ", ".join(record.get("commit", ()))),
        ("recorded", record["recorded"]),
        ("names of tensors", layout),
        ("SHA-256 of the file", sha256),
        ("digest of the weights", student["digest"]),
    ]
    command = (
        f"python -m kdjax import {file} --workdir=runs/teacher "
        f"--model={student['model']['name']} \\\n"
        f"    --image_shape={height},{width},{channels} --mean={mean} --std={std}"
    )
    return (
        f"# {pages.plain(student['model']['name'])} for {pages.plain(train['name'])}: "
        f"{pages.code(file)}\n\n{pages.table(('', ''), rows)}\n\n"
        f"{LICENCE}\n\n```\n{command}\n```\n"
    )


def _settings(section: dict) -> str:
    """A section of a config in a line: its name, then what it sets."""
    rest = [f"{key} {value}" for key, value in section.items() if key != "name"]
    return ", ".join([section["name"], *rest])
