"""python -m kdjax cache: writes a teacher's answers to all that its students will see.

  python -m kdjax cache --config=FILE[:ARG] --workdir=DIR [--config.a.b=value ...]
                        [--epochs=N] [--dtype=float16|float32] [--top_k=K]
                        [--features=pooled] [--verify[=ROWS]]

FILE is the config that the students will be trained with; they are given
--config.teacher.cache=DIR. Seed, data and crops, teacher and length count; batch size,
methods and students do not. The same command resumes, and adds epochs where more are
asked for. --verify writes nothing: it compares every file with its checksum and ROWS
random rows (default 256) with the live teacher, and exits with 4 where they differ.
Prints one JSON line.
"""

import argparse
import json
import pathlib
import secrets
import time

import numpy as np

from kdjax import cli, paths
from kdjax.caching import manifest
from kdjax.caching.layout import DTYPES, Layout, missing
from kdjax.caching.reader import Reader
from kdjax.caching.teacher_runner import TeacherRunner
from kdjax.caching.verify import verify
from kdjax.caching.writer import write_epoch
from kdjax.checkpoints import StorageError
from kdjax.cli import arguments
from kdjax.cli.cache_plan import (
    FULL_UP_TO,
    TOP_K,
    CacheRequest,
    check_room,
    make_manifest,
)
from kdjax.contracts import InputError
from kdjax.distributed import collectives, devices, runtime
from kdjax.experiment import schema
from kdjax.experiment.data import load_data
from kdjax.experiment.teachers import load_teacher
from kdjax.runner import workdir
from kdjax.training.loop import Preempted, stop_signals

ROWS = 256  # that --verify asks anew
SECONDS = 10.0  # between two reports


def main(argv: list[str]) -> int:
    options, config = read(argv)
    rows = schema.number(config, "evaluation.batch_size", 1, integer=True)
    with runtime.joined(options) as processes:
        devices.configure_cpu(options.devices, rows, processes)
        line = _run(options, config)
        if collectives.is_primary():
            print(json.dumps(line))
    return 0 if line.get("sound", True) else StorageError.exit_code


def _run(options: argparse.Namespace, config: dict) -> dict:
    """Writes or verifies; what is printed."""
    directory = paths.local(options.workdir, "--workdir").resolve()
    images = load_data(config["data"])
    teacher = load_teacher(config["teacher"], images.identity)
    if teacher is None:
        raise InputError(
            "config.teacher names none; expected config.teacher.workdir, the --workdir "
            "of the run that trained the teacher."
        )
    say(devices.describe())
    request = CacheRequest(options, config, images, teacher, directory)
    same = {"data": images.train.identity, "teacher": teacher.identity["digest"]}
    collectives.assert_equal("this cache", same)
    if options.verify:
        told = collectives.broadcast(lambda: make_manifest(request))
        line = _verify(request, told)
    else:
        with workdir.locked(directory):
            told = collectives.broadcast(lambda: make_manifest(request))
            line = _write(request, told)
    return {"cache": str(directory), "digest": manifest.digest(told)} | line


def read(argv: list[str]) -> tuple[argparse.Namespace, dict]:
    """The options, and the config as plain dicts."""
    parser = cli.parser("cache", __doc__)
    arguments.add_config(parser)
    parser.add_argument("--workdir", required=True, help="where the cache lives")
    parser.add_argument("--epochs", type=int, help="default: those of the config")
    parser.add_argument("--dtype", choices=DTYPES, help="default: float16")
    parser.add_argument(
        "--top_k",
        type=int,
        help=f"how many logits of a sample; 0: all, the default up to {FULL_UP_TO} "
        f"classes; above, {TOP_K}",
    )
    parser.add_argument("--features", choices=("pooled",), help="store them as well")
    parser.add_argument("--verify", type=int, nargs="?", const=ROWS, metavar="ROWS")
    options, config = arguments.parse(parser, argv)
    for name in ("epochs", "verify"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} is {value}; expected 1 or more.")
    config = schema.plain(config)
    schema.check_keys(config)
    if config["stages"] or config["select"]:
        raise InputError(
            "--config: config.stages and config.select are of a run of several parts; "
            "expected the config of one training."
        )
    return options, config


def _teacher_runner(request: CacheRequest, told: dict) -> TeacherRunner:
    return TeacherRunner(
        request.teacher.network,
        request.teacher.variables,
        request.images.train,
        request.images.augment,
        seed=told["seed"],
        layout=Layout.of(told),
        batch_size=request.config["evaluation"]["batch_size"],
        step_size=request.config["batch_size"],
    )


def _write(request: CacheRequest, told: dict) -> dict:
    """Writes the epochs that are missing."""
    directory, layout, begun = request.directory, Layout.of(told), time.monotonic()
    gone = collectives.broadcast(lambda: _begin(directory, told))
    if gone:
        live = _teacher_runner(request, told)
        with stop_signals() as stop:
            pace = _Pace(directory, layout.examples * len(gone), stop)
            for epoch in gone:
                if collectives.is_primary():
                    write_epoch(directory, epoch, layout, live.blocks(epoch), pace)
                else:  # it has its part in every answer
                    for block in live.blocks(epoch):
                        pace(len(block["logits"]))
        pace.report()
    return layout.as_json() | {
        "epochs": told["epochs"],
        "bytes": told["epochs"] * layout.bytes_per_epoch(),
        "written_epochs": len(gone),
        "seconds": round(time.monotonic() - begun, 3),
    }


def _begin(directory: pathlib.Path, told: dict) -> list[int]:
    """Writes the manifest; the epochs that are missing."""
    gone = missing(directory, told["epochs"])
    say(check_room(directory, told, len(gone)))
    manifest.write(directory, told)
    return gone


class _Pace:
    """Called after each block: reports now and then, and stops when told to."""

    def __init__(self, directory: pathlib.Path, total: int, stop):
        self.directory, self.total, self.stop = directory, total, stop
        self.done, self.begun = 0, time.monotonic()
        self.told, self.should_stop = self.begun, collectives.stopper()

    def __call__(self, rows: int) -> None:
        why = self.should_stop(self.done, "by a signal" if self.stop.is_set() else "")
        if why:
            raise Preempted(
                f"stopped {why}; the finished epochs in {self.directory} stay. "
                "The same command goes on from there."
            )
        self.done += rows
        if time.monotonic() - self.told >= SECONDS:
            self.report()

    def report(self) -> None:
        self.told = time.monotonic()
        rate = self.done / max(self.told - self.begun, 1e-9)
        left = (self.total - self.done) / rate
        share = 100 * self.done / self.total
        say(f"{share:5.1f}%  {rate:,.0f} images/s  ETA {left:,.0f}s")


def _verify(request: CacheRequest, told: dict) -> dict:
    """Compares what is there with checksums and teacher; says the first ten faults."""
    gone = missing(request.directory, told["epochs"])
    there = sorted(set(range(told["epochs"])) - set(gone))
    seed = collectives.broadcast(lambda: secrets.randbits(64))
    reader, random = Reader(request.directory, told), np.random.default_rng(seed)
    found = verify(
        reader, _teacher_runner(request, told), there, request.options.verify, random
    )
    problems = [f"epoch {epoch} is missing" for epoch in gone] + found["problems"]
    for problem in problems[:10]:
        say(f"kdjax cache: {problem}")
    counted = found | {"problems": len(problems), "sound": not problems}
    return {"epochs": len(there)} | counted


def say(text: str) -> None:
    collectives.log(text)
