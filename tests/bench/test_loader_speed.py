"""Timing of a loader: what is counted, and what it costs beside bare decoding."""

import contextlib
import dataclasses
import time

import numpy as np
import pytest

from kdjax.bench import loader_speed, timing
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
        image = decode(one)
        assert image.shape == (350, 400, 3)
        assert 25 < image.std() < 90  # neither flat nor mostly clipped
        spectrum = np.abs(np.fft.fft2(image[..., 1].astype(float))) ** 2
        rows = spectrum[1:150, 0]
        slope = np.polyfit(np.log(np.arange(5, 100)), np.log(rows[4:99]), 1)[0]
        assert -3.5 < slope < -0.7  # photographs: about -2


def test_the_synthetic_set_is_a_set(split):
    assert len(split.image) == len(split.label) == COUNT
    assert len(split.class_names) == CLASSES
    facts = loader_speed.about(split)
    assert facts["pictures"] == COUNT and facts["picture_pixels"] == 350 * 400
    assert 30_000 < facts["picture_bytes"] < 65_000


def test_blocks_are_timed_after_the_loader_is_warm():
    taken, now, cpu = [], [0.0], [0.0]

    def ready(step):
        taken.append(step)
        now[0] += 0.5 if step < 3 else 0.25
        cpu[0] += 0.2

    timed = loader_speed.measure(
        ready,
        warm=3,
        repeats=2,
        batches=4,
        clock=lambda: now[0],
        cpu_clock=lambda: cpu[0],
    )
    assert taken == list(range(11))
    assert timed.steps == range(3, 11)
    assert timed.blocks.steps == 4 and timed.blocks.seconds == (1.0, 1.0)
    assert set(timed.blocks.rates(10).values()) == {40.0}
    assert timed.cpu_seconds == pytest.approx(1.6)
    filled = loader_speed.measure(ready, warm=4, repeats=1, clock=lambda: now[0])
    assert filled.blocks.steps == round(2.0 / (1.75 / 4))


BLOCKS = timing.Timing(4, (1.0, 2.0, 4.0), (1.0, 2.0, 4.0))


def test_a_row_has_what_is_measured(split):
    loader = StreamingLoader(split.image, {}, seed=0, batch_size=BATCH, threads=3)
    timed = loader_speed.LoaderTiming(BLOCKS, 6.0, range(3, 15))
    row = loader_speed.row(split.image, loader, timed, cores=2)
    assert row["images_per_second"] == 4 * BATCH / 2
    assert row["images_per_second_low"] == 4 * BATCH / 4
    assert row["images_per_second_high"] == 4 * BATCH
    assert row["images_per_second_per_core"] == 4 * BATCH / 2 / 2
    assert row["images_per_cpu_second"] == 3 * 4 * BATCH / 6
    assert row["image_size"] == 112 and row["threads"] == 3


def test_the_size_is_that_of_the_crops_that_were_timed(split):
    growing = dataclasses.replace(GEOMETRY, sizes=((0, 64), (2, 80), (6, 112)))
    images = LazyImages(split.image.opened, growing, split.image.skipped)
    loader = StreamingLoader(images, {}, seed=0, batch_size=BATCH, threads=1)
    timed = loader_speed.LoaderTiming(BLOCKS, 6.0, range(6, 18))
    with contextlib.closing(loader):
        sides = {loader.batch_spec(step)["image"].shape[1] for step in range(6, 18)}
    assert sides == {80} == {loader_speed.side_of(images, loader, timed)}
    for first, sides in ((5, "64, 80"), (7, "80, 112")):
        with pytest.raises(InputError, match=f"sides of {sides}; expected one"):
            loader_speed.side_of(
                images, loader, timed._replace(steps=range(first, first + 12))
            )


def test_the_loader_costs_little_beside_decoding_the_same_crops(split):
    """CPU time, by turns, so that a busy machine slows both; generous all the same."""
    loader = StreamingLoader(split.image, {}, seed=1, batch_size=BATCH, threads=1)
    contents = [split.image.content(index) for index in range(COUNT)]
    step, into = 0, np.empty((112, 112, 3), np.uint8)
    for _ in range(3):
        loader.batch_spec(step)
        step += 1
    spent = {"loader": 0.0, "bare": 0.0}
    for _ in range(4):
        start = time.process_time()
        for number in range(step, step + 6):
            batch_spec = loader.batch_spec(number)
            assert batch_spec["image"].shape == (BATCH, 112, 112, 3)
        spent["loader"] += time.process_time() - start
        start = time.process_time()
        for number in range(step, step + 6):
            samples = sample_positions(1, number, BATCH, COUNT)
            for index, epoch in zip(*(d.tolist() for d in samples), strict=True):

                def box(height, width, index=index, epoch=epoch):
                    return GEOMETRY.random(height, width, crop_bits(1, epoch, index))

                crop(contents[index], box, into)
        spent["bare"] += time.process_time() - start
        step += 6
    loader.close()
    assert spent["loader"] < 2 * spent["bare"]
