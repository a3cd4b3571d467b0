"""Noise that fits any data set."""

import numpy as np

from kdjax.data.noise import draws


def symmetric(
    labels: np.ndarray,
    num_classes: int,
    *,
    rate: float,
    seed: int = 888,
    exclude_true: bool = False,
) -> np.ndarray:
    """Replaces the labels of round(rate * n) samples by uniform draws from all classes.

    A draw may hit the true class, so a fraction rate * (K - 1) / K of the labels is
    wrong. With one seed, a higher rate changes the same samples, and more.
    `exclude_true` draws from the other K - 1 classes; then exactly round(rate * n)
    labels are wrong.

    >>> symmetric(np.array([0, 1, 1]), 2, rate=1.0, exclude_true=True)
    array([1, 0, 0], dtype=int32)
    """
    labels = draws.checked("symmetric", labels, num_classes, rate, seed)
    picked = draws.first(rate, draws.bits(seed, draws.PICK, len(labels)))
    bits = draws.bits(seed, draws.REPLACE, len(labels))[picked]
    noisy = labels.copy()
    # The remainder's bias is below K / 2**64.
    if exclude_true:
        ahead = 1 + (bits % np.uint64(num_classes - 1)).astype(np.int32)
        noisy[picked] = (labels[picked] + ahead) % num_classes
    else:
        noisy[picked] = (bits % np.uint64(num_classes)).astype(np.int32)
    return noisy


def pair_flip(
    labels: np.ndarray, num_classes: int, *, rate: float, seed: int = 888
) -> np.ndarray:
    """Moves a fraction of every class to the next class, the last one to the first.

    Exactly round(rate * n_c) samples of each class. The "pair" noise of Han et al. 2018
    (arXiv:1804.06872).

    >>> pair_flip(np.array([0, 1, 2]), 3, rate=1.0)
    array([1, 2, 0], dtype=int32)
    """
    labels = draws.checked("pair_flip", labels, num_classes, rate, seed)
    target = {k: (k + 1) % num_classes for k in range(num_classes)}
    return draws.move_fraction(labels, target, rate, seed)
