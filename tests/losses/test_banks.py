"""Banks, queues and draws of negatives: what is stored, and what can be drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax import losses
from kdjax.losses import banks

update = jax.jit(losses.updated_bank)


def bank_inputs():
    draw = np.random.default_rng(0)
    bank = np.float32(draw.normal(size=(6, 3)))
    return bank, np.float32(draw.normal(size=(4, 3)))


@pytest.mark.parametrize("momentum", [0.0, 0.5, 1.0])
def test_bank_moves_the_rows_of_the_batch_and_no_other(momentum):
    bank, embedding = bank_inputs()
    index = np.array([3, 0, 5, 1])
    expected = bank.astype(float)
    for i, e in zip(index, embedding.astype(float), strict=True):
        row = momentum * expected[i] + (1 - momentum) * e
        expected[i] = row / np.linalg.norm(row)
    result = update(bank, index, embedding, momentum)
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    np.testing.assert_array_equal(result[2], bank[2])


def test_bank_keeps_the_last_of_a_sample_s_occurrences():
    bank, embedding = bank_inputs()
    twice = update(bank, np.array([3, 0, 3, 3]), embedding)
    once = update(bank, np.array([0, 3]), embedding[[1, 3]])
    np.testing.assert_array_equal(twice, once)
    # No row is written twice, in whatever order a device writes.
    rows = banks._rows_to_write(jnp.array([3, 0, 3, -1, 3, 6, 0]), 6)
    np.testing.assert_array_equal(rows, [6, 6, 6, 6, 3, 6, 0])


def test_bank_leaves_padding_out_and_keeps_rows_without_a_direction():
    bank, embedding = bank_inputs()
    embedding[1] = -bank[2]
    result = update(bank, np.array([-1, 2, 6, 100]), embedding)
    np.testing.assert_array_equal(result, bank)
    stored = losses.updated_bank(jnp.bfloat16(bank), np.arange(4), embedding)
    assert stored.dtype == jnp.bfloat16


def test_queue_replaces_the_oldest_rows_and_counts_what_is_filled():
    step = jax.jit(losses.updated_queue)
    queue, position, history = np.zeros((5, 1), np.float32), np.int32(0), []
    for batch in (2, 2, 3, 5, 1, 4, 2):
        new = np.arange(len(history), len(history) + batch) + 1.0
        history += list(new)
        queue, position = step(queue, position, np.float32(new)[:, None])
        filled = np.arange(5) < int(position)
        assert sorted(np.asarray(queue)[filled, 0]) == history[-5:]
        assert int(position) < 10


@pytest.mark.parametrize("compiled", [False, True])
def test_negatives_are_all_samples_of_other_classes_and_equally_often(compiled):
    all_labels = np.array([2, 0, 1, 0, 2, 2, 3])
    groups = losses.group_by_class(all_labels, 5)  # no sample of class 4
    draw = losses.draw_negatives
    draw = jax.jit(draw, static_argnums=3) if compiled else draw
    labels = np.array([0, 1, 2, 3, 4])
    drawn = np.asarray(draw(jax.random.key(1), groups, labels, 6000))
    assert drawn.shape == (5, 6000)
    for label, row in zip(labels, drawn, strict=True):
        counts = np.bincount(row, minlength=7)
        others = all_labels != label
        assert (counts[~others] == 0).all()
        share = counts[others] / 6000 * others.sum()
        np.testing.assert_allclose(share, 1.0, atol=0.12)


def test_draws_depend_on_the_key_alone():
    groups = losses.group_by_class(np.arange(20) % 4, 4)
    labels = np.array([0, 0])
    one = losses.draw_negatives(jax.random.key(0), groups, labels, 50)
    same = losses.draw_negatives(jax.random.key(0), groups, labels, 50)
    other = losses.draw_negatives(jax.random.key(1), groups, labels, 50)
    np.testing.assert_array_equal(one, same)
    assert (one != other).any() and (one[0] != one[1]).any()


def test_positives_are_of_the_class():
    all_labels = np.array([2, 0, 1, 0, 2, 2])
    groups = losses.group_by_class(all_labels, 3)
    labels = np.repeat([0, 1, 2], 100)
    drawn = np.asarray(losses.draw_positives(jax.random.key(0), groups, labels))
    np.testing.assert_array_equal(all_labels[drawn], labels)
    assert set(drawn) == set(range(6))


@pytest.mark.errors
def test_banks_name_what_does_not_fit():
    bank, embedding = bank_inputs()
    key, index = jax.random.key(0), np.arange(4)
    with pytest.raises(ValueError, match="embedding has channels=2"):
        losses.updated_bank(bank, index, embedding[:, :2])
    with pytest.raises(ValueError, match="momentum is 1.5"):
        losses.updated_bank(bank, index, embedding, 1.5)
    with pytest.raises(ValueError, match="batch=6; expected at most"):
        losses.updated_queue(embedding, 0, bank)
    with pytest.raises(ValueError, match=r"labels\[1\] is 2"):
        losses.group_by_class(np.array([0, 2]), 2)
    with pytest.raises(ValueError, match="one class only"):
        groups = losses.group_by_class(np.zeros(3, int), 2)
        losses.draw_negatives(key, groups, np.array([0]), 2)
    with pytest.raises(ValueError, match="k is 0"):
        groups = losses.group_by_class(np.arange(4), 4)
        losses.draw_negatives(key, groups, index, 0)
