"""How many samples of a set a selection keeps, and which share of each class."""

import collections
from collections.abc import Sequence

import numpy as np

from kdjax import contracts
from kdjax.selection.types import Labels, Mask, checked_labels, checked_mask


def class_shares(
    keep: Mask, labels: Labels, class_names: Sequence[str] | np.ndarray | None = None
) -> dict[str, float]:
    """The share of each class that is kept, from 0 to 1, in the order of the classes.

    Scores of all samples together may discard most of a few classes: those that look
    alike, say. A selection that is `class_balanced` keeps the same share of each.

    Args:
      keep: [samples] bool.
      labels: [samples] int, from 0 on.
      class_names: of all classes, which may be more than have samples; None numbers
        them. A class without samples is left out. Names that occur more than once get
        their number.

    Raises:
      ValueError: shapes that do not agree, or labels that are no class.

    >>> class_shares(np.array([True, False, True]), np.array([0, 0, 1]), ["a", "b"])
    {'a': 0.5, 'b': 1.0}
    """
    where = "class_shares"
    labels = checked_labels(where, "labels", labels)
    keep = checked_mask(where, "keep", keep, len(labels))
    names = range(2**63) if class_names is None else _distinct(where, class_names)
    contracts.labels_in_range(
        where, labels, 2**63 if class_names is None else len(names)
    )
    # Not counted by their numbers: one label of 2^62 would take all memory.
    present, place, count = np.unique(labels, return_inverse=True, return_counts=True)
    kept = np.bincount(place[keep], minlength=len(present))
    pairs = zip(present, kept, count, strict=True)
    return {str(names[label]): float(k / n) for label, k, n in pairs}


def describe_kept(keep: Mask, shares: dict[str, float]) -> str:
    """How many samples are kept in words, and the classes that keep least and most.

    >>> describe_kept(np.array([True, False, True]), {"a": 0.5, "b": 1.0})
    '2 of 3 samples; of a class 50.0 % (a) to 100.0 % (b)'
    """
    words = f"{int(keep.sum()):,} of {len(keep):,} samples"
    if len(shares) < 2:
        return words
    least, most = min(shares, key=shares.get), max(shares, key=shares.get)
    low, high = 100 * shares[least], 100 * shares[most]
    return f"{words}; of a class {low:.1f} % ({least}) to {high:.1f} % ({most})"


def _distinct(where: str, names: Sequence[str] | np.ndarray) -> list[str]:
    names = names.tolist() if isinstance(names, np.ndarray) else names
    if not isinstance(names, list | tuple) or not all(
        isinstance(n, str) for n in names
    ):
        raise ValueError(
            f"{where}: class_names is {contracts.shown(names)}; expected texts."
        )
    times = collections.Counter(names)
    return [f"{n} {i}" if times[n] > 1 else n for i, n in enumerate(names)]
