"""Trains a study from first to last run, in one go or in pieces; resumes.

python -m kdjax.reproduce STUDY [--data=FILE.npz] [--data_dir=DIR] [--once] ...

Needs jax, jaxtyping, flax, optax, orbax-checkpoint and numpy with --data=FILE.npz; TFDS
too without it. launch/README.md says more.
"""

import gc
import math
import pathlib
import sys
import time

from kdjax import paths
from kdjax.distributed import devices
from kdjax.reproduce import options, records, results
from kdjax.reproduce.plans import STUDIES, Part, Settings, Study, parts_of
from kdjax.runner import run as runs
from kdjax.runner import time_slice, workdir
from kdjax.training.loop import Preempted

RESULTS = pathlib.Path(__file__).parent.parent / "configs" / "cifar100" / "results"
SHARE = 0.25  # of a piece's time that must be left for another run to begin


def main(argv: list[str]) -> int:
    """Runs a study, or only writes down what was measured."""
    given = options.parser().parse_args(argv)
    settings = options.settings(given)
    root = paths.local(
        given.runs or pathlib.Path("runs", given.study), "--runs"
    ).resolve()
    # A rehearsal is no measurement: what it gives stays with its runs.
    where = given.results or (root / "results" if settings.total_steps else RESULTS)
    where = paths.local(where, "--results").resolve()
    if not given.report:
        minutes = given.minutes if given.once else math.inf
        command = records.command(given.study, settings)
        book = records.Book(given.study, where, command)
        run(STUDIES[given.study], settings, root, minutes, book, given.devices)
    print(f"wrote {results.write(given.study, where)}")
    return 0


def run(
    study: Study,
    settings: Settings,
    root: pathlib.Path,
    minutes: float,
    book: records.Book,
    virtual: int | None = None,
) -> None:
    """Trains what is not trained yet, and records what is.

    Args:
      study: what to train.
      settings: with which data, seeds and type.
      root: absolute; where the runs live.
      minutes: of this piece; infinity for all in one.
      book: takes what every finished run measured.
      virtual: number of virtual devices, on CPU only.

    Raises:
      Preempted: the time is up, or a signal came; all is saved.
    """
    deadline, begun_one = time_slice.deadline(minutes), False
    parts = parts_of(study, settings, root)
    for part in parts:
        runs.check(part.config, root)
    devices.configure_cpu(virtual, parts[0].config["batch_size"])
    devices.keep_programs(root / "compiled")
    for part in parts:
        where = root / part.name
        if not workdir.is_done(where):
            if begun_one and deadline - time.monotonic() < 60 * minutes * SHARE:
                raise Preempted(
                    f"stopped before {part.name}, for which too little time is left. "
                    "The same command goes on from there."
                )
            begun_one = True
            records.note_piece(where)
        print(f"{part.name}, {_place(part, parts)}", file=sys.stderr)
        runs.run(part.config, where, deadline)
        book.enter(part, where)
        gc.collect()  # its arrays leave the device before the next ones come


def _place(part: Part, parts: list[Part]) -> str:
    return f"run {parts.index(part) + 1} of {len(parts)}"
