import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from kdjax.data.load import Split
from kdjax.data.loaders import loader
from kdjax.data.loaders.batch import evaluation_batches, gather_batch
from kdjax.data.loaders.sampler import sample_positions
from tests.datasets.miniatures import images


def split_of(count):
    label = np.arange(count, dtype=np.int32) * 3 % 10
    return Split(images(0, count, (6, 5, 3)), label, tuple("0123456789"), {})


def mesh_of(devices):
    indices = jax.devices()[:devices]
    return jax.make_mesh(
        (devices,), ("data",), axis_types=(AxisType.Auto,), devices=indices
    )


@pytest.mark.parametrize("devices", [1, 8])
def test_a_ticket_becomes_its_rows(devices):
    split, mesh = split_of(40), mesh_of(devices)
    selection = np.linspace(0, 2, 40, dtype=np.float32)
    sample_info = {"a": {"selection": selection, "clean": np.stack([selection] * 2, 1)}}
    feed = loader.make_loader(
        split, mesh, seed=1, batch_size=16, sample_info=sample_info
    )
    everywhere, cut = (NamedSharding(mesh, PartitionSpec(*a)) for a in ((), ("data",)))
    gather = jax.jit(gather_batch, in_shardings=(everywhere, cut))
    for step in (0, 2, 7):
        index, epoch = sample_positions(1, step, 16, 40)
        batch = gather(feed.source, jax.device_put(feed.batch_spec(step), cut))
        np.testing.assert_array_equal(batch.image, split.image[index])
        np.testing.assert_array_equal(batch.label, split.label[index])
        np.testing.assert_array_equal(batch.index, index)
        np.testing.assert_array_equal(batch.epoch, epoch)
        actual = batch.sample_info["a"]
        np.testing.assert_array_equal(actual["selection"], selection[index])
        assert actual["clean"].shape == (16, 2)
        assert batch.image.dtype == np.uint8
        assert actual["selection"].dtype == np.float32


def test_rows_are_gathered_where_they_are_needed():
    mesh = mesh_of(8)
    feed = loader.make_loader(split_of(40), mesh, seed=1, batch_size=16)
    everywhere, cut = (NamedSharding(mesh, PartitionSpec(*a)) for a in ((), ("data",)))
    gather = jax.jit(gather_batch, in_shardings=(everywhere, cut), out_shardings=cut)
    program = gather.lower(feed.source, feed.batch_spec(0)).compile().as_text()
    for collective in ("all-gather", "all-to-all", "collective-permute", "all-reduce"):
        assert collective not in program


def test_every_device_holds_the_whole_split():
    feed = loader.make_loader(split_of(40), mesh_of(8), seed=0, batch_size=8)
    for array in jax.tree.leaves(feed.source):
        assert len(array.addressable_shards) == 8
        assert all(
            shard.data.shape == array.shape for shard in array.addressable_shards
        )
    assert feed.source["sample_info"] == {}


def test_evaluation_counts_each_sample_once():
    split = split_of(23)
    batches = list(evaluation_batches(split, 8))
    assert [len(label) for _, label, _ in batches] == [8, 8, 8]
    image, label, valid = (np.concatenate(c) for c in zip(*batches, strict=True))
    assert valid.sum() == 23 and valid[:23].all()
    np.testing.assert_array_equal(image[valid], split.image)
    np.testing.assert_array_equal(label[valid], split.label)
    assert not image[~valid].any() and not label[~valid].any()
    assert image.dtype == np.uint8 and label.dtype == np.int32


def test_evaluation_without_padding():
    batches = list(evaluation_batches(split_of(24), 8))
    assert len(batches) == 3 and all(valid.all() for *_, valid in batches)


@pytest.mark.errors
def test_errors():
    split, mesh = split_of(10), mesh_of(8)
    with pytest.raises(ValueError, match="batch_size is 12.*8 devices"):
        loader.make_loader(split, mesh, seed=0, batch_size=12)
    for bad in (np.ones(9), -np.ones(10), np.full(10, np.nan)):
        sample_info = {"a": {"selection": bad}}
        with pytest.raises(ValueError, match=r"sample_info\['a'\]\['selection'\]"):
            loader.make_loader(
                split, mesh, seed=0, batch_size=8, sample_info=sample_info
            )
    with pytest.raises(ValueError, match="batch_size is 0"):
        next(evaluation_batches(split, 0))
