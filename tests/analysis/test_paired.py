"""Paired differences against SciPy's paired t test."""

import math

import numpy as np
import pytest
from scipy import stats

from kdjax.analysis.paired import paired_difference

ONE = {0: 71.0, 1: 72.0, 2: 73.5, 7: 60.0}
OTHER = {0: 70.0, 1: 71.5, 2: 72.0, 9: 99.0}


def test_the_interval_is_that_of_a_paired_t_test():
    found = paired_difference(ONE, OTHER)
    a, b = ([scores[seed] for seed in (0, 1, 2)] for scores in (ONE, OTHER))
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert found.pairs == 3 and math.isclose(found.mean, 1.0)
    np.testing.assert_allclose([found.low, found.high], [*expected], rtol=1e-12)
    # By a table: t(2) is 4.3027 at 97.5 %, and the deviation of 1, .5, 1.5 is .5.
    assert math.isclose(found.high - 1.0, 4.3027 * 0.5 / math.sqrt(3), rel_tol=1e-4)


def test_what_both_runs_of_a_seed_share_is_no_noise():
    seeds = np.random.default_rng(0).normal(scale=10.0, size=5)
    better = {seed: x + 1.0 + seed / 100 for seed, x in enumerate(seeds)}
    found = paired_difference(better, dict(enumerate(seeds)))
    assert not found.is_noise and 0.9 < found.low < found.mean < found.high < 1.2


@pytest.mark.parametrize("count, is_noise", [(1, True), (2, True), (3, False)])
def test_few_seeds(count, is_noise):
    base = dict.fromkeys(range(count), 50.0)
    found = paired_difference({seed: 51.0 + seed / 5 for seed in base}, base)
    assert found.pairs == count and found.is_noise is is_noise
    assert math.isnan(found.low) is (count == 1)


def test_no_seed_in_common():
    assert paired_difference({0: 1.0}, {1: 1.0}) is None
