"""Timing of a feed: what is counted, and what it costs beside bare decoding."""

import contextlib
import dataclasses
import time

import numpy as np
import pytest

from kdjax.bench import feed as timing
from kdjax.contracts import InputError
from kdjax.data.images.crops import Geometry, crop_bits
from kdjax.data.images.decode import decode
from kdjax.data.images.fast_crop import crop
from kdjax.data.images.lazy import LazyImages
from kdjax.data.load import load_split
from kdjax.data.loaders.sampler import sample_positions
from kdjax.data.loaders.streaming import StreamingLoader
from kdjax.data.synthetic import CLASSES, NAME, prepare_synthetic, synthetic_jpegs

GEOMETRY = Geometry(size=112, short_side=128)
COUNT, BATCH = 48, 16


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("synthetic")
    prepare_synthetic(data_dir, height=350, width=400, count=COUNT)
    return load_split(NAME, "train", data_dir=data_dir, crops=GEOMETRY)


def test_synthetic_jpegs_are_as_hard_as_photographs():
    content = list(synthetic_jpegs(350, 400, 20))
    assert list(synthetic_jpegs(350, 400, 20)) == content  # of the seed alone
    assert len(set(content)) == 20
    sizes = [len(one) for one in content]
    assert 30_000 < min(sizes) and max(sizes) < 65_000
    for one in content[:3]:
        picture = decode(one)
        assert picture.shape == (350, 400, 3)
        assert 25 < picture.std() < 90  # neither flat nor mostly clipped
        spectrum = np.abs(np.fft.fft2(picture[..., 1].astype(float))) ** 2
        rows = spectrum[1:150, 0]
        slope = np.polyfit(np.log(np.arange(5, 100)), np.log(rows[4:99]), 1)[0]
        assert -3.5 < slope < -0.7  # photographs: about -2


def test_the_synthetic_set_is_a_set(split):
    assert len(split.image) == len(split.label) == COUNT
    assert len(split.class_names) == CLASSES
    told = timing.about("x", split.image)
    assert told["pictures"] == COUNT and told["picture_pixels"] == 350 * 400
    assert 30_000 < told["picture_bytes"] < 65_000


def test_blocks_are_timed_after_the_feed_is_warm():
    taken, now, cpu = [], [0.0], [0.0]

    def take(step):
        taken.append(step)
        now[0] += 0.5 if step < 3 else 0.25
        cpu[0] += 0.2

    found = timing.measure(
        take,
        warm=3,
        repeats=2,
        batches=4,
        clock=lambda: now[0],
        cpu_clock=lambda: cpu[0],
    )
    assert taken == list(range(11))
    assert found.first == 3
    assert found.batches == 4 and found.seconds == (1.0, 1.0)
    assert found.rates(10) == (40.0, 40.0, 40.0)
    assert found.per_cpu_second(10) == pytest.approx(50.0)
    chosen = timing.measure(take, warm=4, repeats=1, clock=lambda: now[0])
    assert chosen.batches == round(2.0 / (1.75 / 4))


def test_a_row_has_what_the_help_explains(split):
    feed = StreamingLoader(split.image, {}, seed=0, batch_size=BATCH, threads=3)
    timed = timing.FeedTiming(4, (1.0, 2.0, 4.0), 6.0, 3)
    found = timing.row(split.image, feed, timed, cores=2)
    found |= timing.about("x", split.image) | {"placed": False}
    found |= {"load_average": timing.load_average()}
    assert found.keys() == timing.KEYS.keys()
    assert found["images_per_second"] == 4 * BATCH / 2
    assert found["images_per_second_low"] == 4 * BATCH / 4
    assert found["images_per_second_high"] == 4 * BATCH
    assert found["images_per_second_per_core"] == 4 * BATCH / 2 / 2
    assert found["images_per_cpu_second"] == 3 * 4 * BATCH / 6
    assert found["image_size"] == 112 and found["threads"] == 3


def test_the_size_is_that_of_the_crops_that_were_timed(split):
    growing = dataclasses.replace(GEOMETRY, sizes=((0, 64), (2, 80), (6, 112)))
    images = LazyImages(split.image.opened, growing, split.image.skipped)
    feed = StreamingLoader(images, {}, seed=0, batch_size=BATCH, threads=1)
    timed = timing.FeedTiming(4, (1.0, 2.0, 4.0), 6.0, 6)
    with contextlib.closing(feed):
        seen = {feed.batch_spec(step)["image"].shape[1] for step in range(6, 18)}
    assert seen == {timing.row(images, feed, timed, cores=2)["image_size"]} == {80}
    for first, sides in ((5, "64, 80"), (7, "80, 112")):
        with pytest.raises(InputError, match=f"sides of {sides}; expected one"):
            timing.row(images, feed, timed._replace(first=first), cores=2)


def test_the_feed_costs_little_beside_decoding_the_same_crops(split):
    """CPU time, by turns, so that a busy machine slows both; generous all the same."""
    feed = StreamingLoader(split.image, {}, seed=1, batch_size=BATCH, threads=1)
    contents = [split.image.content(index) for index in range(COUNT)]
    step, into = 0, np.empty((112, 112, 3), np.uint8)
    for _ in range(3):
        feed.batch_spec(step)
        step += 1
    spent = {"feed": 0.0, "bare": 0.0}
    for _ in range(4):
        begun = time.process_time()
        for number in range(step, step + 6):
            batch_spec = feed.batch_spec(number)
            assert batch_spec["image"].shape == (BATCH, 112, 112, 3)
        spent["feed"] += time.process_time() - begun
        begun = time.process_time()
        for number in range(step, step + 6):
            drawn = sample_positions(1, number, BATCH, COUNT)
            for index, epoch in zip(*(d.tolist() for d in drawn), strict=True):

                def box(height, width, index=index, epoch=epoch):
                    return GEOMETRY.random(height, width, crop_bits(1, epoch, index))

                crop(contents[index], box, into)
        spent["bare"] += time.process_time() - begun
        step += 6
    feed.close()
    assert spent["feed"] < 2 * spent["bare"]
