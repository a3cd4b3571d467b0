"""Detectors of clean labels, `DETECTORS[name](evidence, **numbers)`, and their scores.

T. Kim et al., "Winning Ticket in Noisy Image Classification", 2021: a robust method
trained on the clean part of a noisy set beats the same method trained on all of it.
"""

import numpy as np

from kdjax import contracts
from kdjax.selection.evidence import Evidence, SelectionResult, losses
from kdjax.selection.fine import fine
from kdjax.selection.mixture import LOSS_RESOLUTION, two_means
from kdjax.selection.same import same
from kdjax.selection.types import Labels, Mask, checked_mask, correct_labels


def clk(evidence: Evidence) -> SelectionResult:
    """CLK: the losses of the whole set fall in two clusters; keep the lower one.

        l_i = cross entropy with the label given; k-means on all {l_i}, k = 2

    Kim et al. 2021, by the authors' code (https://github.com/Kthyeon/FINE_official).
    Losses that do not differ, by 1e-6 nats, show no noise: all are kept. The score is
    minus the loss, in nats; features are not read.

    >>> logits = np.float32([[4, 0], [0, 3], [5, 0], [0, 4]])
    >>> print(clk(Evidence(logits, logits, np.array([0, 1, 1, 1]))).keep)
    [ True  True False  True]
    """
    loss = losses(evidence)
    alike = np.ptp(loss) <= LOSS_RESOLUTION
    keep = np.ones(len(loss), bool) if alike else ~two_means(loss)
    return SelectionResult(keep, -loss)


DETECTORS = {"clk": clk, "same": same, "fine": fine}


def intersection(*keeps: Mask) -> Mask:
    """What all of several proxies keep (Kim et al. 2021, up to three)."""
    if not keeps:
        raise ValueError("intersection: no set is given; expected at least one.")
    samples = np.size(keeps[0])
    for i, keep in enumerate(keeps):
        checked_mask("intersection", f"keeps[{i}]", keep, samples)
    return np.logical_and.reduce(keeps)


def oracle(labels: Labels, true_labels: Labels) -> SelectionResult:
    """Control, upper bound: keeps exactly the samples whose label is the true one."""
    keep = correct_labels("oracle", labels, true_labels)
    return SelectionResult(keep, keep.astype(np.float64))


def at_random(
    samples: int, *, count: int | None = None, ratio: float | None = None, seed: int
) -> SelectionResult:
    """Control: keeps so many samples, whichever. The score is uniform in [0, 1).

    `count` is such as the number that a detector kept; `ratio`, in its place, a share
    from 0 to 1, rounded to the nearest count. The same seed keeps the same samples, and
    more of them for a larger count.
    """
    contracts.whole("at_random", "samples", samples, 0)
    contracts.whole("at_random", "seed", seed, 0, 2**63 - 1)
    if (count is None) == (ratio is None):
        given = contracts.shown(count), contracts.shown(ratio)
        raise ValueError(
            f"at_random: count is {given[0]} and ratio is {given[1]}; expected one of "
            "them."
        )
    if ratio is not None:
        contracts.fraction("at_random", "ratio", ratio)
        count = round(ratio * samples)
    contracts.whole("at_random", "count", count, 0, samples)
    draw = np.random.default_rng(seed).random(samples)
    keep = np.zeros(samples, bool)
    keep[np.argsort(-draw, kind="stable")[:count]] = True
    return SelectionResult(keep, draw)


def agreement(
    keep: Mask, labels: Labels, true_labels: Labels
) -> dict[str, float | int]:
    """Precision, recall, F1 and specificity of a kept set; clean is what it looks for.

        precision = clean and kept / kept        specificity = noisy and dropped / noisy
        recall    = clean and kept / clean       F1 = 2 clean and kept / (kept + clean)

    What Kim et al., "Winning Ticket in Noisy Image Classification", 2021, report. A
    fraction of nothing is 0.0. "kept" is the count. Masks and labels are [samples].

    >>> keep = np.array([True, True, False, False])
    >>> agreement(keep, np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1]))
    {'precision': 0.5, 'recall': 0.5, 'f1': 0.5, 'specificity': 0.5, 'kept': 2}
    """
    clean = correct_labels("agreement", labels, true_labels)
    keep = checked_mask("agreement", "keep", keep, len(clean))
    both = np.sum(keep & clean)
    return {
        "precision": _ratio(both, np.sum(keep)),
        "recall": _ratio(both, np.sum(clean)),
        "f1": _ratio(2 * both, np.sum(keep) + np.sum(clean)),
        "specificity": _ratio(np.sum(~keep & ~clean), np.sum(~clean)),
        "kept": int(np.sum(keep)),
    }


def keep_all(labels: Labels, true_labels: Labels) -> dict[str, float | int]:
    """The `agreement` of keeping every sample: what a detector has to beat."""
    return agreement(np.ones(np.size(labels), bool), labels, true_labels)


def _ratio(part: np.integer, whole: np.integer) -> float:
    return float(part / whole) if whole else 0.0
