"""Labels to make noisy, what the models are for, and binomial bounds."""

import numpy as np

from kdjax.data.noise import NOISES

CLASSES = {
    "symmetric": 7,
    "asymmetric_cifar10": 10,
    "asymmetric_cifar100": 100,
    "superclass_cifar100": 100,
    "pair_flip": 7,
}
MOVES = {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}
# The coarse label that the archive's records pair with fine labels 0, 1, ..., 99.
COARSE = [
    *(4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11),
    *(6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5),
    *(5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17),
    *(10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13),
    *(16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13),
]


def labels_of(classes, each=1000):
    """Uneven classes: `each` of class 0, one more of every next class; shuffled."""
    label = np.repeat(np.arange(classes, dtype=np.int32), each + np.arange(classes))
    return np.random.default_rng(0).permutation(label)


def noisy_of(name, label, **parameters):
    return NOISES[name](label, CLASSES[name], **{"rate": 0.4} | parameters)


def assert_binomial(count, of, probability):
    """Within five standard deviations; exact where the probability is 0 or 1."""
    spread = 5 * np.sqrt(of * probability * (1 - np.asarray(probability)))
    assert (np.abs(count - of * probability) <= spread + 1e-9).all()


def following(name):
    """Class -> class, by the definition: the next of its group, in order, cyclic."""
    block = [k // 5 for k in range(100)]
    group = {"asymmetric_cifar100": block, "superclass_cifar100": COARSE}[name]
    after = {}
    for k in range(100):
        members = [j for j in range(100) if group[j] == group[k]]
        after[k] = members[(members.index(k) + 1) % 5]
    return after
