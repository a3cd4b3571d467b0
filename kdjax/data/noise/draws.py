"""What the noise models share: checks, random bits, and moving labels.

Only raw bits of Philox are drawn, which NumPy promises to keep in every release.
"""

import numbers

import numpy as np

from kdjax import contracts

# Philox takes two words: the seed and the stream. Epochs, which order the samples, are
# the streams below 2**63; noise has those from there on.
PICK, REPLACE, CLASSES = 2**63, 2**63 + 1, 2**63 + 2


def move_fraction(
    labels: np.ndarray, target: dict[int, int], rate: float, seed: int, in_place=False
) -> np.ndarray:
    """Moves round(rate * n_c) samples of each class c of `target` to `target[c]`."""
    noisy = labels.copy()
    for old, new in sorted(target.items()):
        members = np.flatnonzero((noisy if in_place else labels) == old)
        # A stream a class: with a shared one, the cats that moved would come first
        # among the dogs too, and all move back.
        picked = first(rate, bits(seed, CLASSES + old, len(members)))
        noisy[members[picked]] = new
    return noisy


def move_each(labels: np.ndarray, target: np.ndarray, rate: float, seed: int):
    """Moves each label with probability `rate`, independently of the others."""
    uniform = (bits(seed, PICK, len(labels)) >> np.uint64(11)) * 2.0**-53
    return np.where(uniform < rate, target[labels], labels)


def first(rate: float, words: np.ndarray) -> np.ndarray:
    """Positions of the round(rate * n) smallest: a higher rate has them and more."""
    return np.argsort(words, kind="stable")[: round(rate * len(words))]


def bits(seed: int, stream: int, count: int) -> np.ndarray:
    """Draws uint64 [count]."""
    key = np.array([seed, stream], np.uint64)
    return np.random.Philox(key=key).random_raw(count)


def checked(
    where: str,
    labels: np.ndarray,
    num_classes: int,
    rate: float,
    seed: int,
    expected_classes: int | None = None,
) -> np.ndarray:
    """The labels as int32."""
    if expected_classes not in (None, num_classes):
        raise ValueError(
            f"{where}: num_classes is {num_classes}; expected {expected_classes}. "
            "symmetric and pair_flip fit any set."
        )
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        form = f"{labels.dtype} of shape {labels.shape}"
        raise ValueError(f"{where}: labels are {form}; expected integers of shape [n].")
    if num_classes < 2:
        raise ValueError(f"{where}: num_classes is {num_classes}; expected 2 or more.")
    contracts.labels_in_range(where, labels, num_classes)
    contracts.fraction(where, "rate", rate)
    whole = isinstance(seed, numbers.Integral) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 2**63:
        raise ValueError(f"{where}: seed is {seed!r}; expected 0 to {2**63 - 1}.")
    return labels.astype(np.int32)
