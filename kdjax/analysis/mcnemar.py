"""Two networks on the same images: does one know more, in all and of each class?"""

import math
import statistics
from typing import Any, NamedTuple

import numpy as np

from kdjax import contracts


class ImageDifference(NamedTuple):
    """Accuracy of a network minus that of another one, as fractions."""

    images: int
    gained: int  # images that only the first network has right
    lost: int  # that only the other one has right
    difference: float
    low: float  # ends of an interval of 95 % over test images
    high: float
    p_value: float  # McNemar's exact test, two-sided


def image_difference(right: Any, other_right: Any) -> ImageDifference:
    """Compares which images two networks have right, bool [n] both.

        d = (b - c) / n,  b images gained and c lost
        low, high = p - q -+ z sqrt((p + q - (p - q)^2) / (n + 2))
        p = (b + 1) / (n + 2),  q = (c + 1) / (n + 2),  z the 0.975 quantile

    Bonett and Price 2012 (J. Educ. Behav. Stat. 37), cut to [-1, 1]; the p-value is
    of b among b + c tosses of a coin. What another seed of the training would give is
    not in it: the networks are as they are, and only the images are a sample.

    >>> image_difference([True] * 9 + [False], [True] * 5 + [False] * 5)[:4]
    (10, 4, 0, 0.4)
    """
    where = "image_difference"
    contracts.shapes(where, right=(right, "n"), other_right=(other_right, "n"))
    right, other = np.asarray(right, bool), np.asarray(other_right, bool)
    n, b, c = len(right), int(np.sum(right & ~other)), int(np.sum(other & ~right))
    p, q = (b + 1) / (n + 2), (c + 1) / (n + 2)
    z = statistics.NormalDist().inv_cdf(0.975)
    reach = z * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    low, high = max(p - q - reach, -1.0), min(p - q + reach, 1.0)
    return ImageDifference(n, b, c, (b - c) / n, low, high, _mcnemar(b, c))


def by_class(right: Any, other_right: Any, labels: Any) -> dict[int, ImageDifference]:
    """`image_difference` on the images of each class that occurs.

    >>> gains = by_class([True, True, False], [False, True, False], [0, 0, 4])
    >>> {label: one.difference for label, one in gains.items()}
    {0: 0.5, 4: 0.0}
    """
    contracts.shapes("by_class", right=(right, "n"), labels=(labels, "n"))
    right, other, labels = map(np.asarray, (right, other_right, labels))
    return {
        label: image_difference(right[labels == label], other[labels == label])
        for label in np.unique(labels).tolist()
    }


def _mcnemar(b: int, c: int) -> float:
    from scipy import stats  # only when something is compared

    return float(stats.binomtest(b, b + c).pvalue) if b + c else 1.0
