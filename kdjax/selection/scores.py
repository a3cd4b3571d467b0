"""One number per sample, smaller = keep first; and the samples that are kept."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from kdjax import contracts
from kdjax.selection.evidence import Evidence, checked
from kdjax.selection.types import Labels, Mask, Scalars, checked_labels, checked_scalars

# Second words of the random key. Epochs, which draw from the same seed, stay below.
_VALIDATION, _CONTROL, AUDIT = (2**63 + purpose for purpose in (1, 2, 3))


class Scores(NamedTuple):
    """An estimator's value for every training sample, and how well it was computed."""

    values: Scalars  # smaller = keep first, whatever the estimator; float64, finite
    iterations: int = 0  # of conjugate gradients; the most of any solve, 0 without
    residual: float = 0.0  # ||H s - g|| / ||g||, the largest of any solve
    rank_correlation: float = 1.0  # with exact values, on a sample; 1 where exact


def random_scores(evidence: Evidence, *, seed: int) -> Scores:
    """Control: uniform draws in [0, 1), the same of a seed in every release."""
    labels = checked("random_scores", evidence).labels
    bits = random_bits("random_scores", seed, _CONTROL, len(labels))
    return Scores((bits >> np.uint64(11)) * 2.0**-53)


def select(
    scores: Scores | Scalars, keep_ratio: float, labels: Labels | None = None
) -> Mask:
    """Keeps the samples with the smallest scores.

        count = max(1, round(keep_ratio * n)),  of all samples or of each class

    A larger ratio keeps all that a smaller one kept. Of equal scores the sample that
    comes first is kept first. Scores are finite, keep_ratio is above 0 and at most 1;
    with labels, [samples] int, it holds inside every class.

    >>> scores = np.array([0.4, -1.0, 0.3, 5.0])
    >>> print(select(scores, 0.5))
    [False  True  True False]
    """
    values = scores.values if isinstance(scores, Scores) else scores
    values = checked_scalars("select", "scores", values)
    _ratio("select", "keep_ratio", keep_ratio)
    return _smallest("select", values, keep_ratio, labels)


def validation_indices(
    labels: Labels, fraction: float = 0.1, *, seed: int
) -> Int[np.ndarray, " validation"]:
    """Draws a class-balanced part of the training set to validate on.

        max(1, round(fraction * n_c)) samples of every class c

    Train the reference network without them: on samples that it has fitted the
    validation gradient is small. Returns positions in the training set, ascending. A
    seed, 0 <= seed < 2**63, draws the same in every release; a larger fraction adds to
    them.
    """
    where = "validation_indices"
    labels = checked_labels(where, "labels", labels)
    draw = random_bits(where, seed, _VALIDATION, len(labels))
    _ratio(where, "fraction", fraction)
    return np.flatnonzero(_smallest(where, draw, fraction, labels))


def random_bits(where: str, seed: int, purpose: int, count: int) -> np.ndarray:
    """uint64 [count] of Philox, whose raw bits NumPy promises to keep as they are."""
    contracts.whole(where, "seed", seed, 0, 2**63 - 1)
    key = np.array([seed, purpose], np.uint64)
    return np.random.Philox(key=key).random_raw(count)


def _smallest(
    where: str, values: np.ndarray, ratio: float, labels: Labels | None
) -> Mask:
    """True for a ratio of the samples, of each class where there are labels."""
    samples = len(values)
    given = np.zeros(samples, int) if labels is None else labels
    labels = checked_labels(where, "labels", given)
    if len(labels) != samples or not samples:
        raise ValueError(
            f"{where}: {len(labels)} labels for {samples} samples; expected one label "
            "per sample, and at least one sample."
        )
    keep = np.zeros(samples, bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = members[np.argsort(values[members], kind="stable")]
        keep[order[: max(1, round(ratio * len(members)))]] = True
    return keep


def _ratio(where: str, name: str, value: float) -> None:
    contracts.fraction(where, name, value)
    contracts.positive(where, name, value)
