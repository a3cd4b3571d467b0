"""Gradients of a network's last layer: closed form, float64, no backward pass.

With inputs x_i = [h_i; 1] and logits x_i Theta, the cross entropy of sample i with
target q has in Theta [features + 1, classes], whose last row is the bias, the gradient

    g_i(q) = x_i (p_i - q)^T      p_i = softmax(logits_i)

or x_i (x) (p_i - q) row by row. Samples pass in blocks, which bounds the memory.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from kdjax import contracts
from kdjax.losses.numerics import AnyArray
from kdjax.selection.evidence import Evidence
from kdjax.selection.types import Scalars

# [features + 1, classes]: a gradient, or a direction to move the last layer in.
Layer = Float[np.ndarray, "inputs classes"]
Probabilities = Float[AnyArray, "samples classes"]
Indices = Int[AnyArray, " validation"]
BLOCK = 2048  # samples; a block of [samples, classes] stays in the cache


def blocks(evidence: Evidence) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields (positions [b], inputs [b, features + 1], probabilities [b, classes])."""
    samples, features = evidence.features.shape
    for start in range(0, samples, BLOCK):
        at = np.arange(start, min(start + BLOCK, samples))
        x = np.ones((len(at), features + 1))
        x[:, :-1] = evidence.features[at]
        p = evidence.logits[at].astype(np.float64)
        p -= p.max(axis=1, keepdims=True)
        np.exp(p, out=p)
        p /= p.sum(axis=1, keepdims=True)
        yield at, x, p


def minus_label(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """p - e_y, [b, classes], with all digits where p_y is all but 1."""
    rows = np.arange(len(p))
    residual = p.copy()
    residual[rows, labels] = 0.0
    residual[rows, labels] = -residual.sum(axis=1)
    return residual


def mean_label_gradient(evidence: Evidence, at: Indices) -> Layer:
    """mean_{v in at} g_v(e_y), the gradient of the mean cross entropy with labels."""
    part = Evidence(*(array[at] for array in evidence))
    total = 0.0
    for block, x, p in blocks(part):
        total = total + x.T @ minus_label(p, part.labels[block])
    return total / len(at)


def along(
    evidence: Evidence, direction: Layer, targets: Probabilities | None = None
) -> Scalars:
    """<direction, g_i(e_y)> of every sample; with targets, of g_i(e_y) - g_i(q_i)."""
    result = np.empty(len(evidence.labels))
    for at, x, p in blocks(evidence):
        residual = minus_label(p, evidence.labels[at])
        if targets is not None:  # q_i - e_y: the network's own p_i drops out
            residual = targets[at].astype(np.float64)
            residual[np.arange(len(at)), evidence.labels[at]] -= 1.0
        result[at] = np.sum((x @ direction) * residual, axis=1)
    return result


def validation_gradient(where: str, evidence: Evidence, validation: Indices) -> Layer:
    """`mean_label_gradient` over indices that are checked; ValueError if it is zero."""
    if not hasattr(validation, "shape"):
        contracts.integers(where, validation=validation)
    at, samples = np.asarray(validation), len(evidence.labels)
    if at.ndim != 1 or not at.size or not np.issubdtype(at.dtype, np.integer):
        raise ValueError(
            f"{where}: validation is {at.dtype} of shape {at.shape}; expected "
            "positions in the training set, [validation] integers, at least one. Of a "
            "mask make them with np.flatnonzero(mask)."
        )
    different = len(np.unique(at))
    if at.min() < 0 or at.max() >= samples or different < len(at):
        raise ValueError(
            f"{where}: validation runs from {at.min()} to {at.max()}, {different} of "
            f"{len(at)} different; expected different ones from 0 to {samples - 1}."
        )
    gradient = mean_label_gradient(evidence, at)
    if not gradient.any():
        raise ValueError(
            f"{where}: the gradient on the {len(at)} validation samples is exactly 0; "
            "all scores would be. Take a network that was trained without them, or "
            "stopped earlier."
        )
    return gradient


def checked_targets(where: str, targets: Probabilities, evidence: Evidence) -> None:
    """Raises ValueError unless targets are a probability vector for each sample."""
    form = "samples classes"
    contracts.shapes(where, targets=(targets, form), logits=(evidence.logits, form))
    q = np.asarray(targets)
    total = q.sum(axis=1, dtype=np.float64)
    bad = np.flatnonzero(~((q >= 0).all(axis=1) & (np.abs(total - 1) < 1e-3)))
    if bad.size:
        raise ValueError(
            f"{where}: targets[{bad[0]}] has minimum {q[bad[0]].min():g} and sum "
            f"{total[bad[0]]:g}; expected probabilities, >= 0 with sum 1 "
            f"({bad.size} of {len(q)} rows are not)."
        )
