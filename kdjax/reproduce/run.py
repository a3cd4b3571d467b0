"""Trains a study from its first run to its last, at once or in time slices; resumes."""

import contextlib
import gc
import pathlib
import sys
import time
from collections.abc import Callable

from kdjax import signals
from kdjax.contracts import InputError
from kdjax.distributed import devices
from kdjax.reporting.console import say
from kdjax.reproduce import records
from kdjax.reproduce.plans import Run
from kdjax.runner import run as runner
from kdjax.runner import time_slice, workdir
from kdjax.training.loop import Preempted

SHARE = 0.25  # of a time slice that must be left for another run to start


def run(
    runs: list[Run],
    root: pathlib.Path,
    minutes: float,
    record: Callable[[Run, pathlib.Path], None],
    virtual: int | None = None,
) -> None:
    """Trains what is not trained yet below `root`, which is absolute, and records it.

    After `minutes`, those of a time slice or infinity, it raises Preempted. `virtual`
    is the number of virtual devices, on CPU only.
    """
    deadline, started = time_slice.deadline(minutes), False
    for one in runs:
        runner.check(one.config, root)
    devices.configure(virtual, runs[0].config["batch_size"])
    devices.keep_programs(root / "compiled")
    with contextlib.ExitStack() as held:
        # Between two runs as well, where a report that watches would take all for
        # finished; unless another process has it, which trains other seeds here.
        with contextlib.suppress(InputError):
            held.enter_context(workdir.locked(root))
        for number, one in enumerate(runs, start=1):
            signals.check()
            directory = root / one.name
            if not workdir.is_done(directory):
                if started and deadline - time.monotonic() < 60 * minutes * SHARE:
                    raise Preempted(
                        f"stopped before {one.name}, for which too little time is "
                        "left. The same command goes on from there."
                    )
                started = True
                records.note_time_slice(directory)
            say(f"{one.name}, run {number} of {len(runs)}", sys.stderr)
            runner.run(one.config, directory, deadline)
            record(one, directory)
            gc.collect()  # its arrays leave the device before the next ones come
