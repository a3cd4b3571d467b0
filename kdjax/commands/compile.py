"""python -m kdjax compile: what a training asks of its devices, before it has any.

  python -m kdjax compile --config=FILE[:ARG] [--config.a.b=value ...]
                          [--topology=v5e:16x16] [--batch_size=N] [--probes=N]
                          [--image_size=N --classes=N --examples=N] [--teacher=NAME]
  python -m kdjax compile --pair=resnet34:resnet18 --image_size=224 --classes=1000
                          --batch_size=4096 --topology=v5e:4x4 [--dtype=bfloat16]

It compiles the trainer's own step for the devices of a TPU slice, with none of them
there, and runs nothing; without --topology for the devices at hand. It tells the bytes
on one device, the model FLOPs, what the devices send each other in a step, and the
largest batch that fits, from --probes more compilations; each takes minutes for large
networks. For TPUs it needs libtpu: pip install '.[preflight]'.

Images are those of the config's data set or, with --image_size, --classes and
--examples, ones of that size. --feed says where they are: "resident", all of them on
every device, as the trainer has them (of a --pair: only with --examples); or
"streamed", each batch with its own. A teacher that is not trained yet is named by
--teacher.

Exit codes: 0 it fits, or nobody knows the device's memory; 2 bad input, or it does not
fit.
"""

import json
import sys

from kdjax import commands
from kdjax.build import sections
from kdjax.commands import arguments, devices
from kdjax.contracts import InputError
from kdjax.preflight import plans, rows, topology
from kdjax.preflight.page import page
from kdjax.training import sharding

FEEDS = ("resident", "streamed")
IMAGENET = 1_281_167  # training images of a pair that says nothing else
DOES_NOT_FIT = 2


def main(argv: list[str]) -> int:
    options, config, taught_by = _read(argv)
    if options.topology:
        topology.prepare(options.topology)
    batch_size = sections.number(config, "batch_size", 1, integer=True)
    if not options.topology:
        devices.configure_cpu(options.devices, batch_size)
    found = topology.describe(options.topology) if options.topology else None
    mesh = sharding.make_mesh(found)
    _check_batch(batch_size, mesh.size)
    images = plans.images_of(
        config["data"], options.image_size, options.classes, options.examples
    )
    plan = plans.plan(
        config,
        images,
        batch_size,
        taught_by=taught_by,
        resident=options.feed == "resident",
    )
    print(f"compiles for {mesh.size} device(s); nothing runs", file=sys.stderr)
    memory = int(options.memory * 2**30) if options.memory else None
    row = rows.measure(plan, mesh, batch_size, memory=memory, probes=options.probes)
    print(json.dumps(row) if options.json else page(row))
    return DOES_NOT_FIT if row["fits"] is False else 0


def _read(argv: list[str]):
    """(options, plain config, the teacher's `model` section or None)."""
    parser = _parser()
    words, overrides = arguments.split_overrides(argv)
    options = parser.parse_args(words)
    if bool(options.config) == bool(options.pair):
        raise InputError("compile: expected either --config or --pair.")
    if options.feed and options.feed not in FEEDS:
        raise InputError(f"--feed is {options.feed!r}; expected {' or '.join(FEEDS)}.")
    if options.probes < 0 or options.memory < 0:
        raise InputError("compile: expected --probes and --memory of 0 or more.")
    read = _pair if options.pair else _config
    config, taught_by = read(options, overrides)
    if options.batch_size is not None:
        config["batch_size"] = options.batch_size
    return options, config, taught_by


def _config(options, overrides: list[str]):
    if options.dtype:
        raise InputError("--dtype is of a --pair; expected --config.model.dtype.")
    config = arguments.load_config(options.config, overrides)
    if options.data_dir:
        arguments.set_override(config, "data.data_dir", options.data_dir)
    options.feed = options.feed or "resident"
    taught_by = {"name": options.teacher} if options.teacher else None
    return sections.plain(config), taught_by


def _pair(options, overrides: list[str]):
    names = options.pair.split("," if "," in options.pair else ":")
    if len(names) != 2 or overrides or options.teacher or options.data_dir:
        raise InputError(
            f"--pair is {options.pair!r}; expected TEACHER:STUDENT, such as "
            "resnet34:resnet18, or TEACHER,STUDENT where a name has a colon. "
            "--teacher, --data_dir and --config.a.b are of a --config."
        )
    options.feed = options.feed or ("resident" if options.examples else "streamed")
    options.image_size = options.image_size or 32
    options.classes = options.classes or 100
    options.examples = options.examples or IMAGENET
    kind = {"dtype": options.dtype} if options.dtype else {}
    teacher, student = ({"name": name} | kind for name in names)
    return plans.pair_config(student, options.image_size), teacher


def _parser():
    parser = commands.parser("compile", __doc__)
    keys = "\n".join(f"  {key:<20}{text}" for key, text in rows.KEYS.items())
    parser.epilog = f"What the line of --json holds:\n{keys}"
    parser.add_argument("--config", help="Python file with get_config")
    parser.add_argument("--pair", help="TEACHER:STUDENT in place of a config")
    parser.add_argument("--topology", help=f"such as {topology.EXAMPLES}")
    parser.add_argument("--batch_size", type=int, help="default: the config's")
    parser.add_argument("--image_size", type=int, help="pixels of a side")
    parser.add_argument("--classes", type=int)
    parser.add_argument("--examples", type=int, help="images of the training split")
    parser.add_argument("--feed", help="resident or streamed")
    parser.add_argument("--teacher", help="a network, where none is trained yet")
    parser.add_argument("--dtype", help="of a pair's activations")
    parser.add_argument("--memory", type=float, default=0, help="GiB of a device")
    parser.add_argument("--probes", type=int, default=6, help="default 6; 0: no search")
    parser.add_argument("--data_dir", help="TFDS data; default $TFDS_DATA_DIR")
    parser.add_argument("--devices", type=int, help="virtual devices, on CPU only")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser


def _check_batch(batch_size: int, count: int) -> None:
    if batch_size % count:
        raise InputError(
            f"--batch_size is {batch_size} and there are {count} devices; expected a "
            f"multiple of {count}, such as {-(-batch_size // count) * count}."
        )
