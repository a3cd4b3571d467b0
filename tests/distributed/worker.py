"""One process of a run of several: `python -m kdjax`, that writes down what it saw.

$SEEN is JSON: `out`, a file for each process; `at`, a step before which process 1 gets
`signal`; `slow`, seconds that a step takes more. The file says which state was found,
which was saved last, and how many pictures were decoded.
"""

import json
import os
import pathlib
import signal
import sys
import time

import jax

from kdjax import __main__, checkpoints
from kdjax.runner import trainer
from kdjax.runner.trainer import Steps

ASKED = json.loads(os.environ["SEEN"])
SEEN = {}


def note(**what) -> None:
    SEEN.update(what)
    path = pathlib.Path(f"{ASKED['out']}.{jax.process_index()}")
    path.write_text(json.dumps(SEEN))


class Watched(Steps):
    """Steps that take their time, and are disturbed."""

    def run(self, states, number, *rest):
        time.sleep(ASKED.get("slow", 0.0))
        if number == ASKED.get("at") and jax.process_index() == 1:
            os.kill(os.getpid(), signal.Signals[ASKED["signal"]])
        return super().run(states, number, *rest)


class Told(trainer.Checkpointer):
    def save(self, step, states, metrics):
        super().save(step, states, metrics)
        note(saved=[step, checkpoints.digest(states)])


def begin(*arguments, whole=trainer.begin):
    states, meta = whole(*arguments)
    note(found=[meta["step"], checkpoints.digest(states)])
    return states, meta


def count_pictures() -> None:
    from kdjax.data.images.lazy import StoredImages

    def counted(name, whole):
        def crop(*arguments):
            note(**{name: SEEN.get(name, 0) + 1})
            return whole(*arguments)

        return crop

    for name in ("evaluation_crop", "training_crop"):
        setattr(StoredImages, name, counted(name, getattr(StoredImages, name)))


if __name__ == "__main__":
    trainer.Steps, trainer.Checkpointer, trainer.begin = Watched, Told, begin
    if ASKED.get("pictures"):
        count_pictures()
    sys.exit(__main__.main(sys.argv[1:]))
