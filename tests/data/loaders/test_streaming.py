"""The streamed feed: what a ticket holds; nothing but its number decides it."""

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from kdjax.data.images.crops import Geometry
from kdjax.data.load import load_split
from kdjax.data.loaders import loader
from kdjax.data.loaders.batch import gather_batch
from kdjax.data.loaders.sampler import sample_positions
from kdjax.data.loaders.streaming import StreamingLoader
from kdjax.data.split import DataError
from kdjax.data.transforms.augment import Augment
from tests.data.jpegs import pictures, prepare_jpegs

GEOMETRY = Geometry(size=24, short_side=28)
COUNT, BATCH, SEED = 22, 8, 5


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("streamed")
    prepare_jpegs(data_dir, {"train": pictures(COUNT)})
    return load_split("jpeg_set", "train", data_dir=data_dir, crops=GEOMETRY)


@pytest.fixture
def feed(split):
    with_threads = loader_of(split)
    yield with_threads
    with_threads.close()


def loader_of(split, **changed):
    how = {"seed": SEED, "batch_size": BATCH, "threads": 3} | changed
    return StreamingLoader(split.image, {}, **how)


def mesh_of(devices):
    indices = jax.devices()[:devices]
    return jax.make_mesh(
        (devices,), ("data",), axis_types=(AxisType.Auto,), devices=indices
    )


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_ticket_is_the_crops_of_its_samples(split, feed):
    for step in range(4):  # the third crosses into the next epoch
        batch_spec = feed.batch_spec(step)
        index, epoch = sample_positions(SEED, step, BATCH, COUNT)
        np.testing.assert_array_equal(batch_spec["index"], index)
        np.testing.assert_array_equal(batch_spec["epoch"], epoch)
        assert batch_spec["index"].dtype == batch_spec["epoch"].dtype == np.int32
        assert batch_spec["image"].shape == (BATCH, 24, 24, 3)
        assert batch_spec["image"].dtype == np.uint8
        for image, number, when in zip(batch_spec["image"], index, epoch, strict=True):
            expected, _ = split.image.training_crop(SEED, int(when), int(number))
            np.testing.assert_array_equal(image, expected)


def test_red_says_that_picture_and_label_belong_together(split, feed):
    batch_spec = feed.batch_spec(1)
    number = np.rint(np.median(batch_spec["image"][..., 0], axis=(1, 2)) / 10)
    np.testing.assert_array_equal(number % 5, split.label[batch_spec["index"]])


def test_each_epoch_has_other_crops_of_the_same_pictures(feed):
    index = np.arange(COUNT, dtype=np.int32)
    first, second = (
        feed.batch_spec_of(index, np.full_like(index, e))["image"] for e in (0, 1)
    )
    assert all((a != b).any() for a, b in zip(first, second, strict=True))
    red = [np.median(image[..., 0], axis=(1, 2)) for image in (first, second)]
    np.testing.assert_allclose(*red, atol=4)


def test_resuming_repeating_and_skipping_change_nothing(split, feed):
    expected = [feed.batch_spec(step) for step in range(6)]
    another = loader_of(split)
    same(feed.batch_spec(6), another.batch_spec(6))
    another.close()
    for step in (3, 4, 4, 0, 5, 1, 2):
        same(feed.batch_spec(step), expected[step])
    feed.close()
    same(feed.batch_spec(2), expected[2])


@pytest.mark.parametrize("threads", [1, 5])
def test_threads_change_nothing(split, feed, threads):
    other = loader_of(split, threads=threads)
    for step in range(7):
        same(other.batch_spec(step), feed.batch_spec(step))
    other.close()


@pytest.mark.parametrize("processes", [2, 4])
def test_hosts_share_a_batch_and_change_nothing(split, feed, processes):
    hosts = [loader_of(split, process=i, processes=processes) for i in range(processes)]
    for step in range(5):
        parts = [host.batch_spec(step) for host in hosts]
        assert all(len(part["index"]) == BATCH // processes for part in parts)
        together = jax.tree.map(lambda *rows: np.concatenate(rows), *parts)
        same(together, feed.batch_spec(step))
    assert {host.parts for host in hosts} == {processes}
    for host in hosts:
        host.close()


@pytest.mark.parametrize("devices", [1, 8])
def test_it_becomes_a_batch_as_a_resident_ticket_does(split, devices):
    mesh = mesh_of(devices)
    weight = np.linspace(0, 2, COUNT, dtype=np.float32)
    sample_info = {"a": {"selection": weight}}
    feed = loader.make_loader(
        split, mesh, seed=SEED, batch_size=BATCH, sample_info=sample_info
    )
    everywhere, cut = (NamedSharding(mesh, PartitionSpec(*a)) for a in ((), ("data",)))
    written = jax.jit(gather_batch, in_shardings=(everywhere, cut))
    batch_spec = feed.batch_spec(2)
    batch = written(feed.source, jax.device_put(batch_spec, cut))
    np.testing.assert_array_equal(batch.image, batch_spec["image"])
    np.testing.assert_array_equal(batch.label, split.label[batch_spec["index"]])
    np.testing.assert_array_equal(
        batch.sample_info["a"]["selection"], weight[batch.index]
    )
    crops = Augment(mean=(0, 0, 0), std=(1, 1, 1), padding=0, flip=True)
    visited = np.rint(255 * np.asarray(jax.jit(crops.train)(batch, SEED)))
    mirrored = (visited == batch_spec["image"][:, :, ::-1]).all((1, 2, 3))
    plain = (visited == batch_spec["image"]).all((1, 2, 3))
    assert (mirrored ^ plain).all() and 0 < mirrored.sum() < BATCH
    feed.close()


def test_a_replaced_picture_brings_its_own_index(tmp_path):
    rows = pictures(10)
    prepare_jpegs(tmp_path, {"train": [*rows[:9], (rows[9][0][:700], 4)]})
    where = {"data_dir": tmp_path, "crops": GEOMETRY}
    split = load_split("jpeg_set", "train", skip_at_most=1, **where)
    feed = loader_of(split, batch_size=10)
    index, _ = sample_positions(SEED, 0, 10, 10)
    batch_spec = feed.batch_spec(0)
    ((at,),) = np.nonzero(batch_spec["index"] != index)
    assert batch_spec["index"][at] == (index[at] + 1) % 10
    twin = np.flatnonzero(batch_spec["index"] == batch_spec["index"][at])
    np.testing.assert_array_equal(*batch_spec["image"][twin])
    number = np.rint(np.median(batch_spec["image"][..., 0], axis=(1, 2)) / 10)
    np.testing.assert_array_equal(number % 5, split.label[batch_spec["index"]])
    feed.close()
    strict = loader_of(load_split("jpeg_set", "train", **where), batch_size=10)
    for _ in range(2):  # told again, not a ticket that is missing
        with pytest.raises(DataError, match="image .* cannot be read"):
            strict.batch_spec(0)
    strict.close()


@pytest.mark.errors
def test_errors(split):
    with pytest.raises(ValueError, match="batch_size is 12.*8 devices"):
        loader.make_loader(split, mesh_of(8), seed=0, batch_size=12)
    wrong = {"a": {"selection": np.ones(COUNT + 1)}}
    with pytest.raises(ValueError, match="selection"):
        loader.make_loader(split, mesh_of(8), seed=0, batch_size=8, sample_info=wrong)
