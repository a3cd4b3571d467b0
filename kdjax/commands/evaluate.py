"""python -m kdjax evaluate: scores a run's networks; prints one JSON line.

  python -m kdjax evaluate --workdir=DIR [--checkpoint=latest|best|STEP]
                           [--student=NAME] [--split=SPLIT] [--data_dir=DIR]

"best" is each student's own best step by top-1. Weights that were imported have no test
split of their own: --data=NAME says which set to score them on.
"""

import argparse
import json
import pathlib

from kdjax import checkpoints, commands
from kdjax.build.networks import CHECKPOINTS, choose_step
from kdjax.build.teachers import load_teacher, student_network
from kdjax.commands import devices, hosts, together, workdirs
from kdjax.commands.scoring import Batches, add_teacher, evaluation_rows, scorer
from kdjax.contracts import InputError, nearest
from kdjax.data.augment import Augment
from kdjax.data.sources import Split, crops_of, exact_name, load_split
from kdjax.training import sharding
from kdjax.weights.adapters import places_of, reordered

ROWS = 500


def main(argv: list[str]) -> int:
    options = _options(argv)
    with hosts.joined(options) as processes:
        devices.configure_cpu(options.devices, ROWS, processes)
        line = _score(options)
        if together.is_first():
            print(json.dumps(line))
    return 0


def _score(options: argparse.Namespace) -> dict:
    """What is printed: metrics of every student that was asked for."""
    workdir = pathlib.Path(options.workdir).expanduser().resolve()
    directory = workdir / CHECKPOINTS
    mesh = sharding.make_mesh()  # here: processes find their devices together only
    # While a run goes on, a later look finds a later step.
    meta, best = together.share(lambda: checkpoints.read_meta(directory))
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
    parser = commands.parser("evaluate", __doc__)
    parser.add_argument("--workdir", required=True, help="of the run to score")
    parser.add_argument("--checkpoint", default="latest", help="latest, best or a step")
    parser.add_argument("--student", default="", help="only this one")
    parser.add_argument("--split", default="", help="default: the run's test split")
    parser.add_argument("--data", default="", help="the set, for imported weights")
    parser.add_argument("--data_dir", help="TFDS data; default $TFDS_DATA_DIR")
    parser.add_argument("--devices", type=int, help="of each process, on CPUs only")
    hosts.add_flags(parser)
    return parser.parse_args(argv)


def _split(workdir: pathlib.Path, test: dict, options) -> Split:
    """The run's test split, checked to be the same images; or another split."""
    if options.data:
        raise InputError(
            "--data is for imported weights; expected --split for another split of the "
            "set that a run was trained on."
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
    split = load_split(
        options.data, options.split or "test", data_dir=options.data_dir or None
    )
    names = data.get("class_names")
    classes = data["classes"] if names is None else len(split.class_names)
    there = (list(split.image.shape[1:]), len(split.class_names))
    if there != (data["image_shape"], classes):
        raise InputError(
            f"--data: {options.data} has images of {there[0]} in {there[1]} classes; "
            f"expected {data['image_shape']} in {data['classes']}."
        )
    return split, None if names is None else places_of(names, split.class_names)


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
    for reason in filter(None, together.gather(why)):
        together.say(f"kdjax evaluate: no agreement with the teacher: {reason}")
        return
    if teacher.identity["digest"] != who["digest"]:
        raise InputError(
            f"{who.get('workdir', who.get('network'))}: this is not the teacher that "
            f"the run had (digest {teacher.identity['digest'][:12]}, was "
            f"{who['digest'][:12]})."
        )
    variables = sharding.place_replicated(teacher.variables, batches.mesh)
    add_teacher(teacher.network, variables, augment.evaluate, batches)
