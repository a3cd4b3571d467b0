"""Compares finished students with their teacher: a JSON file and three figures."""

import pathlib

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
from kdjax.reporting.figures import class_projections, densities
from kdjax.reporting.files import replace_json
from kdjax.runner.evaluate import normaliser, teacher_section
from kdjax.runner.scored_images import run_split
from kdjax.training.evaluator import answers


def analyse(
    workdirs: list[pathlib.Path], output: pathlib.Path, *, classes: str = "", **images
) -> dict[str, dict[str, float]]:
    """Writes analysis.json and the figures; returns a summary of every student.

    `classes` are the three that are projected, separated by commas; `images` are split
    and data_dir of `run_split`, by default the training split.
    """
    summaries, distances, norms, clusters = {}, {}, {}, {}
    for workdir in workdirs:
        meta, _ = checkpoints.read_meta(workdir / CHECKPOINTS)
        if not meta["teacher"]:
            raise InputError(f"{workdir}: its students had no teacher to compare with.")
        data = meta["data"]
        split = run_split(workdir, data["train"], **images)
        names = _three_classes(split, classes)
        teacher = load_teacher(teacher_section(meta["teacher"]), data)
        teacher_outputs = _outputs(teacher, data, split, needs_features=False)
        teacher_features = teacher_outputs.get("features")
        for student in meta["students"]:
            section = {"workdir": str(workdir), "student": student}
            trained = load_trained("analyse", section | {"checkpoint": "latest"}, data)
            outputs = _outputs(trained, data, split)
            features = outputs["features"]
            pair = outputs["logits"], teacher_outputs["logits"]
            name = student if len(workdirs) == 1 else f"{workdir.name}/{student}"
            clusters[name] = _cluster(trained, features, split.label, names)
            stretch = elongation(*clusters[name])
            summaries[name] = student_teacher.summary(
                *pair, student_features=features, teacher_features=teacher_features
            ) | {f"elongation/{names[k]}": ratio for k, ratio in stretch.items()}
            distances[name] = student_teacher.compare_logits(*pair)["logit_distance"]
            norms[name] = student_teacher.feature_norms(features)
    replace_json(output / "analysis.json", summaries)
    own = teacher_features
    own = None if own is None else student_teacher.feature_norms(own)
    path, unit = output / "logit_distances.png", "distance of the logits"
    densities(distances, path, "Logit distance", f"{unit} from the teacher's")
    path, unit = output / "feature_norms.png", "norm of the penultimate features"
    densities(norms, path, "Feature norm", unit, own)
    class_projections(clusters, names, output / "projections.png")
    return summaries


def _three_classes(split: Split, given: str) -> dict[int, str]:
    """Class -> name of the three classes to project; the first three by default."""
    names = given.split(",") if given else list(split.class_names[:3])
    for name in names:
        if name not in split.class_names:
            raise InputError(
                f"--classes: {name!r} is not a class of {split.identity['name']}."
                + nearest(name, split.class_names)
            )
    if len(set(names)) != 3:
        raise InputError(f"--classes is {given!r}; expected three class names.")
    return {split.class_names.index(name): name for name in names}


def _outputs(
    trained: Teacher, data: dict, split: Split, needs_features: bool = True
) -> dict[str, np.ndarray]:
    """Logits [n, k] and features [n, d]; of an ensemble the mean, side by side."""
    network, normalise = (trained.network, trained.variables), normaliser(data).evaluate
    outputs = answers(*network, normalise, split, needs_features=needs_features)
    if outputs["logits"].ndim == 3:
        outputs["logits"] = outputs["logits"].mean(1)
        if "features" in outputs:
            outputs["features"] = outputs["features"].reshape(len(split.label), -1)
    return outputs


def _cluster(trained: Teacher, features, labels, names: dict[int, str]):
    """The three classes' samples in the plane of their weights, and their labels."""
    width, classes = features.shape[1], int(labels.max()) + 1
    matrices = (x for x in jax.tree.leaves(trained.variables[0]) if x.ndim == 2)
    kernels = [x for x in matrices if x.shape[0] == width and x.shape[1] >= classes]
    if len(kernels) != 1:
        raise InputError(
            f"analyse: found {len(kernels)} kernels of {width} features; expected one, "
            "the last layer."
        )
    shown = np.isin(labels, list(names))
    templates = np.asarray(kernels[0])[:, list(names)].T
    return three_class_projection(features[shown], templates), labels[shown]
