"""Differences over test images, against SciPy, a bootstrap and formulas by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from kdjax.analysis.mcnemar import by_class, image_difference


def drawn(seed, n=4000, gained=0.06, lost=0.03):
    """Two networks: which images each has right."""
    rng = np.random.default_rng(seed)
    u = rng.random(n)
    both = u < 0.7
    return both | (u > 1 - gained), both | ((u > 0.8) & (u < 0.8 + lost))


def test_counts_and_exact_test():
    right, other = drawn(0)
    result = image_difference(right, other)
    b, c = np.sum(right & ~other), np.sum(~right & other)
    assert (result.images, result.gained, result.lost) == (4000, b, c)
    assert result.difference == pytest.approx(right.mean() - other.mean())
    tail = stats.binom.cdf(min(b, c), b + c, 0.5)
    assert result.p_value == pytest.approx(min(1.0, 2 * tail), rel=1e-9)


def test_the_interval_is_that_of_resampled_images():
    right, other = drawn(1)
    result = image_difference(right, other)
    rng, gaps = np.random.default_rng(2), right.astype(float) - other
    means = [gaps[rng.integers(0, len(gaps), len(gaps))].mean() for _ in range(4000)]
    low, high = np.quantile(means, [0.025, 0.975])
    width = high - low
    assert result.low == pytest.approx(low, abs=0.06 * width)
    assert result.high == pytest.approx(high, abs=0.06 * width)


def test_small_and_equal_sets():
    same = image_difference([True, False], [True, False])
    assert same.p_value == 1 and same.difference == 0
    # p = q = 1/4: -+ 1.959964 sqrt((1/2) / 4)
    assert same.high == pytest.approx(1.959964 * math.sqrt(0.125), rel=1e-6)
    assert same.low == -same.high
    apart = image_difference([True] * 3, [False] * 3)
    assert apart.difference == 1 and apart.high == 1.0  # cut: 0.6 + 0.78
    assert apart.p_value == 0.25


def test_by_class():
    right, other = drawn(3, n=60)
    labels = np.arange(60) % 4 * 2
    result = by_class(right, other, labels)
    assert list(result) == [0, 2, 4, 6]
    own = labels == 4
    assert result[4] == image_difference(right[own], other[own])
    weighted = sum(one.images * one.difference for one in result.values()) / 60
    assert weighted == pytest.approx(image_difference(right, other).difference)


@pytest.mark.errors
def test_refused():
    with pytest.raises(ValueError, match="other_right has n=3"):
        image_difference([True] * 2, [True] * 3)
