"""python -m kdjax analyse: how finished students differ from their teacher.

  python -m kdjax analyse WORKDIR [WORKDIR ...] --output=DIR [--split=train]
                          [--classes=apple,aquarium_fish,baby] [--data_dir=DIR]

For every student: distance of the logits per sample, its parts of arXiv:2105.08919
(half mean square, delta infinity, their sum), the gap between the means of the logits,
norms of the penultimate features, agreement. Writes analysis.json and three figures:
densities of distances and norms, and three classes in the plane of their weights.
"""

import argparse
import json
import pathlib
import sys

import jax
import numpy as np

from kdjax import checkpoints, cli, paths
from kdjax.analysis import student_teacher
from kdjax.analysis.projection import elongation, three_class_projection
from kdjax.contracts import InputError, nearest
from kdjax.data.load import Split, crops_of, exact_name, load_split
from kdjax.data.transforms.augment import Augment
from kdjax.distributed import devices
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.experiment.pretrained import Teacher, load_trained
from kdjax.experiment.teachers import load_teacher
from kdjax.reporting import analysis_figures
from kdjax.reporting.files import replace
from kdjax.runner import workdir as workdirs
from kdjax.training.evaluator import answers

ROWS = 500


def main(argv: list[str]) -> int:
    options = _options(argv)
    devices.configure_cpu(options.devices, ROWS)
    where = paths.local(options.output, "--output")
    runs = [paths.local(w, "WORKDIR").resolve() for w in options.workdirs]
    where.mkdir(parents=True, exist_ok=True)
    told, distances, norms, clusters, teacher_norms = {}, {}, {}, {}, None
    for workdir in runs:
        found = look(workdir, options)
        told |= found["told"]
        distances |= found["distances"]
        norms |= found["norms"]
        clusters |= found["clusters"]
        teacher_norms = found["teacher_norms"]
    replace(where / "analysis.json", json.dumps(told, indent=2) + "\n")
    analysis_figures.logit_distance_densities(distances, where / "logit_distances.png")
    analysis_figures.feature_norm_densities(
        norms, where / "feature_norms.png", teacher=teacher_norms
    )
    analysis_figures.class_projections(
        clusters, found["class_names"], where / "projections.png"
    )
    for name, row in told.items():
        print(
            f"{name}: median distance {row['logit_distance/median']:.3f}, mean gap "
            f"{row['logit_mean_gap/mean']:.3f}, agreement {row['agreement']:.2f} %"
        )
    print(f"wrote {where}", file=sys.stderr)
    return 0


def _options(argv: list[str]) -> argparse.Namespace:
    parser = cli.parser("analyse", __doc__)
    parser.add_argument("workdirs", nargs="+")
    parser.add_argument("--output", required=True)
    parser.add_argument("--split", default="", help="default: the run's training split")
    parser.add_argument("--classes", default="", help="three, for the projection")
    parser.add_argument("--data_dir", help="TFDS data; default $TFDS_DATA_DIR")
    parser.add_argument("--devices", type=int, help="virtual devices, on CPU only")
    return parser.parse_args(argv)


def look(workdir: pathlib.Path, options) -> dict:
    """Everything about one run's students and their teacher."""
    meta, _ = checkpoints.read_meta(workdir / CHECKPOINTS)
    if not meta["teacher"]:
        raise InputError(f"{workdir}: its students had no teacher to compare with.")
    data = meta["data"]
    split = _split(workdir, data["train"], options)
    names = _three(split, options.classes)
    teacher = load_teacher(_section(meta["teacher"]), data)
    normalise = Augment(**data["normalisation"], padding=0, flip=False).evaluate
    teacher_outputs = _answers(teacher, normalise, split, needs_features=False)
    result = {"told": {}, "distances": {}, "norms": {}, "clusters": {}}
    result["teacher_norms"] = (
        _norms(teacher_outputs) if "features" in teacher_outputs else None
    )
    result["class_names"] = names
    for name in meta["students"]:
        who = {"workdir": str(workdir), "student": name, "checkpoint": "latest"}
        trained = load_trained("analyse", who, data)
        said = _answers(trained, normalise, split)
        logits = said["logits"], teacher_outputs["logits"]
        features = said["features"]
        told = student_teacher.summary(
            *logits,
            student_features=features,
            teacher_features=teacher_outputs.get("features"),
        )
        points, labels = _projected(trained, features, split.label, names)
        stretch = elongation(points, labels)
        told |= {f"elongation/{names[k]}": value for k, value in stretch.items()}
        label = name if len(options.workdirs) == 1 else f"{workdir.name}/{name}"
        result["told"][label] = told
        result["distances"][label] = student_teacher.logit_distance(*logits)
        result["norms"][label] = _norms(said)
        result["clusters"][label] = (points, labels)
    return result


def _section(who: dict) -> dict:
    return {
        "workdir": who.get("workdir", ""),
        "network": who.get("network", ""),
        "student": who.get("student", ""),
        "checkpoint": str(who.get("step", "latest")),
        **who.get("asked", {}),
    }


def _split(workdir: pathlib.Path, train: dict, options) -> Split:
    config = json.loads((workdir / workdirs.CONFIG).read_text())
    return load_split(
        exact_name(config["data"]["name"], train),
        options.split or train["split"],
        data_dir=options.data_dir or config["data"]["data_dir"] or None,
        crops=crops_of(train),
    )


def _three(split: Split, wanted: str) -> dict[int, str]:
    """Class -> name of the three classes to project; the first three by default."""
    names = wanted.split(",") if wanted else list(split.class_names[:3])
    for name in names:
        if name not in split.class_names:
            raise InputError(
                f"--classes: {name!r} is not a class of {split.identity['name']}."
                + nearest(name, split.class_names)
            )
    if len(set(names)) != 3:
        raise InputError(f"--classes is {wanted!r}; expected three class names.")
    return {split.class_names.index(name): name for name in names}


def _answers(
    trained: Teacher, normalise, split: Split, needs_features: bool = True
) -> dict[str, np.ndarray]:
    """Logits [n, k] and features [n, d]; of an ensemble the mean, side by side.

    Teachers of different widths have no features together, and no norms of them.
    """
    held = trained.network, trained.variables, normalise
    said = answers(*held, split, ROWS, needs_features)
    if said["logits"].ndim == 3:
        said["logits"] = said["logits"].mean(1)
        if "features" in said:
            said["features"] = said["features"].reshape(len(split.label), -1)
    return said


def _norms(said: dict[str, np.ndarray]) -> np.ndarray:
    return student_teacher.feature_norms(said["features"])


def _projected(trained: Teacher, features, labels, names: dict[int, str]):
    """The three classes' samples in the plane of their weights."""
    shape = (features.shape[1], int(labels.max()) + 1)
    kernels = [
        leaf
        for leaf in jax.tree.leaves(trained.variables[0])
        if leaf.ndim == 2 and leaf.shape[0] == shape[0] and leaf.shape[1] >= shape[1]
    ]
    if len(kernels) != 1:
        raise InputError(
            f"analyse: found {len(kernels)} kernels of {shape[0]} features; expected "
            "one, the last layer."
        )
    chosen = np.isin(labels, list(names))
    templates = np.asarray(kernels[0])[:, list(names)].T
    return three_class_projection(features[chosen], templates), labels[chosen]
