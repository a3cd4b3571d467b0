"""Writes a teacher's outputs for the students of a config to disk, or verifies them."""

import dataclasses
import pathlib
import secrets
import time

import numpy as np

from kdjax import signals
from kdjax.caching import manifest
from kdjax.caching.layout import Layout, missing
from kdjax.caching.reader import Reader
from kdjax.caching.teacher_runner import TeacherRunner, layout_of
from kdjax.caching.verify import verify
from kdjax.caching.writer import check_room, write_epoch
from kdjax.contracts import InputError, versions
from kdjax.distributed import collectives, devices
from kdjax.experiment import schema
from kdjax.experiment.build import PACKAGES, plan_of
from kdjax.experiment.builders import allow_code, code_of
from kdjax.experiment.cache import epochs_of, origin_of
from kdjax.experiment.data import Data, load_data
from kdjax.experiment.pretrained import Teacher
from kdjax.experiment.teachers import load_teacher
from kdjax.runner.workdir import LOCK, SHARED, locked
from kdjax.training.loop import BY_SIGNAL, Preempted

FULL_UP_TO = 200  # classes; above it only the TOP_K largest logits are stored
TOP_K = 50
SECONDS = 10.0  # between two reports


def write_cache(config: dict, directory: pathlib.Path, **options) -> dict:
    """Writes the epochs that are missing; returns what the command prints.

    `config` is of one training of students; the options are those of `CacheRequest`.
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
    absent = collectives.broadcast(lambda: missing(directory, record["epochs"]))
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


@dataclasses.dataclass(frozen=True)
class CacheRequest:
    """A teacher's outputs for the students of a config, to be written or verified.

    What is None stays as it is stored; of a new cache it is float16, all logits up to
    FULL_UP_TO classes and TOP_K above, no features.
    """

    config: dict  # plain, of one training of students
    data: Data
    teacher: Teacher
    directory: pathlib.Path
    epochs: int | None = None  # None: those of the config
    dtype: str | None = None
    top_k: int | None = None  # how many logits of a sample; 0 for all
    features: tuple[str, ...] | None = None

    @classmethod
    def load(cls, config: dict, directory: pathlib.Path, **options) -> "CacheRequest":
        """Loads data and teacher, the same in all processes."""
        data = load_data(config["data"])
        with allow_code(*code_of(config)):
            teacher = load_teacher(config["teacher"], data.identity)
        if teacher is None:
            raise InputError(
                "config.teacher names none; expected config.teacher.workdir, the "
                "--workdir of the run that trained the teacher."
            )
        collectives.log(devices.describe())
        same = {"data": data.train.identity, "teacher": teacher.identity["digest"]}
        same |= {key: config[key] for key in ("seed", "batch_size", "evaluation")}
        same |= schema.data_of_all_hosts(config)
        collectives.assert_equal("this cache", same)
        return cls(config, data, teacher, directory, **options)

    def runner(self, layout: Layout) -> TeacherRunner:
        """The teacher on the devices."""
        return TeacherRunner(
            *(self.teacher.network, self.teacher.variables),
            *(self.data.train, self.data.augment),
            seed=self.config["seed"],
            layout=layout,
            batch_size=self.config["evaluation"]["batch_size"],
            step_size=self.config["batch_size"],
        )

    def manifest(self, verify: bool = False) -> dict:
        """Of the cache as it is to be, or, to verify it, as it is."""
        stored = self._stored(verify)
        seed, batch_size = self.config["seed"], self.config["batch_size"]
        wanted = origin_of(self.teacher, self.data, seed, batch_size)
        self._check_same(stored, wanted)
        wanted |= self._layout(stored).as_json()
        self._check_same(stored, wanted)
        if verify:
            return stored
        examples, epochs = len(self.data.train.label), self.epochs
        if epochs is None:
            total_steps = plan_of(self.config, examples / batch_size).total_steps
            epochs = epochs_of(total_steps, batch_size, examples)
        if stored is not None:
            return stored | {"epochs": max(epochs, stored["epochs"])}
        made_by = {"teacher": self.teacher.identity, "versions": versions(*PACKAGES)}
        return wanted | {"epochs": epochs, "made_by": made_by}

    def _stored(self, verify: bool) -> dict | None:
        """The manifest in the directory, or None of an empty one."""
        record = manifest.read(self.directory, "--workdir")
        if record is None and verify:
            raise InputError(f"--verify: there is no cache in {self.directory}.")
        names = {path.name for path in self.directory.iterdir()} - {LOCK, SHARED}
        if record is None and names:
            raise InputError(
                f"--workdir: {self.directory} holds {', '.join(sorted(names)[:3])} and "
                "no cache; expected a new directory."
            )
        return record

    def _layout(self, stored: dict | None) -> Layout:
        many = len(self.data.train.class_names) > FULL_UP_TO
        new = {"dtype": "float16", "top_k": TOP_K if many else 0, "features": ()}
        given = {key: getattr(self, key) for key in new}
        values = {key: (stored or new)[key] for key in new}
        values |= {key: value for key, value in given.items() if value is not None}
        network, variables = self.teacher.network, self.teacher.variables
        return layout_of(network, variables, self.data.train, **values)

    def _check_same(self, stored: dict | None, wanted: dict) -> None:
        different = manifest.differences(stored, wanted) if stored else []
        if different:
            raise InputError(
                f"--workdir: {self.directory} holds a cache of other outputs: "
                f"{'; '.join(different[:5])}. Use a new --workdir, or the old values."
            )


def _start(directory: pathlib.Path, layout: Layout, record: dict) -> list[int]:
    """Writes the manifest; returns the epochs that are missing."""
    todo = missing(directory, record["epochs"])
    collectives.log(check_room(directory, layout, record["epochs"], len(todo)))
    manifest.write(directory, record)
    return todo


def _write_epochs(
    directory: pathlib.Path, layout: Layout, runner: TeacherRunner, epochs: list[int]
) -> None:
    signals.resumable()
    doing = "leaves this epoch, the finished ones stay"
    with signals.deferred(lambda: doing, unsaved=False) as stop:
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
        self.stop.unsaved = True  # it was compiling until now
        why = self.should_stop(self.done, BY_SIGNAL if self.stop.noted else "")
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
