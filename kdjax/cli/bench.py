"""python -m kdjax bench: how fast a pair trains here, and how far from the roof.

  python -m kdjax bench --pair=wrn_28_4:wrn_16_2 --batch_size=128 [--image_size=32]
                        [--classes=100] [--students=1,8] [--dispatch=1,16]
                        [--modes=live,cached,streamed,input]
                        [--dtype=bfloat16] [--steps=N] [--repeats=N] [--json]

Images are noise made in memory; the step is the trainer's own. The modes:

  live      the teacher computes in every step
  cached    the teacher's logits come with each batch, made up, instead of its forward
  streamed  live, and the images of each batch are sent from the host, as decoded ones
            are; the others have all images on the devices
  input     images are gathered, cropped, flipped and normalised, and no network runs

Steps are dispatched as in training: 16 at a time on accelerators, on a CPU and of a
streamed set one by one. --dispatch=1,16 compares such numbers, except for streamed.
On accelerators compiled programs are kept for the next start, as in training.

Students are a grid of temperatures in one program, one for each number of --students.

Two shares say how far a speed is from what the device could do. Model FLOP/s
utilisation: the teacher's forward and three forwards of each student, counted from the
networks themselves, against the device's arithmetic. Share of the memory roof: the
bytes that convolutional networks move, by a model (kdjax/bench/roofline.py), against
its memory. Such networks are usually bound by memory, so read both. Where the peak of a
device is not known, as of a CPU, only FLOP/s are shown.

With --input-only it times the streaming loader instead, with no network at all:
`python -m kdjax bench --input-only --help`.

Interrupt it at any time: what was measured until then is printed. Exit codes: 0
finished, 2 bad input, 130 interrupted.
"""

import argparse
import functools
import sys

from kdjax import cli
from kdjax.bench import rows
from kdjax.bench.problem import problem_of
from kdjax.bench.programs import MODES
from kdjax.contracts import InputError, nearest
from kdjax.distributed import devices
from kdjax.reporting.speeds import print_speeds
from kdjax.training import sharding

INPUT_ONLY = {"--input-only", "--input_only"}


def main(argv: list[str]) -> int:
    if not INPUT_ONLY.isdisjoint(argv):
        # Only here: images in memory need no Grain.
        from kdjax.cli import bench_input

        return bench_input.main(argv)
    options = _parser().parse_args(argv)
    runs = _runs(options)
    for name in ("batch_size", "image_size", "classes", "repeats"):
        at_least(options, name, 1)
    at_least(options, "steps", 0)
    devices.configure(options.devices, options.batch_size)
    devices.check_batch(options.batch_size, "--batch_size")
    sizes = {key: vars(options)[key] for key in ("batch_size", "image_size", "classes")}
    problem = problem_of(options.pair, options.dtype, **sizes)
    devices.keep_programs()
    print(devices.describe(), file=sys.stderr)
    mesh, cases = sharding.make_mesh(), []
    timed = {"steps": options.steps, "repeats": options.repeats}
    for number, run in enumerate(runs, start=1):
        mode, students, dispatch = run
        name = f"{mode}, {students} student(s)" if students else mode
        name += f", dispatch {dispatch}" if dispatch else ""
        positional = (options.pair, problem, *run, mesh)
        measure = functools.partial(rows.measure, *positional, **timed)
        cases.append((f"{number}/{len(runs)} {name}: compiles, then runs", measure))
    return rows.measure_each(cases, print_speeds, options.json)


def at_least(options: argparse.Namespace, name: str, low: int) -> None:
    value = getattr(options, name)
    if value < low:
        raise InputError(f"--{name} is {value}; expected {low} or more.")


def whole_numbers(name: str, text: str, example: str) -> list[int]:
    """Of an option that takes several, with commas."""
    if not all(part.isdigit() and int(part) for part in text.split(",")):
        raise InputError(
            f"--{name} is {text!r}; expected whole numbers above 0, such as {example}."
        )
    return [int(part) for part in text.split(",")]


def _runs(options: argparse.Namespace) -> list[tuple[str, int, int | None]]:
    """The mode, the number of students and the dispatch of every program."""
    for mode in (modes := options.modes.split(",")):
        if mode not in MODES:
            raise InputError(
                f"--modes names {mode!r}; expected some of {','.join(MODES)}."
                + nearest(mode, MODES)
            )
    students = whole_numbers("students", options.students, "1,8")
    dispatches = [None]
    if options.dispatch:
        dispatches = whole_numbers("dispatch", options.dispatch, "1,16")
    return [
        (mode, number, dispatch)
        for mode in modes
        for number in ([0] if mode == "input" else students)
        for dispatch in ([None] if mode == "streamed" else dispatches)
    ]


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("bench", __doc__)
    keys = "\n".join(f"  {key:<26}{text}" for key, text in rows.KEYS.items())
    parser.epilog = f"What a line of --json holds:\n{keys}"
    pair = "TEACHER:STUDENT, or TEACHER,STUDENT where names are package.module:name"
    parser.add_argument("--pair", default="wrn_28_4:wrn_16_2", help=pair)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--image_size", type=int, default=32, help="pixels of a side")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--students", default="1,8", help="numbers, with commas")
    dispatch = "steps at a time, with commas; default: as training does here"
    parser.add_argument("--dispatch", default="", help=dispatch)
    parser.add_argument("--modes", default=",".join(MODES), help="some of these")
    dtype = "of the activations; default: the networks' own"
    parser.add_argument("--dtype", help=dtype)
    parser.add_argument("--steps", type=int, default=0, help="a block; 0: for 2 s")
    parser.add_argument("--repeats", type=int, default=5, help="blocks, default 5")
    parser.add_argument("--devices", type=int, help="virtual devices, on CPU only")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser
