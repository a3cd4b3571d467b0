"""Where the features of a class point: what SAME and FINE stand on.

A singular vector that the samples do not determine counts as no vector, and every
projection on it as 0:
- one whose singular value is 0: one sample, identical samples, features of zeros;
- both, where the two leading singular values are equal.
0 and equal mean: to 1e-6 of the largest, for features come in float32.
"""

import numpy as np

from kdjax.selection.evidence import Evidence, Labels, Mask, checked_mask

SINGULAR_RESOLUTION = 1e-6


def singular_vectors(features: np.ndarray) -> np.ndarray:
    """First two right singular vectors v_1, v_2 of H = U S V^T.

    Returns:
      [2, features]; rows of length 1, sign arbitrary, or of zeros: no vector.
    """
    # Of the smaller Gram matrix: on 5,000 samples of 512 features 7 times as fast as a
    # singular value decomposition, and exact enough where v_2 counts at all.
    wide = features.shape[0] < features.shape[1]
    gram = features @ features.T if wide else features.T @ features
    squared, vectors = np.linalg.eigh(gram)
    squared, vectors = squared[:-3:-1], vectors[:, :-3:-1].T
    if wide:
        vectors = vectors @ features
    result = np.zeros((2, features.shape[1]))
    sizes = np.sqrt(np.append(np.maximum(squared, 0), 0.0)[:2])
    tied = sizes[0] - sizes[1] <= SINGULAR_RESOLUTION * sizes[0]
    for i, size in enumerate(sizes):
        if not tied and size > SINGULAR_RESOLUTION * sizes[0]:
            result[i] = vectors[i] / np.linalg.norm(vectors[i])
    return result


def classes(labels: Labels):
    """For every class that has a sample, the indices of its samples."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def checked_basis(where: str, basis: Mask | None, evidence: Evidence) -> Mask:
    """The samples that directions come from: all of them if `basis` is None."""
    samples = len(evidence.labels)
    if basis is None:
        return np.ones(samples, bool)
    return checked_mask(where, "basis", basis, samples)
