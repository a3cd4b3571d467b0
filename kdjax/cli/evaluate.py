"""python -m kdjax evaluate: scores a run's networks; prints one JSON line.

  python -m kdjax evaluate --workdir=DIR [--checkpoint=latest|best|STEP]
                           [--student=NAME] [--split=SPLIT] [--data_dir=DIR]
  python -m kdjax evaluate --workdir=IMPORTED --data=imagenet2012 --split=validation
                           [--short_side=256] [--feed=auto|streamed|resident] ...

"best" is each student's own best step by top-1. Weights that were imported have no test
split of their own: --data=NAME says which set to score them on. Compare the result with
what their authors published: it tells a wrong network, activation, mean or deviation.

Pictures of several sizes (--feed=streamed: ImageNet's, and what is large on disk) are
resized until their shorter side is --short_side and cut to the square in the middle
that the network sees. By default that is 256 for 224, and in that proportion for other
squares; weights that were published with another one, such as 235 for 224, say so.
"""

import argparse
import json
import pathlib

from kdjax import checkpoints, cli, paths
from kdjax.contracts import InputError, nearest
from kdjax.data.errors import DataError
from kdjax.data.images.crops import Geometry
from kdjax.data.load import Split, crops_of, exact_name, load_split, stored_bytes
from kdjax.data.npz import is_npz
from kdjax.data.registry import STREAMED
from kdjax.data.tfds.names import parse_name
from kdjax.data.transforms.augment import Augment
from kdjax.distributed import collectives, devices, runtime
from kdjax.experiment.data import FEEDS, RESIDENT_BELOW
from kdjax.experiment.networks import CHECKPOINTS, choose_step
from kdjax.experiment.pretrained import student_network
from kdjax.experiment.schema import guarded
from kdjax.experiment.teachers import load_teacher
from kdjax.runner import workdir as workdirs
from kdjax.training import sharding
from kdjax.training.evaluator import Batches, add_teacher, evaluation_rows, scorer
from kdjax.weights.input_transforms import places_of, reordered

ROWS = 500


def main(argv: list[str]) -> int:
    options = _options(argv)
    with runtime.joined(options) as processes:
        devices.configure_cpu(options.devices, ROWS, processes)
        line = _score(options)
        if collectives.is_primary():
            print(json.dumps(line))
    return 0


def _score(options: argparse.Namespace) -> dict:
    """What is printed: metrics of every student that was asked for."""
    workdir = paths.local(options.workdir, "--workdir").resolve()
    directory = workdir / CHECKPOINTS
    mesh = sharding.make_mesh()  # here: processes find their devices together only
    # While a run goes on, a later look finds a later step.
    meta, best = collectives.broadcast(lambda: checkpoints.read_meta(directory))
    chosen = _choose(meta["students"], options.student)
    data = meta["data"]
    if data["test"] is None:
        split, places = _named_split(workdir, data, options)
    else:
        split, places = _split(workdir, data["test"], options), None
    augment = Augment(**data["normalisation"], padding=0, flip=False)
    batches = evaluation_rows(split, ROWS, mesh)
    _add_teacher(meta, augment, batches)
    line = {"workdir": str(workdir), "split": split.identity, "students": {}}
    for name in chosen:
        step = choose_step(
            "--checkpoint", options.checkpoint, meta["step"], best.get(name)
        )
        variables = checkpoints.read_variables(directory, step, name)
        row = meta["students"][name]
        network = student_network(f"{workdir.name}: {name}", row, data["classes"])
        if places is not None:
            network = reordered(network, places)
        score = scorer({name: network}, augment.evaluate, batches)
        metrics = score(sharding.place_replicated({name: variables}, mesh))
        line["students"][name] = {"step": step} | metrics[name]
    return line


def _options(argv: list[str]) -> argparse.Namespace:
    parser = cli.parser("evaluate", __doc__)
    parser.add_argument("--workdir", required=True, help="of the run to score")
    parser.add_argument("--checkpoint", default="latest", help="latest, best or a step")
    parser.add_argument("--student", default="", help="only this one")
    parser.add_argument("--split", default="", help="default: the run's test split")
    parser.add_argument("--data", default="", help="the set, for imported weights")
    parser.add_argument("--feed", default="auto", choices=FEEDS, help="of --data")
    parser.add_argument("--short_side", type=int, help="of --data, before the crop")
    parser.add_argument("--data_dir", help="TFDS data; default $TFDS_DATA_DIR")
    parser.add_argument("--devices", type=int, help="of each process, on CPUs only")
    runtime.add_flags(parser)
    return parser.parse_args(argv)


def _split(workdir: pathlib.Path, test: dict, options) -> Split:
    """The run's test split, checked to be the same images; or another split."""
    if options.data or options.short_side or options.feed != "auto":
        raise InputError(
            "--data, --feed and --short_side are for imported weights; expected "
            "--split for another split of the set that a run was trained on."
        )
    config = json.loads((workdir / workdirs.CONFIG).read_text())
    split = load_split(
        exact_name(config["data"]["name"], test),
        options.split or test["split"],
        data_dir=options.data_dir or config["data"]["data_dir"] or None,
        crops=crops_of(test),
    )
    if not options.split and split.identity != test:
        raise InputError(
            f"--data_dir: these are other images than the run's: {split.identity} "
            f"instead of {test}."
        )
    return split


def _named_split(
    workdir: pathlib.Path, data: dict, options
) -> tuple[Split, list[int] | None]:
    """The split that the command names, checked to fit imported weights.

    Returns:
      The split, and which logit each of its classes is, where weights name theirs.
    """
    if not options.data:
        raise InputError(
            f"--workdir: {workdir} holds imported weights, which have no test split; "
            "expected --data=NAME, the set to score them on."
        )
    crops = _named_crops(data["image_shape"], options)
    part, data_dir = options.split or "test", options.data_dir or None
    try:
        split = load_split(options.data, part, data_dir=data_dir, crops=crops)
    except DataError as error:
        if crops is None and "expected uint8 of shape" in str(error):
            raise InputError(
                f"{error} Or see crops of them: --feed=streamed."
            ) from error
        raise
    names = data.get("class_names")
    classes = data["classes"] if names is None else len(split.class_names)
    there = (list(split.image.shape[1:]), len(split.class_names))
    if there != (data["image_shape"], classes):
        raise InputError(
            f"--data: {options.data} has images of {there[0]} in {there[1]} classes; "
            f"expected {data['image_shape']} in {data['classes']}."
        )
    return split, None if names is None else places_of(names, split.class_names)


def _named_crops(image_shape: list[int], options) -> Geometry | None:
    """What the network sees of pictures of several sizes; None of those of one.

    Which they are is decided as for `config.data.feed`, before anything is read.
    """
    feed, name = options.feed, options.data
    if feed == "auto" and options.short_side:
        feed = "streamed"
    if feed == "auto" and not is_npz(name):
        large = stored_bytes(name, options.data_dir or None) >= RESIDENT_BELOW
        feed = "streamed" if large or parse_name(name).dataset in STREAMED else feed
    if feed != "streamed":
        if options.short_side:
            raise InputError("--short_side is of --feed=streamed; images are resident.")
        return None
    height, width, _ = image_shape
    if height != width:
        raise InputError(
            f"--feed: crops of a streamed set are squares, and the network sees "
            f"{height}x{width}; expected --feed=resident and images of that size."
        )
    short_side = options.short_side or round(height * 256 / 224)
    return guarded("--short_side", Geometry, size=height, short_side=short_side)


def _choose(students: dict, wanted: str) -> list[str]:
    if wanted and wanted not in students:
        raise InputError(
            f"--student is {wanted!r}; that run trained {', '.join(students)}."
            + nearest(wanted, students)
        )
    return [wanted] if wanted else list(students)


def _add_teacher(meta: dict, augment: Augment, batches: Batches) -> None:
    """Adds the teacher's logits to the batches, where the run had one that is there."""
    who = meta["teacher"]
    if not who:
        return
    section = {
        "workdir": who.get("workdir", ""),
        "network": who.get("network", ""),
        "student": who.get("student", ""),
        "checkpoint": str(who.get("step", "latest")),
        **who.get("asked", {}),
    }
    try:
        teacher, why = load_teacher(section, meta["data"]), ""
    except InputError as error:
        why = str(error)
    # All ask it together, or none does.
    for reason in filter(None, collectives.all_gather(why)):
        collectives.log(f"kdjax evaluate: no agreement with the teacher: {reason}")
        return
    if teacher.identity["digest"] != who["digest"]:
        raise InputError(
            f"{who.get('workdir', who.get('network'))}: this is not the teacher that "
            f"the run had (digest {teacher.identity['digest'][:12]}, was "
            f"{who['digest'][:12]})."
        )
    variables = sharding.place_replicated(teacher.variables, batches.mesh)
    add_teacher(teacher.network, variables, augment.evaluate, batches)
