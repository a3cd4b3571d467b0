"""What experiment trackers get of a run, and the images at its end."""

import functools
import pathlib
from collections.abc import Callable

import jax
import numpy as np

import kdjax
from kdjax.analysis.disagreement import most_disagreed
from kdjax.experiment.build import Experiment
from kdjax.reporting import trackers
from kdjax.reporting.image_grid import image_grid
from kdjax.runner.evaluation import Evaluation
from kdjax.training import sharding
from kdjax.training.metrics import in_flight
from kdjax.types import PyTree


def opener(experiment: Experiment, workdir: pathlib.Path) -> Callable[..., list]:
    """(rows, say) -> the trackers of `config.trackers`, for the reporter."""
    students = experiment.identity["students"].values()
    tags = {
        "kdjax": kdjax.__version__,
        "data": experiment.identity["data"]["train"]["name"],
        "models": _names(row["model"]["name"] for row in students),
        "methods": _names(row["method"]["name"] for row in students),
    }
    config = trackers.public(experiment.config)
    directory = workdir / trackers.DIRECTORY
    run = trackers.Run(directory, workdir.name, config, trackers.public(tags))
    names = experiment.config["trackers"]
    return functools.partial(trackers.open_trackers, names, run)


def _names(names) -> str:
    return ", ".join(dict.fromkeys(map(str, names)))


def disagreement(
    experiment: Experiment, evaluate: Evaluation, states: PyTree, reporter
) -> None:
    """Reports the test images on which each student and its teacher differ most.

    All processes call it. A student whose logits are not finite is left out.
    """
    count, split = experiment.config["evaluation"]["images"], experiment.test
    teacher, students = _logits(evaluate, states)
    step = experiment.plan.total_steps
    for name in experiment.students if reporter.shows_images else ():
        logits = students[name]
        if not np.isfinite(logits).all():
            continue
        indices, scores = most_disagreed(logits, teacher, count)
        images = np.stack([split.image[i : i + 1][0] for i in indices])
        captions = [
            _caption(split.class_names, split.label[i], teacher[i], logits[i], score)
            for i, score in zip(indices, scores, strict=True)
        ]
        reporter.image(step, f"eval/{name}/disagreement", image_grid(images, captions))


def _caption(names: tuple[str, ...], label: int, teacher, student, score) -> str:
    """Label, and what the two networks predict with how much probability."""

    def predicted(logits) -> str:
        logits = np.asarray(logits, np.float64)
        e = np.exp(logits - logits.max())
        return f"{names[logits.argmax()]} {100 * e.max() / e.sum():.0f} %"

    lines = [f"label {names[label]}", f"teacher {predicted(teacher)}"]
    return "\n".join([*lines, f"student {predicted(student)}", f"JS {score:.3f}"])


def _logits(evaluate: Evaluation, states: PyTree):
    """(the teacher's, name -> a student's) of all test images, in their order."""

    def step(variables, batch):
        images = evaluate.normalise(batch["image"])
        students = {
            name: network.evaluate(*variables[name], images).logits
            for name, network in evaluate.networks.items()
        }
        return batch["teacher_logits"], students

    batches = evaluate.batches
    compiled = sharding.compile_evaluate_step(step, batches.mesh)
    variables = {name: state.evaluated for name, state in states.items()}
    outputs = in_flight(compiled(variables, placed) for placed in batches.placed())
    parts = [
        jax.tree.map(lambda x, count=count: np.asarray(x)[:count], part)
        for part, count in zip(outputs, batches.counts, strict=True)
    ]
    return jax.tree.map(lambda *rows: np.concatenate(rows), *parts)
