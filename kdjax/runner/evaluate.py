"""Scores the networks of a run's directory, or imported weights."""

import pathlib

from kdjax import checkpoints
from kdjax.contracts import InputError, nearest
from kdjax.data.transforms.augment import Augment
from kdjax.distributed import collectives
from kdjax.experiment.networks import CHECKPOINTS, check_weights, choose_step
from kdjax.experiment.pretrained import student_network
from kdjax.experiment.teachers import load_teacher
from kdjax.experiment.trials import trained_in
from kdjax.reporting.results import SUMMARY, read_summary
from kdjax.runner.scored_images import SplitRequest, split_to_score
from kdjax.training import sharding
from kdjax.training.evaluator import Batches, add_teacher, evaluation_rows, scorer
from kdjax.training.metrics import evaluate as add_up
from kdjax.training.metrics import sums
from kdjax.weights.input_transforms import reordered


def evaluate(
    workdir: pathlib.Path,
    images: SplitRequest,
    checkpoint: str = "latest",
    student: str = "",
    weights: str = "",
) -> dict:
    """Metrics of the teacher and of every student of a run, or of one, as in JSON.

    `checkpoint` is latest, best (each student's own) or a step, `weights` one of
    `checkpoints.WEIGHTS`.
    """
    where, name = trained_in(workdir, student)
    row = _evaluate(where, images, checkpoint, name, weights)
    if where == workdir:
        return row
    own = student or next(iter(read_summary(workdir / SUMMARY)["students"]))
    return row | {"workdir": str(workdir), "students": {own: row["students"][name]}}


def _evaluate(
    workdir: pathlib.Path,
    images: SplitRequest,
    checkpoint: str,
    student: str,
    weights: str,
) -> dict:
    directory = workdir / CHECKPOINTS
    mesh = sharding.make_mesh()  # here: processes find their devices together only
    # A run that goes on may write another step before the next process looks.
    meta, best = collectives.broadcast(lambda: checkpoints.read_meta(directory))
    students, data = meta["students"], meta["data"]
    if student and student not in students:
        raise InputError(
            f"--student is {student!r}; that run trained {', '.join(students)}."
            + nearest(student, students)
        )
    split, order = split_to_score(workdir, data, images)
    augment = normaliser(data)
    batches = evaluation_rows(split, 0, mesh)
    result = {"workdir": str(workdir), "split": split.identity}
    if meta["teacher"] and _add_teacher(meta["teacher"], data, augment, batches, order):
        result["teacher"] = score_teacher(batches)
    result["students"] = {}
    for name in [student] if student else students:
        step = choose_step("--checkpoint", checkpoint, meta["step"], best.get(name))
        variables = checkpoints.read_variables(directory, step, name, weights)
        path = f"{directory / str(meta['step']) / 'meta'}: {name}.model"
        network = student_network(path, students[name], data["classes"])
        check_weights(path, network, variables, data["image_shape"])
        if order is not None:
            network = reordered(network, order)
        score = scorer({name: network}, augment.evaluate, batches)
        metrics = score(sharding.place_replicated({name: variables}, mesh))
        which = {"weights": weights or "ema"} if "ema_decay" in students[name] else {}
        result["students"][name] = {"step": step} | which | metrics[name]
    return result


def normaliser(data: dict) -> Augment:
    """What a run's networks see of images in evaluation."""
    return Augment(**data["normalisation"], padding=0, flip=False)


def teacher_section(identity: dict) -> dict:
    """The `teacher` section of a config that loads the teacher of an identity."""
    section = {key: identity.get(key, "") for key in ("workdir", "network", "student")}
    section["checkpoint"] = str(identity.get("step", "latest"))
    return section | identity.get("asked", {})


def score_teacher(batches: Batches) -> dict[str, float]:
    """The teacher's own metrics, of batches with its logits."""

    def step(_, batch):
        rest = (batch["label"], batch["valid"])
        return {"teacher": sums(batch["teacher_logits"], *rest)}

    compiled = sharding.compile_evaluate_step(step, batches.mesh)
    return add_up(compiled, (), batches.placed())["teacher"]


def _add_teacher(
    identity: dict,
    data: dict,
    augment: Augment,
    batches: Batches,
    order: list[int] | None,
) -> bool:
    """Adds the logits of the run's teacher to the batches; False where it is gone.

    `order` is that of `split_to_score`.
    """
    try:
        teacher, why = load_teacher(teacher_section(identity), data), ""
    except InputError as error:
        why = str(error)
    # All processes compute its outputs together, or none does.
    for reason in filter(None, collectives.all_gather(why)):
        collectives.log(f"kdjax evaluate: no agreement with the teacher: {reason}")
        return False
    is_now, was = teacher.identity["digest"], identity["digest"]
    if is_now != was:
        raise InputError(
            f"{identity.get('workdir', identity.get('network'))}: this is not the "
            f"teacher that the run had (digest {is_now[:12]}, was {was[:12]})."
        )
    variables = sharding.place_replicated(teacher.variables, batches.mesh)
    network = teacher.network if order is None else reordered(teacher.network, order)
    add_teacher(network, variables, augment.evaluate, batches)
    return True
