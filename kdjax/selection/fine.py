"""FINE: clean labels by how well a sample lies along its class.

T. Kim, J. Ko, S. Cho, J. Choi, S.-Y. Yun, "FINE Samples for Learning with Noisy
Labels", NeurIPS 2021 (arXiv:2102.11628).
"""

import numpy as np

from kdjax import contracts
from kdjax.selection.evidence import Evidence, SelectionResult, checked
from kdjax.selection.mixture import mixture_posterior, two_means
from kdjax.selection.same import classes, scores_by_class, singular_vectors
from kdjax.selection.types import Labels, Mask, Scalars, checked_labels, choice

# Alignments closer than the narrowest Gaussian, sqrt(reg_covar), are one group.
REG_COVAR = 1e-6
ALIGNMENT_RESOLUTION = 1e-3


def fine(
    evidence: Evidence,
    *,
    basis: Mask | None = None,
    clustering: str = "mixture",
    threshold: float = 0.5,
) -> SelectionResult:
    """FINE: the samples of a class fall in two groups by alignment; keep the aligned.

        s_i = |<u_c, h_i / ||h_i||>|,  kept where p(larger-mean group | s_i) > threshold

    arXiv:2102.11628; see `alignment` and `aligned_probability`. A class whose samples
    all align alike, or determine no direction, is kept. The score is the alignment;
    logits are not read.

    Args:
      basis: [samples] bool, the samples u_c comes from: those kept the last time; all
        of them if None, as in the first round. A class it has no sample of is dropped
        with score -inf.
      clustering: a name in `CLUSTERINGS`.
      threshold: zeta, from 0 to 1.
    """
    contracts.fraction("fine", "threshold", threshold)
    evidence = checked("fine", evidence)
    score = alignment(evidence, basis=basis)
    probability = aligned_probability(score, evidence.labels, clustering=clustering)
    return SelectionResult(probability > threshold, score)


def alignment(evidence: Evidence, *, basis: Mask | None = None) -> Scalars:
    """How much a sample points along its class's first right singular vector u.

        s_i = |<u_c, h_i / ||h_i||>|,   c the label of sample i

    arXiv:2102.11628, as the authors' code has it (https://github.com/Kthyeon/
    FINE_official); its square would have the same order and another mixture. u_c comes
    from features that are not normalised. 0 for a feature of zeros; -inf for a class
    that basis has no sample of. Arguments as `fine`.
    """

    def cosine(features, within):
        along = np.abs(features @ singular_vectors(features[within])[0])
        length = np.linalg.norm(features, axis=1)
        return along / np.where(length > 0, length, 1.0)

    return np.minimum(scores_by_class("fine", evidence, basis, cosine), 1.0)


def aligned_probability(
    score: Scalars, labels: Labels, *, clustering: str = "mixture"
) -> Scalars:
    """Class by class, how likely a sample is of the group with the larger alignment.

    "mixture": posterior of the larger-mean one of two Gaussians (100 steps, tolerance
    1e-6, seed 0). "kmeans": 1 or 0, the cluster of `two_means`. Where there is but one
    group it is 1: scores within 1e-3 of each other, or two Gaussians so alike that no
    sample is rather of the larger-mean one. 0 where the score is -inf.
    """
    labels = checked_labels("fine", "labels", labels)
    contracts.shapes("fine", score=(score, "samples"), labels=(labels, "samples"))
    score = np.asarray(score).astype(np.float64)
    # What is far beyond an alignment has squares that overflow.
    if bad := score[~((np.abs(score) < 1e100) | np.isneginf(score))].tolist():
        raise ValueError(f"fine: a score is {bad[0]}; expected alignments from 0 to 1.")
    choice("fine", "clustering", clustering, CLUSTERINGS)
    probability = np.zeros(len(labels))
    for members in classes(labels):
        values = score[members]
        if np.isneginf(values).any():
            continue
        probability[members] = 1.0
        if np.ptp(values) > ALIGNMENT_RESOLUTION:
            of_larger = CLUSTERINGS[clustering](values)
            if of_larger.max() > 0.5:
                probability[members] = of_larger
    return probability


def _posterior(values: Scalars) -> Scalars:
    return mixture_posterior(
        values, larger=True, max_iter=100, tol=1e-6, reg_covar=REG_COVAR
    )


CLUSTERINGS = {"mixture": _posterior, "kmeans": two_means}
