"""Which classes a network takes for each other."""

from typing import Any

import numpy as np
from scipy import special

from kdjax import contracts
from kdjax.analysis.student_teacher import finite

_FEWEST = 3  # images of a class, to say something of its cluster


def most_confused(logits: Any, labels: Any) -> tuple[int, ...]:
    """Three classes that share much of their probability, in rising order.

        s_ij = mean_{y = i} softmax(z)_j + mean_{y = j} softmax(z)_i

    The pair with the largest s, and the class with the largest sum to both; ties are
    the lowest classes. Probabilities and no counts of errors: a network that errs
    nowhere has such classes too.

    Logits [n, classes], labels [n]. Classes with fewer than 3 images are left out; ()
    where fewer than three have so many.

    >>> logits = np.log([[0.5, 0.1, 0.3, 0.1], [0.1, 0.7, 0.1, 0.1],
    ...                  [0.3, 0.1, 0.5, 0.1], [0.1, 0.1, 0.2, 0.6]])
    >>> most_confused(np.tile(logits, (3, 1)), np.tile(np.arange(4), 3))
    (0, 2, 3)
    """
    where = "most_confused"
    contracts.shapes(where, logits=(logits, "n classes"), labels=(labels, "n"))
    p = probabilities(finite(where, "logits", logits))
    labels = np.asarray(labels)
    contracts.labels_in_range(where, labels, p.shape[1])
    one_hot = np.eye(p.shape[1])[labels]
    count = one_hot.sum(0)
    mean = (one_hot.T @ p) / np.maximum(count, 1)[:, None]
    shared = mean + mean.T
    rare = count < _FEWEST
    shared[rare] = shared[:, rare] = -np.inf
    np.fill_diagonal(shared, -np.inf)
    if np.sum(~rare) < 3:
        return ()
    first, second = np.unravel_index(np.argmax(shared), shared.shape)
    third = np.argmax(shared[first] + shared[second])
    return tuple(sorted(map(int, (first, second, third))))


def probabilities(logits: Any) -> np.ndarray:
    """The softmax over the last axis, in float64.

    >>> probabilities([[0.0, np.log(3)]])
    array([[0.25, 0.75]])
    """
    return special.softmax(np.asarray(logits, np.float64), axis=-1)
