"""Whether one method is better than another, by runs with the same seeds."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

LEVEL = 0.95


class Difference(NamedTuple):
    """A mean of differences over pairs, and the ends of its 95 % interval.

    Both ends are NaN of one pair: nothing can be said of its noise.
    """

    mean: float
    low: float
    high: float
    pairs: int

    @property
    def is_noise(self) -> bool:
        """Whether the interval has 0 in it, or there is none."""
        return not (self.low > 0 or self.high < 0)


def paired_difference(
    scores: Mapping[int, float], baseline: Mapping[int, float]
) -> Difference | None:
    """Mean of `scores` less `baseline` over the seeds of both; None without one.

    The interval is Student's: mean -+ t(n - 1) s / sqrt(n), where s is the sample
    deviation of the differences. Noise that both runs of a seed share, such as the
    initial weights and the order of the samples, cancels.

    >>> paired_difference({0: 71.0, 1: 72.0, 2: 73.5}, {0: 70.0, 1: 71.5, 2: 72.0})
    Difference(mean=1.0, low=-0.24..., high=2.24..., pairs=3)
    """
    from scipy import stats  # only when a comparison is written

    seeds = sorted(scores.keys() & baseline.keys())
    if not seeds:
        return None
    gaps = np.array([scores[seed] - baseline[seed] for seed in seeds], np.float64)
    mean, count = float(gaps.mean()), len(gaps)
    if count == 1:
        return Difference(mean, math.nan, math.nan, 1)
    t = float(stats.t.ppf((1 + LEVEL) / 2, count - 1))
    half = t * float(gaps.std(ddof=1)) / math.sqrt(count)
    return Difference(mean, mean - half, mean + half, count)
