"""While a device computes, the next batch is decoded and sent: a device made of sleep.

It works off steps one after the other, as an accelerator does, so that when each of
them begins and ends is known, and so is when a picture is decoded or a batch is sent.
"""

import concurrent.futures
import contextlib
import itertools
import threading
import time

import jax
import pytest
from ml_collections import ConfigDict

from kdjax.experiment.build import build
from kdjax.runner import trainer
from kdjax.runner.sample_weights import SampleInfo
from kdjax.training import sharding
from tests.data.jpegs import pictures, prepare_jpegs
from tests.experiment import configs

BATCH, STEPS = 4, 8
# Seconds. A batch takes 0.18 of a thread: two threads are ahead of the device, one is
# not, nor is a loop that decodes by itself.
PICTURE, STEP, THREADS = 0.045, 0.12, 2


class Queued:
    """What a dispatched step returns: there when the device has come to it."""

    def __init__(self, future):
        self._future = future

    def block_until_ready(self):
        self._future.result()
        return self


class Device:
    """One queue; a step takes STEP seconds of it, and is dispatched at once."""

    def __init__(self):
        self.pool = concurrent.futures.ThreadPoolExecutor(1)
        self.spans, self.waiting, self.most = [], 0, 0

    def __call__(self, states, variables, source, batch_spec):
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        return states, Queued(self.pool.submit(self._compute))

    def _compute(self):
        begun = time.monotonic()
        time.sleep(STEP)
        self.spans.append((begun, time.monotonic()))
        self.waiting -= 1


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Steps of a streamed set on the device, and when what happened."""
    prepare_jpegs(tmp_path, {"train": pictures(16), "test": pictures(4)})
    config = configs.teacher(tmp_path)
    config.model = ConfigDict({"name": "tests.networks:pooled"})
    config.data.name, config.data.feed = "jpeg_set", "streamed"
    config.data.threads = THREADS
    config.data.train, config.data.test = "train", "test"
    config.data.crops = ConfigDict({"size": 16, "short_side": 20})
    config.data.mean, config.data.std = (0.5,) * 3, (0.3,) * 3
    config.data.flip, config.batch_size = False, BATCH
    experiment = build(config)
    decoded, sent, lock = [], [], threading.Lock()
    images, place_rows = experiment.train.image, sharding.place_rows
    crop = images.training_crop

    def training_crop(*args):
        time.sleep(PICTURE)
        with lock:
            decoded.append(time.monotonic())
        return crop(*args)

    def placed(*args, **kwargs):
        sent.append(time.monotonic())
        return place_rows(*args, **kwargs)

    monkeypatch.setattr(images, "training_crop", training_crop)
    monkeypatch.setattr(sharding, "place_rows", placed)
    mesh = sharding.make_mesh(jax.devices()[:BATCH])
    sample_info = SampleInfo(experiment, None, mesh, tmp_path / "run", 0)
    steps, device = trainer.Steps(experiment, None, mesh, sample_info), Device()
    monkeypatch.setitem(steps.programs, 1, device)
    with contextlib.closing(steps):
        yield steps, device, decoded, sent
    device.pool.shutdown()


def test_decoding_and_sending_happen_while_the_device_computes(made):
    steps, device, decoded, sent = made
    states = {}
    begun = time.monotonic()
    for number in range(STEPS):
        count, batch_spec = steps.ready(number, 1)
        states, metrics = steps.run(states, number, count, batch_spec)
    metrics.block_until_ready()
    seconds = time.monotonic() - begun
    assert len(device.spans) == STEPS and device.most == 2
    # The device never waits once it has begun: each step follows the one before it.
    gaps = [b[0] - a[1] for a, b in itertools.pairwise(device.spans)]
    assert sorted(gaps)[len(gaps) // 2] < STEP / 4
    # One after the other it would be decoding and computing for every step.
    apart = STEPS * (BATCH * PICTURE + STEP)
    assert seconds < 0.6 * apart
    # Batch n + 1 is sent, whole, before step n is over.
    ends = [end for _, end in device.spans]
    early = [sent[n + 1] < ends[n] for n in range(STEPS - 1)]
    assert sum(early) >= STEPS - 2
    # And pictures are decoded in the very time in which steps compute.
    within = [any(a < t < b for a, b in device.spans) for t in decoded]
    assert sum(within) > len(decoded) / 2
