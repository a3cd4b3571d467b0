"""Compares finished students with their teacher: a JSON file and three figures."""

import pathlib

from kdjax import checkpoints
from kdjax.analysis import student_teacher
from kdjax.analysis.outputs import Compared
from kdjax.analysis.projection import elongation
from kdjax.contracts import InputError
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.reporting.evidence import distances, projection
from kdjax.reporting.evidence.png import write_png
from kdjax.reporting.files import replace_json
from kdjax.runner.compared import class_indices, compare
from kdjax.runner.members import Member, Run
from kdjax.runner.outputs import Images
from kdjax.runner.scored_images import run_split


def analyse(
    workdirs: list[pathlib.Path],
    output: pathlib.Path,
    *,
    classes: str = "",
    split: str = "",
    data_dir: str | None = None,
) -> dict[str, dict[str, float]]:
    """Writes analysis.json and the figures; returns a summary of every student.

    `classes` are the three that are projected, separated by commas: by default those
    that the teacher confuses most. `split` is by default the training split of the
    first run; `data_dir` is of `run_split`.
    """
    runs = [_read_run(workdir) for workdir in workdirs]
    train = runs[0].meta["data"]["train"]
    loaded = run_split(workdirs[0], train, split, data_dir)
    images = Images(loaded, None, class_indices(loaded, classes))
    members = {
        name if len(runs) == 1 else f"{run.workdir.name}/{name}": Member(run, name)
        for run in runs
        for name in run.students
    }
    compared = compare(members, images, _refuse)
    summaries = {name: _summary(compared, name) for name in compared.teacher_of}
    replace_json(output / "analysis.json", summaries)
    for name, section in (
        ("logit_distances", distances.logit_distances(compared)),
        ("feature_norms", distances.feature_norms(compared)),
        ("projections", projection.projection(compared)),
    ):
        if section is not None:
            write_png(section, output / f"{name}.png")
    return summaries


def _read_run(workdir: pathlib.Path) -> Run:
    meta, _ = checkpoints.read_meta(workdir / CHECKPOINTS)
    if not meta["teacher"]:
        raise InputError(f"{workdir}: its students had no teacher to compare with.")
    return Run(workdir, meta)


def _summary(compared: Compared, name: str) -> dict[str, float]:
    student = compared.networks[name]
    teacher = compared.networks[compared.teacher_of[name]]
    result = student_teacher.summary(
        student.logits,
        teacher.logits,
        student_feature_norms=student.feature_norms,
        teacher_feature_norms=teacher.feature_norms,
    )
    if student.points is None:
        return result
    ratios = elongation(student.points, compared.labels_of_points)
    names = compared.class_names
    return result | {f"elongation/{names[k]}": ratio for k, ratio in ratios.items()}


def _refuse(why: str) -> None:
    raise InputError(f"analyse: {why}")
