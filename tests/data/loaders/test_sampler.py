import numpy as np
import pytest

from kdjax.data.loaders.sampler import first_epochs, permutation, sample_positions


def stream(seed, steps, batch_size, num_examples):
    parts = [sample_positions(seed, s, batch_size, num_examples) for s in range(steps)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


@pytest.mark.parametrize("batch_size, num_examples", [(7, 30), (10, 30), (32, 10)])
def test_every_sample_once_an_epoch_and_none_dropped(batch_size, num_examples):
    steps = -(-4 * num_examples // batch_size)
    index, epoch = stream(3, steps, batch_size, num_examples)
    assert index.dtype == epoch.dtype == np.int32
    assert (np.diff(epoch) >= 0).all()
    for number in range(4):
        visited = index[epoch == number]
        assert sorted(visited.tolist()) == list(range(num_examples))


def test_epochs_and_seeds_differ():
    orders = [permutation(s, e, 1000) for s in range(3) for e in range(3)]
    for i, one in enumerate(orders):
        for other in orders[:i]:
            # Two random orders agree in one place on average.
            assert (one == other).sum() < 10


def test_order_has_no_drift():
    # A uniform order: the mean position of sample 0 over many seeds is the middle.
    where = [permutation(seed, 0, 101).tolist().index(0) for seed in range(2000)]
    assert abs(np.mean(where) - 50) < 4 * 29.2 / np.sqrt(2000)


def test_pure_in_seed_and_step():
    permutation.cache_clear()
    late = sample_positions(1, 1000, 64, 5000)
    for step in range(5):
        sample_positions(1, step, 64, 5000)
    permutation.cache_clear()
    again = sample_positions(1, 1000, 64, 5000)
    np.testing.assert_array_equal(late, again)


def test_batch_size_does_not_change_the_stream():
    small, large = stream(5, 12, 10, 44), stream(5, 4, 30, 44)
    np.testing.assert_array_equal(small, large)


def test_raw_bits_are_those_of_philox():
    """Philox4x64-10 of zeros: the known answer that Random123 publishes."""
    # NumPy counts before it draws, so start one below zero.
    generator = np.random.Philox(key=np.zeros(2, np.uint64), counter=2**256 - 1)
    expected = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC]
    expected += [0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert generator.random_raw(4).tolist() == expected


def test_cached_order_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        permutation(0, 0, 10)[0] = 1


@pytest.mark.parametrize(
    "changed", [{"seed": -1}, {"step": -1}, {"batch_size": 0}, {"num_examples": 0}]
)
def test_numbers_out_of_range(changed):
    good = {"seed": 0, "step": 0, "batch_size": 1, "num_examples": 1}
    with pytest.raises(ValueError, match=f"sample_positions: {next(iter(changed))} is"):
        sample_positions(**good | changed)


def test_the_epoch_that_a_samples_step_begins_in():
    seed, batch_size, count = 3, 7, 10
    steps = [sample_positions(seed, s, batch_size, count) for s in range(9)]
    index = np.concatenate([step[0] for step in steps])
    epoch = np.concatenate([step[1] for step in steps])
    wanted = np.repeat([step[1][0] for step in steps], batch_size)
    shuffled = np.random.default_rng(0).permutation(len(index))
    actual = first_epochs(seed, index[shuffled], epoch[shuffled], batch_size, count)
    np.testing.assert_array_equal(actual, wanted[shuffled])
    assert (actual != epoch[shuffled]).any()
    # A batch of more than two epochs.
    index, epoch = sample_positions(seed, 1, 25, count)
    assert set(first_epochs(seed, index, epoch, 25, count).tolist()) == {2}
