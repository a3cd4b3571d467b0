"""SAME: clean labels by the two leading directions of a class.

T. Kim et al., "Winning Ticket in Noisy Image Classification", 2021.
"""

import numbers

import numpy as np

from kdjax.selection.directions import scores_by_class, singular_vectors
from kdjax.selection.evidence import Evidence, Mask, SelectionResult


def same(
    evidence: Evidence, *, basis: Mask | None = None, rounds: int = 1
) -> SelectionResult:
    """SAME: a clean sample leans to its class's first singular vector, not the second.

        H_c = features of the samples labelled c, neither centred nor normalised
        v_1, v_2 = first two right singular vectors of H_c
        score_i = |<v_1, h_i>| - |<v_2, h_i>|,   kept where score_i >= 0

    Kim et al. 2021, by the authors' code (https://github.com/Kthyeon/FINE_official).
    A class is kept where v_2 or both count as 0 (see `directions`). One that basis has
    no sample of is dropped with score -inf; of the others at least one sample is kept.

    Args:
      evidence: of the proxy; logits are not read.
      basis: [samples] bool, the samples the singular vectors come from; all of them if
        None. For a second proxy give the first one's; intersect the two.
      rounds: how often at most the singular vectors are taken again from those kept by
        the last round: 1 is the one-step form; the iterated form is 100.
    """
    whole = isinstance(rounds, numbers.Integral) and not isinstance(rounds, bool)
    if not whole or rounds < 1:
        raise ValueError(f"same: rounds is {rounds!r}; expected an integer above 0.")

    def leaning(features, kept):
        # What is kept never becomes empty: over the samples that gave the vectors, the
        # squared projections on v_1 add up to no less than those on v_2.
        for _ in range(rounds):
            first, second = np.abs(features @ singular_vectors(features[kept]).T).T
            score = first - second
            if np.array_equal(score >= 0, kept):
                break
            kept = score >= 0
        return score

    score = scores_by_class("same", evidence, basis, leaning)
    return SelectionResult(score >= 0, score)
