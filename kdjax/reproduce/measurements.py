"""What a finished run measured: scores and curves, speed, and its teacher's errors."""

import datetime
import json
import pathlib
import statistics

import jax
import numpy as np

from kdjax import checkpoints
from kdjax.experiment import schema
from kdjax.experiment.builders import allows_its_code
from kdjax.experiment.data import load_data
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.experiment.teachers import load_teacher
from kdjax.reporting.reporter import read_rows
from kdjax.reporting.results import SUMMARY, read_summary
from kdjax.reproduce.plans import FLOAT32, Run
from kdjax.training.evaluator import answers

TIME_SLICES = "pieces.jsonl"  # on what each time slice of a run was computed
OF_A_SLICE = ("device", "python", "precision", "commit", "host")


def measurements(run: Run, workdir: pathlib.Path) -> dict:
    """A finished run's devices, versions, protocol, data, teacher and students.

    `seconds` is wall time over all resumes, and `time` what it went to.
    `images_per_second` is the median over the rows of metrics.jsonl: each image goes
    through all students of the program. `teacher.wrong_labels` is of `wrong_labels`.
    """
    summary, config = read_summary(workdir / SUMMARY), run.config
    identity, rows = summary["identity"], read_rows(workdir / "metrics.jsonl")
    rates = [row[key] for row in rows if (key := "train/images_per_second") in row]
    return {
        "recorded": datetime.date.today().isoformat(),
        **_time_slices(workdir),
        "versions": identity["versions"],
        "seed": config["seed"],
        "dtype": config["model"].get("dtype", FLOAT32),
        **{key: config[key] for key in ("batch_size", "total_epochs", "total_steps")},
        **{key: schema.jsonable(config[key]) for key in ("schedule", "optimizer")},
        "data": identity["data"],
        "teacher": _teacher(config, identity["teacher"]),
        "kept": _kept(config["data"]["keep"]),
        "seconds": summary["seconds"],
        "time": summary["time"],
        "images_per_second": statistics.median(rates) if rates else None,
        "students": {
            name: _weights(workdir, name, student)
            | {"metrics": summary["students"][name]["metrics"]}
            | curve(rows, name)
            | shares(rows, name)
            for name, student in identity["students"].items()
        },
    }


def curve(rows: list[dict], name: str) -> dict:
    """A student's evaluations, and the best one, from the rows of metrics.jsonl.

    "curve" has a list each of epoch, top1 and loss on the test images, and train_loss:
    the mean over the rows since the evaluation before, null where there is none.

    >>> rows = [{"epoch": 0.5, "train/s/loss": x} for x in (2.0, 1.0)]
    >>> rows += [{"epoch": 1.0, "eval/s/top1": 50.0, "eval/s/loss": 0.9}]
    >>> curve(rows, "s")["curve"]
    {'epoch': [1.0], 'top1': [50.0], 'loss': [0.9], 'train_loss': [1.5]}
    >>> curve(rows, "s")["best"]
    {'top1': 50.0, 'epoch': 1.0}
    """
    points = {"epoch": [], "top1": [], "loss": [], "train_loss": []}
    losses = []
    for row in rows:
        loss = row.get(f"train/{name}/loss")
        losses += [loss] if loss is not None else []
        if f"eval/{name}/top1" in row:
            points["epoch"].append(row["epoch"])
            for key in ("top1", "loss"):
                points[key].append(row[f"eval/{name}/{key}"])
            points["train_loss"].append(statistics.fmean(losses) if losses else None)
            losses = []
    best = max(range(len(points["top1"])), key=points["top1"].__getitem__)
    return {
        "best": {key: points[key][best] for key in ("top1", "epoch")},
        "curve": points,
    }


def shares(rows: list[dict], name: str) -> dict:
    """Means over a training of what `compute_loss` reports of rules on targets.

    >>> shares([{"train/s/teacher/top1": x} for x in (0.5, 1.0)], "s")
    {'shares': {'teacher/top1': 0.75}}
    """
    means = {}
    for share in ("teacher/top1", "target/changed"):
        key = f"train/{name}/{share}"
        values = [row[key] for row in rows if key in row]
        means |= {share: statistics.fmean(values)} if values else {}
    return {"shares": means} if means else {}


def _time_slices(workdir: pathlib.Path) -> dict[str, list[str]]:
    """What differs between time slices, each value once."""
    slices = read_rows(workdir / TIME_SLICES, {})
    values = {key: [one.get(key) for one in slices] for key in OF_A_SLICE}
    return {key: list(dict.fromkeys(filter(None, v))) for key, v in values.items()}


def _teacher(config: dict, identity: dict | None) -> dict | None:
    if not identity:
        return None
    sections = schema.jsonable({key: config[key] for key in ("teacher", "data")})
    key = json.dumps(sections, sort_keys=True)
    if key not in _WRONG_LABELS:
        _WRONG_LABELS[key] = wrong_labels(config)
    own = {key: identity[key] for key in ("model", "digest")}
    return own | {"wrong_labels": _WRONG_LABELS[key]}


# By config.teacher and config.data: the students of all seeds have one teacher.
_WRONG_LABELS: dict[str, dict] = {}


@allows_its_code
def wrong_labels(config: dict) -> dict:
    """How often a teacher is wrong on the images that its students train on.

    {"images", "percent" of the labels that are given, and under label noise
    "percent_of_true"}, without augmentation.
    """
    images = load_data(config["data"])
    teacher = load_teacher(config["teacher"], images.identity)
    given = (teacher.network, teacher.variables, images.augment.evaluate, images.train)
    predicted = np.argmax(answers(*given, needs_features=False)["logits"], axis=-1)
    wrong = {"images": len(predicted)}
    wrong["percent"] = 100 * float(np.mean(predicted != images.train.label))
    if "noise" in images.train.identity:
        is_wrong = predicted != images.true_labels
        wrong["percent_of_true"] = 100 * float(np.mean(is_wrong))
    return wrong


def _kept(selection: str) -> dict | None:
    """How many samples a selection keeps, and how well, where labels are noisy."""
    if not selection:
        return None
    from kdjax.runner.select import read_selection

    summary = read_selection(pathlib.Path(selection))
    return {key: summary[key] for key in ("kept", "agreement") if key in summary}


def _weights(workdir: pathlib.Path, name: str, identity: dict) -> dict:
    """A student's model and method, and digests of its selection and weights."""
    directory = workdir / CHECKPOINTS
    meta, _ = checkpoints.read_meta(directory)
    variables = checkpoints.read_variables(directory, meta["step"], name)
    # Not the selection itself, which names directories.
    keys = ("model", "method", "selection_digest", "denominator")
    student = {key: identity[key] for key in keys if key in identity}
    parameters = sum(leaf.size for leaf in jax.tree.leaves(variables[0]))
    student["digest"] = checkpoints.digest(variables)
    return student | {"parameters": int(parameters)}
