"""Threads of a streamed feed: how many, what they share, how much they keep."""

import threading
import time

import numpy as np
import pytest

from kdjax.data.images.crops import Geometry
from kdjax.data.load import load_split
from kdjax.data.loaders.streaming import _CHUNK, StreamingLoader
from kdjax.data.prefetch import cores
from tests.data.jpegs import pictures, prepare_jpegs

GEOMETRY, COUNT = Geometry(size=12, short_side=14), 40


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    actual = tmp_path_factory.mktemp("threads")
    prepare_jpegs(actual, {"train": pictures(COUNT)})
    return actual


def opened(data_dir, **how):
    return load_split("jpeg_set", "train", data_dir=data_dir, crops=GEOMETRY, **how)


class Watched:
    """Pictures that say which threads are at work on them at one time."""

    def __init__(self, images, seconds=0.0):
        self.geometry, self.threads, self._images = GEOMETRY, images.threads, images
        self.seconds, self.lock = seconds, threading.Lock()
        self.busy, self.most, self.calls = 0, 0, 0

    def __len__(self):
        return len(self._images)

    def training_crop(self, *args):
        with self.lock:
            self.busy, self.calls = self.busy + 1, self.calls + 1
            self.most = max(self.most, self.busy)
        time.sleep(self.seconds)
        with self.lock:
            self.busy -= 1
        return self._images.training_crop(*args)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_share_one_batch(data_dir, threads):
    watched = Watched(opened(data_dir).image, seconds=0.01)
    loader = StreamingLoader(
        watched, {}, seed=0, batch_size=4 * _CHUNK, threads=threads
    )
    index = np.arange(3 * _CHUNK, dtype=np.int32)
    loader.batch_spec_of(index, np.zeros_like(index))
    assert watched.most == threads and watched.calls == len(index)
    loader.close()


def test_more_threads_than_a_batch_has_pieces_share_several(data_dir):
    watched = Watched(opened(data_dir).image, seconds=0.02)
    loader = StreamingLoader(watched, {}, seed=0, batch_size=_CHUNK // 2, threads=5)
    for step in range(6):
        loader.batch_spec(step)
    assert watched.most == 5
    loader.close()


@pytest.mark.parametrize(
    ("threads", "batch_size", "processes", "expected"),
    [(1, 8 * _CHUNK, 1, 3), (2, 8 * _CHUNK, 1, 3), (16, 8 * _CHUNK, 8, 34)],
)
def test_few_batches_are_in_memory(data_dir, threads, batch_size, processes, expected):
    watched = Watched(opened(data_dir).image)
    how = {"seed": 0, "batch_size": batch_size, "processes": processes}
    loader = StreamingLoader(watched, {}, **how, threads=threads)
    assert loader.batches_ahead() == expected
    loader.batch_spec(0)
    deadline, visited = time.monotonic() + 20, -1
    rows = batch_size // processes
    while time.monotonic() < deadline and watched.calls < (expected + 1) * rows:
        time.sleep(0.01)
    while visited != watched.calls:  # and then it is quiet
        visited = watched.calls
        time.sleep(0.2)
    assert watched.calls == (expected + 1) * rows
    loader.close()


def test_a_feed_has_the_threads_that_its_split_was_loaded_with(data_dir):
    images = opened(data_dir, threads=3).image
    assert images.threads == images[np.arange(COUNT) < 9].threads == 3
    how = {"seed": 0, "batch_size": 4}
    assert StreamingLoader(images, {}, **how).threads == 3
    assert StreamingLoader(images, {}, **how, threads=2).threads == 2
    assert opened(data_dir).image.threads == cores()


def test_closing_ends_every_thread(data_dir):
    before = set(threading.enumerate())
    loader = StreamingLoader(
        opened(data_dir).image, {}, seed=0, batch_size=8, threads=4
    )
    for _ in range(2):
        loader.batch_spec(0)
        started = set(threading.enumerate()) - before
        assert any(thread.name.startswith("decode") for thread in started)
        loader.close()
        for thread in started:
            thread.join(20)
        assert not any(thread.is_alive() for thread in started)
