"""The most confused classes, by counting in plain Python."""

import itertools

import numpy as np
import pytest

from kdjax.analysis.confusion import most_confused


def drawn(seed, classes=7, count=140):
    rng = np.random.default_rng(seed)
    return rng.normal(scale=2, size=(count, classes)), rng.integers(0, classes, count)


def shared(logits, labels, i, j):
    """Mean probability of j on images of i, and of i on images of j."""
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return p[labels == i, j].mean() + p[labels == j, i].mean()


@pytest.mark.parametrize("seed", range(4))
def test_the_pair_that_shares_most_and_the_class_nearest_to_both(seed):
    logits, labels = drawn(seed)
    s = {
        pair: shared(logits, labels, *pair)
        for pair in itertools.combinations(range(7), 2)
    }
    pair = max(s, key=s.get)
    rest = [k for k in range(7) if k not in pair]
    third = max(rest, key=lambda k: sum(s[tuple(sorted((k, one)))] for one in pair))
    assert most_confused(logits, labels) == tuple(sorted((*pair, third)))


def test_rare_classes_are_left_out():
    logits, labels = drawn(5)
    logits[:, :2] += 9.0  # most of all probability
    labels[labels == 0] = 3
    labels[:2] = 0  # two images: one too few
    assert 0 not in most_confused(logits, labels)
    assert most_confused(logits, np.minimum(labels, 1)) == ()


@pytest.mark.errors
def test_refused():
    with pytest.raises(ValueError, match=r"labels\[0\] is 7; expected 0 to 6"):
        most_confused(np.zeros((3, 7)), [7, 0, 0])
    with pytest.raises(ValueError, match="logits has 1 of its 6 numbers not finite"):
        most_confused([[np.nan, 0.0]] * 1 + [[0.0, 0.0]] * 2, [0, 0, 1])
