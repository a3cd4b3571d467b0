"""The noise models: for any set, and between CIFAR classes mistaken for each other.

Those of CIFAR are of Patrini et al. 2017 (arXiv:1609.03683). Where the code of FINE
(arXiv:2102.11628) differs from them, each function says so.
"""

import numpy as np

from kdjax.data.noise import draws
from kdjax.data.noise.superclasses import next_in_superclass

_CIFAR10 = {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}


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
    """Moves round(rate * n_c) samples of each class c to the next, of the last to 0.

    The "pair" noise of Han et al. 2018 (arXiv:1804.06872).

    >>> pair_flip(np.array([0, 1, 2]), 3, rate=1.0)
    array([1, 2, 0], dtype=int32)
    """
    labels = draws.checked("pair_flip", labels, num_classes, rate, seed)
    target = {k: (k + 1) % num_classes for k in range(num_classes)}
    return draws.move_fraction(labels, target, rate, seed)


def asymmetric_cifar10(
    labels: np.ndarray,
    num_classes: int,
    *,
    rate: float,
    seed: int = 888,
    in_place: bool = False,
) -> np.ndarray:
    """Moves round(rate * n_c) samples of five CIFAR-10 classes; the others keep theirs.

    Truck -> automobile, bird -> airplane, cat <-> dog, deer -> horse.

    `in_place` changes one class after the other, as FINE's code does: cats that became
    dogs count as dogs in the dogs' step, so some turn back, and a fraction
    rate * (1 - rate) of the cats is wrong instead of rate.

    >>> asymmetric_cifar10(np.array([9, 2, 3, 5, 4, 0]), 10, rate=1.0)
    array([1, 0, 5, 3, 7, 0], dtype=int32)
    """
    labels = draws.checked("asymmetric_cifar10", labels, num_classes, rate, seed, 10)
    return draws.move_fraction(labels, _CIFAR10, rate, seed, in_place)


def asymmetric_cifar100(
    labels: np.ndarray, num_classes: int, *, rate: float, seed: int = 888
) -> np.ndarray:
    """Moves each label, with probability `rate`, to the next of its block of five.

    Blocks are five consecutive classes, 0-4, 5-9, ..., and cyclic, as in FINE's code.
    Classes being in alphabetical order, these are not the superclasses that papers
    speak of: see `superclass_cifar100`.

    >>> asymmetric_cifar100(np.array([0, 4, 99]), 100, rate=1.0)
    array([ 1,  0, 95], dtype=int32)
    """
    labels = draws.checked("asymmetric_cifar100", labels, num_classes, rate, seed, 100)
    number = np.arange(100, dtype=np.int32)
    return draws.move_each(labels, number // 5 * 5 + (number + 1) % 5, rate, seed)


def superclass_cifar100(
    labels: np.ndarray, num_classes: int, *, rate: float, seed: int = 888
) -> np.ndarray:
    """Moves each label, with probability `rate`, to the next of its true superclass.

    Classes of a superclass follow each other alphabetically, as in TFDS, cyclic.

    >>> superclass_cifar100(np.array([2, 98]), 100, rate=1.0)  # baby, woman
    array([11,  2], dtype=int32)
    """
    labels = draws.checked("superclass_cifar100", labels, num_classes, rate, seed, 100)
    return draws.move_each(labels, next_in_superclass(), rate, seed)
