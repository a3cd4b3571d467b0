"""Multinomial logistic regression in float64: what influence promises, by retraining.

Explicit Kronecker products and Newton steps, straight from the equations, in the order
(p - q) (x) [h; 1]: classes outside, inputs inside. `vector` brings a matrix
[inputs, classes] into it.
"""

from typing import NamedTuple

import numpy as np

from kdjax.selection.evidence import Evidence
from tests.reference import cross_entropy, one_hot, softmax


class Problem(NamedTuple):
    inputs: np.ndarray  # [n, d + 1], the last column is 1
    labels: np.ndarray
    targets: np.ndarray  # the probabilities of a teacher
    validation: np.ndarray
    damping: float

    @property
    def classes(self):
        return self.targets.shape[1]


def problem(seed, samples=60, features=3, classes=3, damping=1e-2) -> Problem:
    """Overlapping classes, features with a mean of their own, an unsure teacher."""
    draw = np.random.default_rng(seed)
    labels = draw.permutation(np.arange(samples) % classes)
    centres = draw.normal(size=(classes, features))
    h = 1 + centres[labels] + draw.normal(size=(samples, features))
    targets = draw.dirichlet(np.ones(classes), samples)
    targets = 0.5 * targets + 0.5 * one_hot(labels, classes)
    validation = np.sort(draw.permutation(samples)[: samples // 4])
    inputs = np.concatenate([h, np.ones((samples, 1))], axis=1)
    return Problem(inputs, labels, targets, validation, damping)


def evidence(given: Problem, theta: np.ndarray) -> Evidence:
    return Evidence(given.inputs @ theta, given.inputs[:, :-1], given.labels)


def vector(layer: np.ndarray) -> np.ndarray:
    return layer.T.ravel()


def matrix(flat: np.ndarray, classes: int) -> np.ndarray:
    return flat.reshape(classes, -1).T


def gradients(x, p, q) -> np.ndarray:
    """g_i(q) of every sample, [n, classes * inputs]."""
    return np.stack(
        [np.kron(p_i - q_i, x_i) for x_i, p_i, q_i in zip(x, p, q, strict=True)]
    )


def hessian(x, p, damping, weights=None) -> np.ndarray:
    weights = np.ones(len(x)) if weights is None else weights
    total = sum(
        w * np.kron(np.diag(p_i) - np.outer(p_i, p_i), np.outer(x_i, x_i))
        for w, x_i, p_i in zip(weights, x, p, strict=True)
    )
    return total / len(x) + damping * np.eye(x.shape[1] * p.shape[1])


def fit(given: Problem, targets=None, weights=None, start=None) -> np.ndarray:
    """The minimum of sum_i w_i CE_i / n + damping / 2 |theta|^2, by Newton's method."""
    x, classes, n = given.inputs, given.classes, len(given.inputs)
    q = one_hot(given.labels, classes) if targets is None else targets
    w = np.ones(n) if weights is None else weights
    theta = np.zeros((x.shape[1], classes)) if start is None else start
    for _ in range(50):
        p = softmax(x @ theta)
        slope = (w[:, None] * gradients(x, p, q)).sum(0) / n
        slope = slope + given.damping * vector(theta)
        if np.abs(slope).max() < 1e-12:
            return theta
        step = np.linalg.solve(hessian(x, p, given.damping, w), slope)
        theta = theta - matrix(step, classes)
    raise AssertionError("Newton's method did not converge")


def validation_loss(given: Problem, theta) -> float:
    at = given.validation
    target = one_hot(given.labels[at], given.classes)
    return cross_entropy(given.inputs[at] @ theta, target).mean()


def change_when_swapped(given: Problem, theta) -> np.ndarray:
    """n times the change of the validation loss with the teacher's target for i."""
    labels = one_hot(given.labels, given.classes)
    changes = []
    for i in range(len(labels)):
        swapped = labels.copy()
        swapped[i] = given.targets[i]
        again = fit(given, targets=swapped, start=theta)
        changes.append(validation_loss(given, again) - validation_loss(given, theta))
    return len(labels) * np.array(changes)


def change_when_left_out(given: Problem, theta) -> np.ndarray:
    """n times the change of the validation loss without sample i."""
    changes = []
    for i in range(len(given.labels)):
        weights = np.ones(len(given.labels))
        weights[i] = 0.0
        again = fit(given, weights=weights, start=theta)
        changes.append(validation_loss(given, again) - validation_loss(given, theta))
    return len(given.labels) * np.array(changes)


def rank_correlation(a, b) -> float:
    """Spearman's, of numbers without ties."""
    ranks = [np.argsort(np.argsort(values)) for values in (a, b)]
    return np.corrcoef(*ranks)[0, 1]
