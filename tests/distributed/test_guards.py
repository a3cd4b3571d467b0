"""Guards and --allow where a run has several devices, and several processes.

One of 96 training images makes the student's logits NaN: of each batch that has it, one
device of one process alone sees it.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.__main__ import main
from kdjax.checkpoints import digest
from kdjax.data.loaders.sampler import sample_positions
from kdjax.models import Network
from kdjax.reporting.reporter import read_rows
from kdjax.runner import trainer
from tests import networks
from tests.distributed.jobs import RECORDED, Job, by_hand, read_records, write
from tests.distributed.test_runtime import images, students

WHITE = 7  # the image that is
BATCH, EXAMPLES = 16, 96
RATE = "--config.schedule.learning_rate=0.02"
LONGER = "--config.total_steps=18"


def sparks(num_classes: int, width: int) -> Network:
    """In training NaN for an image whose corner is white."""
    whole = networks.tiny(num_classes, width)

    def train(params, batch_stats, images, *rest):
        outputs, statistics = whole.train(params, batch_stats, images, *rest)
        is_white = images[:, 0, 0, :1] > 2.6  # of pixels (p / 255 - 0.4) / 0.2
        logits = jnp.where(is_white, jnp.nan, outputs.logits)
        return outputs._replace(logits=logits), statistics

    return whole._replace(train=train)


def steps_with(number, total):
    """The steps, from 1, whose batch has the image."""
    batches = [
        sample_positions(0, step, BATCH, EXAMPLES)[0].tolist() for step in range(total)
    ]
    return {n: batch for n, batch in enumerate(batches, 1) if number in batch}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("guards")
    for name, white in (("one", [WHITE]), ("all", range(EXAMPLES))):
        arrays = {}
        for split, count in (("train", EXAMPLES), ("test", 37)):
            arrays[f"{split}_image"], arrays[f"{split}_label"] = images(count, count)
        arrays["train_image"][list(white), 0, 0] = 255
        np.savez(root / f"{name}.npz", **arrays)
        config = students(root)
        config.data.name, config.data.padding = f"{name}.npz", 0
        config.data.flip = False
        config.schedule.name = "constant"  # so that the run may become longer
        del config.students.kd["selection"]
        kind = {"name": "tests.distributed.test_guards:sparks", "width": 4}
        config.students.kd.model = kind
        write(root / f"{name}.py", config)
    return root


def words(root, workdir, *more, config="one"):
    config, workdir = root / f"{config}.py", root / workdir
    return ["train", f"--config={config}", f"--workdir={workdir}", *more]


def check_rows(workdir, total):
    """The file lists the batches that have the image, each once."""
    rows = read_rows(workdir / "skipped_steps.jsonl", {"step": int})
    expected = steps_with(WHITE, total)
    assert len(expected) == total * BATCH // EXAMPLES
    assert {row["step"]: row["samples"] for row in rows} == expected
    assert len(rows) == len(expected)
    assert all(row["skipped"] == {"kd": "loss"} for row in rows)
    written = json.loads((workdir / "summary.json").read_text())["students"]
    assert written["kd"]["skipped_steps"]["reasons"] == {"loss": len(rows)}
    assert "skipped_steps" not in written["ce"]


def test_what_one_device_of_eight_sees_is_skipped_on_all(
    root, as_they_are, monkeypatch
):
    seen = {}

    def kept(states):
        kd = states["kd"]
        return kd.params, kd.batch_stats, kd.opt_state

    class Watched(trainer.Steps):
        def run(self, states, number, *rest):
            before = digest(kept(states))
            states, metrics = super().run(states, number, *rest)
            seen[number + 1] = digest(kept(states)) == before
            for leaf in jax.tree.leaves(kept(states)):  # every device's own copy
                first, *others = (np.asarray(x.data) for x in leaf.addressable_shards)
                assert all(np.array_equal(first, other) for other in others)
            return states, metrics

    monkeypatch.setattr(trainer, "Steps", Watched)
    assert main(words(root, "eight")) == 0
    expected = steps_with(WHITE, 12)
    assert seen == {step: step in expected for step in range(1, 13)}
    check_rows(root / "eight", 12)


def start(root, workdir, *more, config="one", flags=None):
    out = root / f"{workdir}.record"
    how = {"module": RECORDED, "RECORD": json.dumps({"out": str(out)})}
    every = words(root, workdir, "--devices=2", *more, config=config)
    return Job(root, every, flags=flags or by_hand(2), **how), out


@pytest.mark.long
def test_two_processes_skip_and_go_on_together(root, as_they_are):
    job, out = start(root, "two")
    job.check()
    first, second = read_records(out, 2)
    assert first["saved"] == second["saved"]  # the parameters are the same
    assert first["skipped"] == second["skipped"]
    assert first["skipped"]["kd"]["steps"] == 2
    check_rows(root / "two", 12)

    refused, _ = start(root, "two", LONGER, RATE)
    assert refused.codes(100) == [2, 2], refused.text()
    assert "--allow=schedule.learning_rate" in refused.text()
    flags = by_hand(2)
    flags[1].append("--allow=schedule.learning_rate")
    refused, _ = start(root, "two", LONGER, RATE, flags=flags)
    assert refused.codes(100) == [2, 2], refused.text()
    unknown, _ = start(root, "two", LONGER, RATE, "--allow=schedule.rate")
    assert unknown.codes(100) == [2, 2], unknown.text()

    job, out = start(root, "two", LONGER, RATE, "--allow=schedule.learning_rate")
    job.check()
    records = read_records(out, 2)
    assert records[0]["restored"] == records[1]["restored"] == first["saved"]
    assert records[0]["saved"] == records[1]["saved"]
    assert [row["skipped"]["kd"]["steps"] for row in records] == [3, 3]
    check_rows(root / "two", 18)
    (change,) = read_rows(root / "two" / "config_changes.jsonl", {"step": int})
    assert change["step"] == 12
    assert change["changes"]["schedule.learning_rate"] == [0.01, 0.02]
    again, _ = start(root, "two", LONGER, RATE)
    assert again.codes(100) == [0, 0], again.text()


@pytest.mark.long
def test_two_processes_give_up_at_the_same_step(root):
    job, _ = start(root, "given_up", config="all")
    assert job.codes(100) == [3, 3], job.text()
    rows = read_rows(root / "given_up" / "skipped_steps.jsonl", {"step": int})
    assert [row["step"] for row in rows] == [*range(1, len(rows) + 1)]
    assert "the loss of kd was not finite in" in job.logs[0].read_text()
    own = (root / "given_up" / "logs" / "process-1.log").read_text()
    assert "the loss of kd was not finite in" in own
