"""python -m kdjax bench: how fast a pair trains here, and how far from the roof.

  python -m kdjax bench --pair=wrn_28_4:wrn_16_2 --batch_size=128 [--image_size=32]
                        [--classes=100] [--students=1,8] [--modes=live,cached,input]
                        [--dtype=bfloat16] [--steps=N] [--repeats=N] [--json]

Images are noise made in memory; the step is the trainer's own. The modes:

  live    the teacher computes in every step
  cached  the teacher's logits come with each batch, made up, instead of its forward
  input   images are gathered, cropped, flipped and normalised, and no network runs

Students are a grid of temperatures in one program, one for each number of --students.

Two shares say how far a speed is from what the device could do. Model FLOP/s
utilisation: the teacher's forward and three forwards of each student, counted from the
networks themselves, against the device's arithmetic. Share of the memory roof: the
bytes that convolutional networks move, by a model (kdjax/bench/roofline.py), against its
memory. Such networks are usually bound by memory, so read both. Where the peak of a
device is not known, as of a CPU, only FLOP/s are told.

With --input-only it times the streamed feed instead, with no network at all:
`python -m kdjax bench --input-only --help`.

Interrupt it when you have seen enough: what was measured is printed. Exit codes: 0
finished, 2 bad input, 130 interrupted.
"""

import argparse
import json
import sys

from kdjax import cli
from kdjax.bench import rows
from kdjax.bench.programs import MODES, Problem
from kdjax.contracts import InputError, nearest
from kdjax.distributed import devices
from kdjax.experiment.networks import build_network, check_classes, count_classes
from kdjax.models.network import Network
from kdjax.reporting.speeds import print_speeds
from kdjax.training import sharding

INTERRUPTED = 130
INPUT_ONLY = {"--input-only", "--input_only"}


def main(argv: list[str]) -> int:
    if not INPUT_ONLY.isdisjoint(argv):
        # Only here: a resident set needs no Grain.
        from kdjax.cli import bench_input

        return bench_input.main(argv)
    options = _options(argv)
    modes = _modes(options.modes)
    plan = [
        (mode, students)
        for mode in modes
        for students in _students(mode, options.students)
    ]
    for name in ("batch_size", "image_size", "classes", "repeats"):
        _at_least(name, getattr(options, name), 1)
    _at_least("steps", options.steps, 0)
    devices.configure_cpu(options.devices, options.batch_size)
    devices.check_batch(options.batch_size, "--batch_size")
    problem = _problem(options)
    print(devices.describe(), file=sys.stderr)
    return run(options, problem, plan)


def run(options, problem: Problem, plan: list[tuple[str, int]]) -> int:
    """Times one program after another; tells what it has if it is interrupted."""
    mesh, found, code = sharding.make_mesh(), [], 0
    for number, (mode, students) in enumerate(plan, start=1):
        what = f"{mode}, {students} student(s)" if students else mode
        print(f"{number}/{len(plan)} {what}: compiles, then runs", file=sys.stderr)
        try:
            row = rows.measure(
                options.pair,
                problem,
                mode,
                students,
                mesh,
                steps=options.steps,
                repeats=options.repeats,
            )
        except KeyboardInterrupt:
            told = "this is what was measured" if found else "nothing was measured yet"
            print(f"interrupted; {told}", file=sys.stderr)
            code = INTERRUPTED
            break
        found.append(row)
        if options.json:
            print(json.dumps(row), flush=True)
    if found and not options.json:
        print_speeds(found)
    return code


def _options(argv: list[str]) -> argparse.Namespace:
    parser = cli.parser("bench", __doc__)
    keys = "\n".join(f"  {key:<26}{text}" for key, text in rows.KEYS.items())
    parser.epilog = f"What a line of --json holds:\n{keys}"
    parser.add_argument(
        "--pair",
        default="wrn_28_4:wrn_16_2",
        help="TEACHER:STUDENT, or TEACHER,STUDENT where names are package.module:name",
    )
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--image_size", type=int, default=32, help="pixels of a side")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--students", default="1,8", help="numbers, with commas")
    parser.add_argument("--modes", default=",".join(MODES), help="some of these")
    parser.add_argument(
        "--dtype", help="of the activations; default: the networks' own"
    )
    parser.add_argument("--steps", type=int, default=0, help="a block; 0: for 2 s")
    parser.add_argument("--repeats", type=int, default=5, help="blocks, default 5")
    parser.add_argument("--devices", type=int, help="virtual devices, on CPU only")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser.parse_args(argv)


def _modes(text: str) -> list[str]:
    for mode in text.split(","):
        if mode not in MODES:
            raise InputError(
                f"--modes names {mode!r}; expected some of {','.join(MODES)}."
                + nearest(mode, MODES)
            )
    return text.split(",")


def _students(mode: str, text: str) -> list[int]:
    if mode == "input":
        return [0]
    if not all(part.isdigit() and int(part) for part in text.split(",")):
        raise InputError(
            f"--students is {text!r}; expected whole numbers above 0, such as 1,8."
        )
    return [int(part) for part in text.split(",")]


def _at_least(name: str, value: int, low: int) -> None:
    if value < low:
        raise InputError(f"--{name} is {value}; expected {low} or more.")


def _problem(options) -> Problem:
    """The two networks, checked against the images and classes."""
    names = options.pair.split("," if "," in options.pair else ":")
    if len(names) != 2:
        raise InputError(
            f"--pair is {options.pair!r}; expected TEACHER:STUDENT, such as "
            "wrn_28_4:wrn_16_2, or TEACHER,STUDENT where a name has a colon."
        )
    teacher, student = (_network(name, options) for name in names)
    return Problem(
        teacher=teacher,
        student=student,
        batch_size=options.batch_size,
        image_size=options.image_size,
        classes=options.classes,
    )


def _network(name: str, options) -> Network:
    section = {"name": name} | ({"dtype": options.dtype} if options.dtype else {})
    network = build_network("--pair", section, options.classes)
    shape = (options.image_size, options.image_size, 3)
    found = count_classes(f"--pair: {name}", network, shape)
    check_classes(f"--pair: {name}", found, options.classes)
    return network
