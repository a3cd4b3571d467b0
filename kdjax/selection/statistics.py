"""How well a kept set agrees with the true labels, where there are any."""

import numpy as np

from kdjax.selection.evidence import Labels, Mask, checked_mask, correct_labels


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
