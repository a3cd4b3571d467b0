"""SAME: clean labels by the two leading directions of a class.

T. Kim et al., "Winning Ticket in Noisy Image Classification", 2021.
"""

import numbers

import numpy as np

from kdjax.selection.directions import checked_basis, classes, singular_vectors
from kdjax.selection.evidence import Evidence, Mask, Scalars, SelectionResult, checked


def same(
    evidence: Evidence, *, basis: Mask | None = None, rounds: int = 1
) -> SelectionResult:
    """SAME: a clean sample leans to its class's first singular vector, not the second.

        H_c = features of the samples labelled c, neither centred nor normalised
        v_1, v_2 = first two right singular vectors of H_c
        score_i = |<v_1, h_i>| - |<v_2, h_i>|,   kept where score_i >= 0

    Kim et al. 2021, by the authors' code (https://github.com/Kthyeon/FINE_official).
    A class is kept where v_2 or both count as 0 (see `directions`). One that basis has
    no sample of is dropped with score -inf.

    Args:
      evidence: of the proxy; logits are not read.
      basis: [samples] bool, the samples the singular vectors come from; all of them if
        None. For a second proxy give the first one's; intersect the two.
      rounds: how often at most the singular vectors are taken again from those kept by
        the last round: 1 is the one-step form; the iterated form is 100.

    Returns:
      keep, and score in units of a feature. Of every class that basis has a sample of,
      at least one is kept.

    >>> features = np.float32([[2, 0.1], [1.9, 0], [2.1, -0.1], [0.1, 1.5]])
    >>> evidence = Evidence(np.zeros((4, 2)), features, np.zeros(4, int))
    >>> print(same(evidence).keep)
    [ True  True  True False]
    """
    evidence = checked("same", evidence)
    basis = checked_basis("same", basis, evidence)
    whole = isinstance(rounds, numbers.Integral) and not isinstance(rounds, bool)
    if not whole or rounds < 1:
        raise ValueError(f"same: rounds is {rounds!r}; expected an integer above 0.")
    score = np.full(len(evidence.labels), -np.inf)
    for members in classes(evidence.labels):
        if basis[members].any():
            features = evidence.features[members].astype(np.float64)
            score[members] = _same_scores(features, basis[members], rounds)
    return SelectionResult(score >= 0, score)


def _same_scores(features: np.ndarray, kept: Mask, rounds: int) -> Scalars:
    # What is kept never becomes empty: over the samples that gave the vectors, the
    # squared projections on v_1 add up to no less than those on v_2.
    for _ in range(rounds):
        first, second = np.abs(features @ singular_vectors(features[kept]).T).T
        score = first - second
        if np.array_equal(score >= 0, kept):
            break
        kept = score >= 0
    return score
