"""One process of a run, which sends a signal to itself: `python -m tests.chaos.victim`.

$CHAOS is JSON: `point`, one of POINTS, `signal` and `process`, which one does it; {}
for a run that is left alone.
"""

import functools
import json
import os
import signal
import sys
import threading
import time

from kdjax import __main__
from kdjax.distributed import collectives, lost
from kdjax.runner import run, trainer

POINTS = "start-up compiling first-steps mid-epoch saving evaluating at-the-end".split()
MIDDLE, EVALUATED, SAVED = 9, 6, 8  # steps
REQUEST = json.loads(os.environ.get("CHAOS", "{}"))


def kill(after: float = 0.0) -> None:
    """Sends the signal, now or when the main thread is at something else."""
    if collectives.process() != REQUEST["process"]:
        return
    if after:
        threading.Timer(after, kill).start()
        return
    REQUEST["process"] = -1  # once
    os.kill(os.getpid(), signal.Signals[REQUEST["signal"]])


def before(module, name: str, act=kill, when=lambda *_, **__: True) -> None:
    """Lets `module.name` act before it does what it does."""
    real = getattr(module, name)
    assert callable(real), f"{module.__name__}.{name} is no function"

    @functools.wraps(real)
    def disturbed(*arguments, **named):
        if when(*arguments, **named):
            act()
        return real(*arguments, **named)

    setattr(module, name, disturbed)


def plant(point: str) -> None:
    """Arranges for the signal at a point of the run."""
    soon = functools.partial(kill, 0.02)
    step = lambda wanted: lambda self, states, number, *_: number == wanted  # noqa: E731
    if point == "start-up":
        before(run, "build")
    elif point == "compiling":
        before(trainer.Steps, "run", soon)
    elif point == "first-steps":
        before(trainer.Steps, "run", when=step(2))
    elif point == "mid-epoch":
        before(trainer.Steps, "run", when=step(MIDDLE))
    elif point == "saving":
        saved = lambda self, number, *_: number == SAVED  # noqa: E731
        before(trainer.Checkpointer, "save", soon, saved)
    elif point == "evaluating":

        def soon_and_wait() -> None:
            kill(0.001)
            time.sleep(0.002)

        before(trainer.Evaluation, "__call__", soon_and_wait)
    else:
        before(trainer.summary, "summary")


if __name__ == "__main__":
    lost.BEAT, lost.LOST_AFTER = 0.5, 8.0  # nobody waits a minute for each
    if REQUEST:
        plant(REQUEST["point"])
    sys.exit(__main__.main())
