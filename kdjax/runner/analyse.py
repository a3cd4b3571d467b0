"""Compares finished students with their teacher: a JSON file and three figures."""

import pathlib

from kdjax import checkpoints
from kdjax.analysis import student_teacher
from kdjax.analysis.outputs import Compared
from kdjax.analysis.projection import elongation
from kdjax.contracts import InputError
from kdjax.data.npz import is_npz
from kdjax.distributed import collectives
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.reporting.evidence import distances, projection
from kdjax.reporting.evidence.png import write_png
from kdjax.reporting.files import replace_json
from kdjax.reporting.results import numbered
from kdjax.reporting.runs import Run, read_runs
from kdjax.reporting.same_images import same_images
from kdjax.runner.compared import class_indices, compare, say_what_is_missing
from kdjax.runner.members import Member, find
from kdjax.runner.members import Run as StoredRun
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
    members = _find_members(workdirs)
    run = next(iter(members.values())).run
    loaded = run_split(run.workdir, run.meta["data"]["train"], split, data_dir)
    images = Images(loaded, None, class_indices(loaded, classes))
    compared = compare(members, images, _refuse)
    say_what_is_missing(compared, _say)
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


def _find_members(workdirs: list[pathlib.Path]) -> dict[str, Member]:
    """The students that had a teacher, each by a name of its own.

    A workdir is a run, a sweep, or a directory of them. InputError where no student
    had a teacher, or a workdir has no training.
    """
    rows, without = [], []
    runs = read_runs(workdirs)
    for run in runs:
        members = [(name, find(run, name)) for name in _students(run)]
        own = [(run.name, *pair) for pair in members if pair[1].run.teacher]
        without += [str(run.workdir)] * (len(own) < len(members))
        rows += own
    if not rows:
        raise InputError(f"{', '.join(without)}: its students had no teacher.")
    if without:
        collectives.log(f"analyse: left out, without a teacher: {', '.join(without)}")
    first, *others = (row[-1].run for row in rows)
    if other := next((run for run in others if not _is_one_set(run, first)), None):
        names = [one.meta["data"]["train"].get("name") for one in (first, other)]
        raise InputError(
            f"analyse: {first.workdir} was trained on {names[0]} and {other.workdir} "
            f"on {names[1]}, which has other images; expected one data set, on whose "
            "images all can be run."
        )
    names = [name if len(runs) == 1 else f"{run}/{name}" for run, name, _ in rows]
    return dict(zip(numbered(names), (row[-1] for row in rows), strict=True))


def _is_one_set(one: StoredRun, other: StoredRun) -> bool:
    """Whether their test images are the same, or both have parts of a named set."""
    data = [run.meta["data"] for run in (one, other)]
    names = {str(row["train"].get("name")) for row in data}
    is_named = len(names) == 1 and not any(map(is_npz, names))
    return is_named or same_images(*(row["test"] for row in data))


def _students(run: Run) -> list[str]:
    """Those with results, or of a checkpoint that came without its tables."""
    if run.results:
        return [one.student for one in run.results]
    return list(checkpoints.read_meta(run.workdir / CHECKPOINTS)[0]["students"])


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


def _say(what: str, why: object) -> None:
    collectives.log(f"analyse: left out: {what}: {why}")


def _refuse(what: str, why: object) -> None:
    if isinstance(why, InputError):
        raise InputError(f"analyse: {what}: {why}") from why
