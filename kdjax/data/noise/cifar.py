"""Noise between the classes of CIFAR that are mistaken for each other.

The models are those of Patrini et al. 2017 (arXiv:1609.03683). Where the code of FINE
(arXiv:2102.11628) differs from them, each function says so.
"""

import numpy as np

from kdjax.data.noise import draws
from kdjax.data.noise.superclasses import next_in_superclass

# truck -> automobile, bird -> airplane, cat <-> dog, deer -> horse.
_CIFAR10 = {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}


def asymmetric_cifar10(
    labels: np.ndarray,
    num_classes: int,
    *,
    rate: float,
    seed: int = 888,
    in_place: bool = False,
) -> np.ndarray:
    """Moves a fraction of five CIFAR-10 classes to the class they are mistaken for.

    Truck -> automobile, bird -> airplane, cat <-> dog, deer -> horse: round(rate * n_c)
    samples of each; the other classes keep theirs.

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

    Within a superclass classes follow each other by number, cyclic. Classes are in
    alphabetical order, as in TFDS.

    >>> superclass_cifar100(np.array([2, 98]), 100, rate=1.0)  # baby, woman
    array([11,  2], dtype=int32)
    """
    labels = draws.checked("superclass_cifar100", labels, num_classes, rate, seed, 100)
    return draws.move_each(labels, next_in_superclass(), rate, seed)
