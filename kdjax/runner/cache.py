"""Writes a teacher's outputs for the students of a config to disk, or verifies them."""

import pathlib
import secrets
import time

import numpy as np

from kdjax.caching import manifest
from kdjax.caching.layout import Layout, missing
from kdjax.caching.reader import Reader
from kdjax.caching.teacher_runner import TeacherRunner
from kdjax.caching.verify import verify
from kdjax.caching.writer import check_room, write_epoch
from kdjax.distributed import collectives
from kdjax.runner.cache_request import CacheRequest
from kdjax.runner.workdir import locked
from kdjax.training.loop import Preempted, stop_signals

SECONDS = 10.0  # between two reports


def write_cache(config: dict, directory: pathlib.Path, **options) -> dict:
    """Writes the epochs that are missing; returns what the command prints.

    Args:
      config: plain, of one training of students.
      directory: of the cache, absolute; created where it is missing.
      **options: epochs, dtype, top_k, features of `CacheRequest`.
    """
    request = CacheRequest.load(config, directory, **options)
    with locked(directory):
        record = collectives.broadcast(request.manifest)
        layout, start = Layout.from_json(record), time.monotonic()
        todo = collectives.broadcast(lambda: _start(directory, layout, record))
        if todo:
            _write_epochs(directory, layout, request.runner(layout), todo)
    return {
        "cache": str(directory),
        "digest": manifest.digest(record),
        **layout.as_json(),
        "epochs": record["epochs"],
        "bytes": record["epochs"] * layout.bytes_per_epoch(),
        "written_epochs": len(todo),
        "seconds": round(time.monotonic() - start, 3),
    }


def verify_cache(config: dict, directory: pathlib.Path, rows: int, **options) -> dict:
    """Compares a cache with its checksums and `rows` random samples with the teacher.

    Prints the first ten problems; "sound" in the result says whether there are any.
    """
    request = CacheRequest.load(config, directory, **options)
    record = collectives.broadcast(lambda: request.manifest(verify=True))
    absent = missing(directory, record["epochs"])
    present = sorted(set(range(record["epochs"])) - set(absent))
    reader = Reader(directory, record)
    seed = collectives.broadcast(lambda: secrets.randbits(64))
    runner, random = request.runner(reader.layout), np.random.default_rng(seed)
    result = verify(reader, runner, present, rows, random)
    problems = [f"epoch {epoch} is missing" for epoch in absent] + result["problems"]
    for problem in problems[:10]:
        collectives.log(f"kdjax cache: {problem}")
    identity = {"cache": str(directory), "digest": manifest.digest(record)}
    counts = {"problems": len(problems), "sound": not problems}
    return identity | {"epochs": len(present)} | result | counts


def _start(directory: pathlib.Path, layout: Layout, record: dict) -> list[int]:
    """Writes the manifest; returns the epochs that are missing."""
    todo = missing(directory, record["epochs"])
    collectives.log(check_room(directory, layout, record["epochs"], len(todo)))
    manifest.write(directory, record)
    return todo


def _write_epochs(
    directory: pathlib.Path, layout: Layout, runner: TeacherRunner, epochs: list[int]
) -> None:
    with stop_signals() as stop:
        progress = _Progress(directory, layout.examples * len(epochs), stop)
        for epoch in epochs:
            if collectives.is_primary():
                write_epoch(directory, epoch, layout, runner.blocks(epoch), progress)
            else:  # every process computes its part of each block
                for block in runner.blocks(epoch):
                    progress(len(block["logits"]))
    progress.report()


class _Progress:
    """Called after each block: reports now and then, stops on a signal."""

    def __init__(self, directory: pathlib.Path, total: int, stop):
        self.directory, self.total, self.stop = directory, total, stop
        self.done, self.start = 0, time.monotonic()
        self.reported, self.should_stop = self.start, collectives.stopper()

    def __call__(self, rows: int) -> None:
        why = self.should_stop(self.done, "by a signal" if self.stop.is_set() else "")
        if why:
            raise Preempted(
                f"stopped {why}; the finished epochs in {self.directory} stay. "
                "The same command goes on from there."
            )
        self.done += rows
        if time.monotonic() - self.reported >= SECONDS:
            self.report()

    def report(self) -> None:
        self.reported = time.monotonic()
        rate = self.done / max(self.reported - self.start, 1e-9)
        left = (self.total - self.done) / rate
        share = 100 * self.done / self.total
        collectives.log(f"{share:5.1f}%  {rate:,.0f} images/s  ETA {left:,.0f}s")
