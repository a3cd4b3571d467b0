"""python -m kdjax compile: what a training asks of its devices, before it has any.

  python -m kdjax compile --config=FILE[:ARG] [--config.a.b=value ...]
                          [--topology=v5e:16x16|h200:8] [--slices=N] [--batch_size=N]
                          [--teacher=NAME] [--dtype=bfloat16] [--probes=N]
                          [--image_size=N --classes=N --examples=N]
  python -m kdjax compile --pair=resnet34:resnet18 --image_size=224 --classes=1000
                          --batch_size=4096 --topology=v5e:4x4 [--dtype=bfloat16]

It compiles the trainer's own step for the chips of a TPU slice or for so many GPUs,
without any of them, and runs nothing; without --topology for the devices at hand. It
prints the bytes on one device, the model FLOPs, what the devices send each other in a
step, the kernels of a step and the bytes that they read and write, and the largest
batch that fits. That takes a few more compilations, --probes at most, each of them
minutes long for large networks. For TPUs it needs libtpu, pip install
'PATH/TO/kdjax[preflight]', the path of your clone; for GPUs JAX's plugin for CUDA, pip
install 'jax[cuda13]>=0.11.2'.

The times that it prints are estimates: what those bytes and the model FLOPs take at the
peaks of the device, and for TPUs the cycles that the compiler expects. For a GPU that
is not there no kernel is timed, so the compiler may choose others than on a real one.

The data set may be absent: sizes of imagenet2012, cifar10, cifar100, cinic10,
tiny_imagenet and fashion_mnist are known, and --classes, --examples and --image_size
describe any other (of a streamed set config.data.crops.size is the last; where
config.data.crops.sizes has several, the step of the largest is compiled). A teacher
that is not trained yet is named by --teacher, several with commas are an ensemble; it
computes in --dtype, by default in config.model.dtype.

Of a --pair, --feed is where the images are: "streamed", each batch brings its own;
or "resident", --examples of them on every device.

Exit codes: 0 it fits, or the device's memory is not known; 2 bad input, or it does
not fit.
"""

import sys

from kdjax import cli
from kdjax.bench.problem import pair_names
from kdjax.cli import arguments
from kdjax.cli.bench import at_least
from kdjax.contracts import InputError, json_text
from kdjax.distributed import devices
from kdjax.experiment import described, schema
from kdjax.experiment.builders import allow_code
from kdjax.experiment.overrides import load_config, set_override, split_overrides
from kdjax.preflight import advice, gpus, plans, rows, topology
from kdjax.preflight.page import page
from kdjax.reporting.console import say
from kdjax.training import sharding

# Training images of a pair without --examples.
IMAGENET = described.KNOWN["imagenet2012"].examples
DOES_NOT_FIT = 2
EXAMPLES = f"{topology.EXAMPLES}; or {gpus.EXAMPLES}"


def main(argv: list[str]) -> int:
    options, config, teacher_models = read(argv)
    batch_size = config["batch_size"]
    if options.topology:
        chips = topology.describe(options.topology, options.slices)
    else:
        devices.configure(options.devices, batch_size)
        chips = None  # those at hand
    mesh = sharding.make_mesh(chips)
    microbatches = config["accumulation_steps"]
    devices.check_batch(batch_size, "--batch_size", mesh.size, microbatches)
    sizes = described.Sizes(options.image_size, options.classes, options.examples)
    needs_labels = plans.needs_labels(config)
    data = described.describe_data(config["data"], sizes, needs_labels)
    named = (model["name"] for model in teacher_models or ())
    with allow_code(*named, options.allow_code):
        plan = plans.plan(config, data, teacher_models)
    print(f"compiles for {mesh.size} device(s); nothing runs", file=sys.stderr)
    if data.sides:
        largest, count = max(data.sides), len(set(data.sides))
        text = f"crops of {largest}x{largest}: the largest of {count} sizes in"
        print(text, "config.data.crops.sizes", file=sys.stderr)
    memory = int(options.memory * 2**30) or None
    flags = advice.PAIR if options.pair else advice.flags_of(plan.teacher_from)
    row = rows.measure(plan, mesh, memory=memory, probes=options.probes, flags=flags)
    say(json_text(row) if options.json else page(row))
    return DOES_NOT_FIT if row["fits"] is False else 0


def read(argv: list[str]):
    """(options, plain config, `model` sections of the teachers or None)."""
    words, overrides = split_overrides(argv)
    options = _parser().parse_args(words)
    if bool(options.config) == bool(options.pair):
        raise InputError("expected either --config or --pair.")
    for name, low in (("probes", 0), ("memory", 0), ("slices", 1)):
        at_least(options, name, low)
    if options.slices > 1 and not options.topology:
        raise InputError(f"--slices is {options.slices}; it is of a --topology.")
    build = _pair if options.pair else _config
    config, teacher_models = build(options, overrides)
    if options.batch_size is not None:
        config["batch_size"] = options.batch_size
    schema.check_keys(config)
    return options, config, teacher_models


def _config(options, overrides: list[str]):
    if options.feed:
        raise InputError("--feed is of a --pair; expected --config.data.feed.")
    if options.dtype and not options.teacher:
        raise InputError(
            "--dtype is of a --pair or of --teacher; expected --config.model.dtype."
        )
    config = load_config(options.config, overrides)
    if options.data_dir:
        set_override(config, "data.data_dir", options.data_dir)
    config, teacher_models = schema.plain(config), None
    if options.teacher:
        dtype = options.dtype or config["model"].get("dtype")
        names = [name.strip() for name in options.teacher.split(",")]
        teacher_models = [_network(name, dtype) for name in names]
    return config, teacher_models


def _pair(options, overrides: list[str]):
    if overrides or options.teacher or options.data_dir:
        raise InputError("--teacher, --data_dir and --config.a.b are of a --config.")
    names = pair_names(options.pair, "resnet34:resnet18")
    teacher, student = (_network(name, options.dtype) for name in names)
    size = options.image_size = options.image_size or 32
    config = plans.pair_config(student, size, options.feed, options.examples)
    options.classes = options.classes or 100
    options.examples = options.examples or IMAGENET
    return config, [teacher]


def _network(name: str, dtype: str | None) -> dict:
    """A `model` section; somebody's own network (with a colon) has its own dtype."""
    return {"name": name} | ({"dtype": dtype} if dtype and ":" not in name else {})


def _parser():
    parser = cli.parser("compile", __doc__)
    keys = "\n".join(f"  {key:<20}{text}" for key, text in rows.KEYS.items())
    parser.epilog = f"What the line of --json holds:\n{keys}"
    parser.add_argument("--config", help="Python file with get_config")
    parser.add_argument("--pair", help="TEACHER:STUDENT in place of a config")
    parser.add_argument("--topology", help=f"such as {EXAMPLES}")
    parser.add_argument("--slices", type=int, default=1, help="of them; default 1")
    parser.add_argument("--batch_size", type=int, help="default: the config's")
    parser.add_argument("--image_size", type=int, help="pixels of a side")
    parser.add_argument("--classes", type=int)
    parser.add_argument("--examples", type=int, help="images of the training split")
    parser.add_argument("--feed", help="of a pair: resident or streamed")
    parser.add_argument("--teacher", help="its network, where none is trained")
    parser.add_argument("--dtype", help="of a pair's activations, or of --teacher's")
    parser.add_argument("--memory", type=float, default=0, help="GiB of a device")
    parser.add_argument("--probes", type=int, default=6, help="default 6; 0: no search")
    parser.add_argument("--data_dir", help="TFDS data; default $TFDS_DATA_DIR")
    parser.add_argument("--devices", type=int, help="virtual devices, on CPU only")
    arguments.add_allow_code(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser
