"""kdjax as a contestant: the step of `python -m kdjax train`, on as many devices.

python -m benchmarks.kdjax_loop --mode=live --students=1   # then {"steps": 20}, Enter
"""

import argparse
import functools
import math

import jax

from benchmarks import flags, worker
from kdjax.bench import programs, timing
from kdjax.bench.problem import problem_of
from kdjax.distributed import devices
from kdjax.training import sharding


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    flags.add(parser)
    parser.add_argument(
        "--mode", choices=("live", "cached", "streamed"), default="live"
    )
    parser.add_argument("--students", type=int, default=1)
    parser.add_argument("--dtype", help="default: bfloat16, on CPU float32")
    options = parser.parse_args(argv)
    worker.serve(functools.partial(start, options))


def start(options):
    devices.configure(None, options.batch_size)
    kind = jax.devices()[0]
    dtype = options.dtype or ("float32" if kind.platform == "cpu" else "bfloat16")
    sizes = {k: vars(options)[k] for k in ("batch_size", "image_size", "classes")}
    problem, mesh = problem_of(options.pair, dtype, **sizes), sharding.make_mesh()
    devices.keep_programs()
    dispatch = programs.dispatch_of(options.mode, kind.platform)
    program = programs.start(problem, options.mode, options.students, mesh, dispatch)
    done = 0

    def run(steps):
        nonlocal done
        calls = math.ceil(steps / dispatch)
        timing.block(program, done, calls)
        done += calls

    description = {
        "students": options.students,
        "dtype": dtype,
        "dispatch": dispatch,
        "platform": kind.platform.replace("gpu", "cuda"),
        "device": f"{mesh.size} x {kind.device_kind}",
        "version": f"jax {jax.__version__}",
        "notes": [],
    }
    return description, run


if __name__ == "__main__":
    main()
