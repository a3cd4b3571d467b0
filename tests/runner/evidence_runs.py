"""Trained runs of which a report is made, and their networks computed by NumPy."""

import shutil

import numpy as np
from ml_collections import ConfigDict

from configs import recipes
from kdjax import checkpoints
from kdjax.experiment import schema
from kdjax.experiment.build import build
from kdjax.experiment.stages import split_stages
from kdjax.reporting.files import replace_json, replace_npz
from kdjax.reporting.results import read_summary
from kdjax.runner import run
from tests.experiment import configs

NOISE = {"name": "symmetric", "rate": 0.4, "seed": 888}
DETECTOR = {"name": "detector", "detector": "clk", "first_epoch": 0.5}
METHODS = {
    "ce": {"name": "ce"},
    "kd": {"name": "kd", "alpha": 0.9, "temperature": float("inf")},
    "lr": {"name": "lr_kl", "temperature": 4.0, "eta": 0.7},
}


def coarse(data_dir):
    """A network that is linear in every fourth pixel, which NumPy computes as well."""
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    config.evaluation.every_epochs = 0.0
    return config


def train_runs(root, data_dir):
    """Two teachers, students of the first, a student of both; noisy labels; a sweep."""
    for seed, name in enumerate(("teacher", "second")):
        config = coarse(data_dir)
        config.seed = seed
        run.run(config, root / name)
    config = coarse(data_dir)
    config.teacher.workdir, config.seed = str(root / "teacher"), 7
    config.total_steps = 3
    config.students = ConfigDict({n: {"method": m} for n, m in METHODS.items()})
    run.run(config, root / "students")
    config.students = ConfigDict({"kd": {"method": METHODS["kd"]}})
    config.teacher.workdir = f"{root / 'teacher'},{root / 'second'}"
    run.run(config, root / "of_both")
    config = coarse(data_dir)
    config.method = ConfigDict({"name": "tickets"})
    config.data.noise = ConfigDict(NOISE)
    config.students = ConfigDict({"own": {"selection": DETECTOR}})
    run.run(config, root / "noisy")
    # The last of three stages, of which the first two are taken as done.
    label = build(config).train.label
    kept = {"keep": label < 6, "labels": label, "score": -np.float64(label)}
    config.students = ConfigDict({})
    replace_npz(root / "tickets" / "select" / "selection.npz", **kept)
    config = recipes.tickets(config, "clk")
    stages = split_stages(config, root / "tickets")
    replace_json(root / "tickets" / "config.json", schema.resolved(config))
    run.run_stage(stages["retrain"], root / "tickets" / "retrain")
    as_sweep(root)


def as_sweep(root):
    """The students once more, as trials of a sweep that share a program."""
    program = copied(root / "students", root / "sweep" / "programs" / "one")
    for name in METHODS:
        trial = root / "sweep" / f"method-{name}"
        copied(program, trial)
        shutil.rmtree(trial / "checkpoints")
        summary = read_summary(trial / "summary.json")
        students, own = (x["students"] for x in (summary, summary["identity"]))
        summary["students"], summary["identity"]["students"] = (
            {METHODS[name]["name"]: one[name]} for one in (students, own)
        )
        summary["program"] = {"workdir": "programs/one", "student": name}
        replace_json(trial / "summary.json", summary)


def copied(source, target):
    """A run that was moved, and that no report was made of."""
    return shutil.copytree(source, target, ignore=shutil.ignore_patterns("analysis"))


def variables(workdir, name):
    meta, _ = checkpoints.read_meta(workdir / "checkpoints")
    where = workdir / "checkpoints", meta["step"], name
    dense = checkpoints.read_variables(*where)[0]["Dense_0"]
    return np.float64(dense["kernel"]), np.float64(dense["bias"])


def pixels(images):
    normal = (np.float64(images) / 255 - 0.286) / 0.353
    return normal[:, ::4, ::4].reshape(len(images), -1)


def logits(workdir, name, images):
    kernel, bias = variables(workdir, name)
    return pixels(images) @ kernel + bias
