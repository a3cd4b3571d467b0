"""Compares finished students with their teacher: a JSON file and three figures."""

import json
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from kdjax import checkpoints
from kdjax.analysis import student_teacher
from kdjax.analysis.projection import elongation, three_class_projection
from kdjax.contracts import InputError, nearest
from kdjax.data.load import Split
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.experiment.pretrained import Teacher, load_trained
from kdjax.experiment.teachers import load_teacher
from kdjax.reporting import analysis_figures
from kdjax.reporting.files import replace
from kdjax.runner.evaluate import ROWS, normaliser, run_split, teacher_section
from kdjax.training.evaluator import answers


class Comparison(NamedTuple):
    """Of one student with its teacher."""

    summary: dict[str, float]
    distances: np.ndarray  # [n], of the logits
    norms: np.ndarray  # [n], of the features
    points: np.ndarray  # [m, 2], of three classes
    labels: np.ndarray  # [m]


class RunAnalysis(NamedTuple):
    """Of the students of one run."""

    students: dict[str, Comparison]
    teacher_norms: np.ndarray | None
    class_names: dict[int, str]


def analyse(
    workdirs: list[pathlib.Path],
    output: pathlib.Path,
    *,
    split: str = "",
    classes: str = "",
    data_dir: str | None = None,
) -> dict[str, dict[str, float]]:
    """Writes analysis.json and the figures; returns a summary of every student.

    Args:
      workdirs: of finished runs with a teacher.
      output: directory, created where it is missing.
      split: of the runs' set; default: the training split.
      classes: names of the three that are projected, separated by commas.
      data_dir: default: that of each run.
    """
    output.mkdir(parents=True, exist_ok=True)
    students = {}
    for workdir in workdirs:
        run = _compare(workdir, split, classes, data_dir)
        prefix = "" if len(workdirs) == 1 else f"{workdir.name}/"
        students |= {f"{prefix}{name}": row for name, row in run.students.items()}
    summaries = {name: row.summary for name, row in students.items()}
    replace(output / "analysis.json", json.dumps(summaries, indent=2) + "\n")
    analysis_figures.logit_distance_densities(
        {name: row.distances for name, row in students.items()},
        output / "logit_distances.png",
    )
    analysis_figures.feature_norm_densities(
        {name: row.norms for name, row in students.items()},
        output / "feature_norms.png",
        teacher=run.teacher_norms,
    )
    analysis_figures.class_projections(
        {name: (row.points, row.labels) for name, row in students.items()},
        run.class_names,
        output / "projections.png",
    )
    return summaries


def _compare(
    workdir: pathlib.Path, split: str, classes: str, data_dir: str | None
) -> RunAnalysis:
    """Every student of one run with their teacher."""
    meta, _ = checkpoints.read_meta(workdir / CHECKPOINTS)
    if not meta["teacher"]:
        raise InputError(f"{workdir}: its students had no teacher to compare with.")
    data = meta["data"]
    images = run_split(workdir, data["train"], split, data_dir)
    names = _three_classes(images, classes)
    teacher = load_teacher(teacher_section(meta["teacher"]), data)
    normalise = normaliser(data).evaluate
    teacher_outputs = _outputs(teacher, normalise, images, needs_features=False)
    students = {}
    for name in meta["students"]:
        section = {"workdir": str(workdir), "student": name, "checkpoint": "latest"}
        student = load_trained("analyse", section, data)
        outputs = _outputs(student, normalise, images)
        students[name] = _comparison(student, outputs, teacher_outputs, images, names)
    features = teacher_outputs.get("features")
    norms = None if features is None else student_teacher.feature_norms(features)
    return RunAnalysis(students, norms, names)


def _comparison(
    student: Teacher,
    outputs: dict[str, np.ndarray],
    teacher_outputs: dict[str, np.ndarray],
    images: Split,
    names: dict[int, str],
) -> Comparison:
    logits = outputs["logits"], teacher_outputs["logits"]
    features, labels = outputs["features"], images.label
    summary = student_teacher.summary(
        *logits,
        student_features=features,
        teacher_features=teacher_outputs.get("features"),
    )
    kernel = _last_kernel(student, features.shape[1], int(labels.max()) + 1)
    shown = np.isin(labels, list(names))
    templates = kernel[:, list(names)].T
    points, labels = three_class_projection(features[shown], templates), labels[shown]
    ratios = elongation(points, labels)
    return Comparison(
        summary | {f"elongation/{names[k]}": ratio for k, ratio in ratios.items()},
        student_teacher.logit_distance(*logits),
        student_teacher.feature_norms(features),
        points,
        labels,
    )


def _three_classes(images: Split, given: str) -> dict[int, str]:
    """Class -> name of the three classes to project; the first three by default."""
    names = given.split(",") if given else list(images.class_names[:3])
    for name in names:
        if name not in images.class_names:
            raise InputError(
                f"--classes: {name!r} is not a class of {images.identity['name']}."
                + nearest(name, images.class_names)
            )
    if len(set(names)) != 3:
        raise InputError(f"--classes is {given!r}; expected three class names.")
    return {images.class_names.index(name): name for name in names}


def _outputs(
    trained: Teacher, normalise: Callable, images: Split, needs_features: bool = True
) -> dict[str, np.ndarray]:
    """Logits [n, k] and features [n, d]; of an ensemble the mean, side by side.

    Teachers of different widths have no features together, and no norms of them.
    """
    network, variables = trained.network, trained.variables
    outputs = answers(network, variables, normalise, images, ROWS, needs_features)
    if outputs["logits"].ndim == 3:
        outputs["logits"] = outputs["logits"].mean(1)
        if "features" in outputs:
            outputs["features"] = outputs["features"].reshape(len(images.label), -1)
    return outputs


def _last_kernel(trained: Teacher, features: int, classes: int) -> np.ndarray:
    """[features, classes or more]."""
    kernels = [
        leaf
        for leaf in jax.tree.leaves(trained.variables[0])
        if leaf.ndim == 2 and leaf.shape[0] == features and leaf.shape[1] >= classes
    ]
    if len(kernels) != 1:
        raise InputError(
            f"analyse: found {len(kernels)} kernels of {features} features; expected "
            "one, the last layer."
        )
    return np.asarray(kernels[0])
