"""One process of a run of several: `python -m kdjax` with a record of what it did.

$RECORD is JSON: `out`, a file for each process; `at`, a step before which process 1 is
sent `signal`; `slow`, seconds that a step takes more; `late`, seconds that the input of
the last process takes more; `images`, whether to count crops. The file holds which
state was restored, which was saved last, which steps were skipped, how many images were
decoded, and which GPUs the process would see.
"""

import json
import os
import pathlib
import signal
import sys
import time

import jax
from jax._src import xla_bridge
from jax.experimental import multihost_utils

from kdjax import __main__, checkpoints
from kdjax.runner import summary, trainer
from kdjax.runner.trainer import Steps

REQUEST = json.loads(os.environ["RECORD"])
RECORD = {}


def record(**values) -> None:
    RECORD.update(values)
    path = pathlib.Path(f"{REQUEST['out']}.{jax.process_index()}")
    path.write_text(json.dumps(RECORD))


def digest(states) -> str:
    """Of whole arrays, those of which this process has a part included."""

    def gathered(array):
        if array.is_fully_replicated or array.is_fully_addressable:
            return array
        return multihost_utils.process_allgather(array, tiled=True)

    return checkpoints.digest(jax.tree.map(gathered, states))


class Disturbed(Steps):
    """Steps that take longer, and are interrupted."""

    def ready(self, *arguments):
        if jax.process_index() == jax.process_count() - 1:
            time.sleep(REQUEST.get("late", 0.0))
        return super().ready(*arguments)

    def run(self, states, number, *rest):
        time.sleep(REQUEST.get("slow", 0.0))
        if number == REQUEST.get("at") and jax.process_index() == 1:
            os.kill(os.getpid(), signal.Signals[REQUEST["signal"]])
        return super().run(states, number, *rest)


class Recording(trainer.Checkpointer):
    def save(self, step, states, *rest):
        super().save(step, states, *rest)
        record(saved=[step, digest(states)])


def begin(*arguments, whole=trainer.begin):
    states, meta = whole(*arguments)
    visible = xla_bridge.CUDA_VISIBLE_DEVICES.value
    record(restored=[meta["step"], digest(states)], visible=visible)
    return states, meta


def check_end(experiment, results, states, skipped, *rest, whole=summary.check_end):
    record(skipped=skipped)
    whole(experiment, results, states, skipped, *rest)


def count_images() -> None:
    from kdjax.data.images.lazy import LazyImages

    def counted(name, whole):
        def crop(*arguments):
            record(**{name: RECORD.get(name, 0) + 1})
            return whole(*arguments)

        return crop

    for name in ("evaluation_crop", "training_crop"):
        setattr(LazyImages, name, counted(name, getattr(LazyImages, name)))


if __name__ == "__main__":
    trainer.Steps, trainer.Checkpointer, trainer.begin = Disturbed, Recording, begin
    summary.check_end = check_end
    if REQUEST.get("images"):
        count_images()
    sys.exit(__main__.main(sys.argv[1:]))
