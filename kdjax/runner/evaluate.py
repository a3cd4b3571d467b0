"""Scores the networks of a run's directory, or imported weights on a set."""

import pathlib
from typing import NamedTuple

from kdjax import checkpoints
from kdjax.contracts import InputError, nearest
from kdjax.data.images.crops import Geometry
from kdjax.data.load import Split, crops_of, exact_name, load_split, size_on_disk
from kdjax.data.npz import is_npz
from kdjax.data.registry import STREAMED
from kdjax.data.split import DataError
from kdjax.data.tfds.names import parse_name
from kdjax.data.transforms.augment import Augment
from kdjax.distributed import collectives
from kdjax.experiment.builders import guarded
from kdjax.experiment.data import RESIDENT_BELOW
from kdjax.experiment.networks import CHECKPOINTS, check_weights, choose_step
from kdjax.experiment.pretrained import student_network
from kdjax.experiment.teachers import load_teacher
from kdjax.runner.workdir import read_config
from kdjax.training import sharding
from kdjax.training.evaluator import Batches, add_teacher, evaluation_rows, scorer
from kdjax.weights.input_transforms import places_of, reordered


class SplitRequest(NamedTuple):
    """Which images are scored; see `python -m kdjax evaluate --help`."""

    split: str = ""  # "": the run's test split
    data_dir: str = ""
    data: str = ""  # the set, for imported weights; so are the next two
    feed: str = "auto"
    short_side: int | None = None


def evaluate(
    workdir: pathlib.Path,
    images: SplitRequest,
    checkpoint: str = "latest",
    student: str = "",
    weights: str = "",
) -> dict:
    """Metrics of every student of a run, or of one, as JSON holds them.

    `checkpoint` is latest, best (each student's own) or a step, `weights` one of
    `checkpoints.WEIGHTS`.
    """
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
    if data["test"] is None:
        split, order = _named_split(workdir, data, images)
    else:
        split, order = _test_split(workdir, data["test"], images), None
    augment = normaliser(data)
    batches = evaluation_rows(split, 0, mesh)
    if meta["teacher"]:
        _add_teacher(meta["teacher"], data, augment, batches)
    result = {"workdir": str(workdir), "split": split.identity, "students": {}}
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


def run_split(
    workdir: pathlib.Path, identity: dict, split: str = "", data_dir: str | None = None
) -> Split:
    """The split of an identity in a run, or another split with its crops."""
    section = (read_config(workdir) or {}).get("data", {})
    return load_split(
        exact_name(section.get("name") or identity["name"], identity),
        split or identity["split"],
        data_dir=data_dir or section.get("data_dir") or None,
        crops=crops_of(identity),
    )


def teacher_section(identity: dict) -> dict:
    """The `teacher` section of a config that loads the teacher of an identity."""
    section = {key: identity.get(key, "") for key in ("workdir", "network", "student")}
    section["checkpoint"] = str(identity.get("step", "latest"))
    return section | identity.get("asked", {})


def _test_split(workdir: pathlib.Path, test: dict, images: SplitRequest) -> Split:
    """The run's test split, checked to be the same images; or another split."""
    if images.data or images.short_side or images.feed != "auto":
        raise InputError(
            "--data, --feed and --short_side are for imported weights; expected "
            "--split for another split of the set that a run was trained on."
        )
    split = run_split(workdir, test, images.split, images.data_dir)
    if not images.split and split.identity != test:
        raise InputError(
            f"--data_dir: these are other images than the run's: {split.identity} "
            f"instead of {test}."
        )
    return split


def _named_split(
    workdir: pathlib.Path, data: dict, images: SplitRequest
) -> tuple[Split, list[int] | None]:
    """The split, and which logit each class is, where the weights name theirs."""
    if not images.data:
        raise InputError(
            f"--workdir: {workdir} holds imported weights, which have no test split; "
            "expected --data=NAME, the set to score them on."
        )
    crops = _named_crops(data["image_shape"], images)
    part, data_dir = images.split or "test", images.data_dir or None
    try:
        split = load_split(images.data, part, data_dir=data_dir, crops=crops)
    except DataError as error:
        if crops is None and "expected uint8 of shape" in str(error):
            raise InputError(f"{error} Or crop them: --feed=streamed.") from error
        raise
    names, count = data.get("class_names"), len(split.class_names)
    shape, classes = list(split.image.shape[1:]), data["classes"]
    if shape != data["image_shape"] or (names is None and count != classes):
        raise InputError(
            f"--data: {images.data} has images of {shape} in {count} classes; "
            f"expected {data['image_shape']} in {classes}."
        )
    return split, None if names is None else places_of(names, split.class_names)


def _named_crops(image_shape: list[int], images: SplitRequest) -> Geometry | None:
    """What the network sees of images of several sizes; None of those of one."""
    feed, name = images.feed, images.data
    if feed == "auto" and images.short_side:
        feed = "streamed"
    if feed == "auto" and not is_npz(name):
        large = size_on_disk(name, images.data_dir or None) >= RESIDENT_BELOW
        feed = "streamed" if large or parse_name(name).dataset in STREAMED else feed
    if feed != "streamed":
        if images.short_side:
            raise InputError("--short_side is of --feed=streamed; images are resident.")
        return None
    height, width, _ = image_shape
    if height != width:
        raise InputError(
            f"--feed: crops of a streamed set are squares, and the network sees "
            f"{height}x{width}; expected --feed=resident and images of that size."
        )
    short_side = images.short_side or round(height * 256 / 224)
    return guarded("--short_side", Geometry, size=height, short_side=short_side)


def _add_teacher(identity: dict, data: dict, augment: Augment, batches: Batches):
    """Adds the logits of the run's teacher to the batches, where it is there."""
    try:
        teacher, why = load_teacher(teacher_section(identity), data), ""
    except InputError as error:
        why = str(error)
    # All processes compute its outputs together, or none does.
    for reason in filter(None, collectives.all_gather(why)):
        collectives.log(f"kdjax evaluate: no agreement with the teacher: {reason}")
        return
    is_now, was = teacher.identity["digest"], identity["digest"]
    if is_now != was:
        raise InputError(
            f"{identity.get('workdir', identity.get('network'))}: this is not the "
            f"teacher that the run had (digest {is_now[:12]}, was {was[:12]})."
        )
    variables = sharding.place_replicated(teacher.variables, batches.mesh)
    add_teacher(teacher.network, variables, augment.evaluate, batches)
