"""kdjax as a contestant: the step of `python -m kdjax train`, on as many devices.

python -m benchmarks.kdjax_loop --mode=live --students=1   # then {"steps": 20}, Enter
"""

import argparse
import functools

import jax

from benchmarks import flags, worker
from kdjax.bench import programs, timing
from kdjax.distributed import devices
from kdjax.models import create
from kdjax.training import sharding


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    flags.add(parser)
    parser.add_argument("--mode", choices=("live", "cached"), default="live")
    parser.add_argument("--students", type=int, default=1)
    parser.add_argument("--dtype", help="default: bfloat16, on CPU float32")
    options = parser.parse_args(argv)
    worker.serve(functools.partial(start, options))


def start(options):
    devices.configure_cpu(None, options.batch_size)
    kind = jax.devices()[0]
    dtype = options.dtype or ("float32" if kind.platform == "cpu" else "bfloat16")
    teacher, student = (
        create(
            "wide_resnet",
            depth=depth,
            width=width,
            num_classes=options.classes,
            dtype=dtype,
        )
        for depth, width in flags.wide(options.pair)
    )
    problem = programs.Problem(
        teacher=teacher,
        student=student,
        batch_size=options.batch_size,
        image_size=options.image_size,
        classes=options.classes,
    )
    mesh = sharding.make_mesh()
    program = programs.start(problem, options.mode, options.students, mesh)
    done = 0

    def run(steps):
        nonlocal done
        timing.block(program, done, steps)
        done += steps

    description = {
        "students": options.students,
        "dtype": dtype,
        "platform": kind.platform.replace("gpu", "cuda"),
        "device": f"{mesh.size} x {kind.device_kind}",
        "version": f"jax {jax.__version__}",
        "notes": [],
    }
    return description, run


if __name__ == "__main__":
    main()
