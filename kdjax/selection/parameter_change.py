"""How far each training sample moved the last layer: the norm of its influence."""

import numpy as np

from kdjax import contracts
from kdjax.selection import curvature
from kdjax.selection.evidence import Evidence, checked
from kdjax.selection.last_layer import blocks, mean_label_gradient, minus_label
from kdjax.selection.scores import AUDIT, Scores, random_bits
from kdjax.selection.types import Scalars

# Below it the approximation does not rank the samples.
_LEAST_CORRELATION = 0.8


def parameter_change(
    evidence: Evidence,
    *,
    damping: float = 1e-2,
    exact_up_to: int = 4096,
    audited: int = 16,
    seed: int = 0,
) -> Scores:
    """Minus the norm of the parameter change that a sample stands for.

        score_i = -|| H^-1 g_i(e_y) ||

    Yang et al., "Dataset Pruning", ICLR 2023 (arXiv:2205.09329), drop a set whose
    summed change is small in norm; the norms of a dropped set bound that of their sum.
    The layer has P = (features + 1) * classes parameters. Up to `exact_up_to` H is
    formed and inverted: 4 n P^2 + 3 P^3 operations, 24 P^2 bytes. Above, H is the
    Kronecker approximation, scaled by the mean ratio to the exact norms of `audited`
    random samples; their rank correlation (Spearman's) is returned, and below 0.8 an
    error.

    Args:
      damping: > 0, added to the diagonal of H.
      exact_up_to: P up to which H is formed, >= 0.
      audited: samples solved exactly where H is not formed, >= 8.
      seed: which samples are audited, 0 <= seed < 2**63.

    ValueError where every gradient is zero, or the approximation does not hold.
    """
    where = "parameter_change"
    evidence = checked(where, evidence)
    contracts.positive(where, "damping", damping)
    contracts.whole(where, "audited", audited, 8)
    contracts.whole(where, "exact_up_to", exact_up_to, 0, 2**62)
    size = (evidence.features.shape[1] + 1) * evidence.logits.shape[1]
    if size <= exact_up_to:
        scores = _exact(evidence, damping)
    else:
        draw = random_bits(where, seed, AUDIT, len(evidence.labels))
        order = np.argsort(draw, kind="stable")
        scores = _approximate(evidence, damping, order, audited)
    if not scores.values.any():
        raise ValueError(
            f"{where}: the gradient of every sample is 0; nothing differs."
        )
    return scores


def _approximate(
    evidence: Evidence, damping: float, order: np.ndarray, audited: int
) -> Scores:
    """By Kronecker's approximation, against exact norms of the first in the order."""
    factors = curvature.kronecker(evidence, damping)
    norms = _kronecker_norms(evidence, factors)
    sample = order[norms[order] > 0][:audited]
    if not sample.size:
        return Scores(-norms)
    gradients = [mean_label_gradient(evidence, at) for at in sample[:, None]]
    # The tolerance is far below the difference that it measures.
    accuracy = {"factors": factors, "tolerance": 1e-4}
    solutions = [curvature.solve(evidence, g, damping, **accuracy) for g in gradients]
    exact = np.array([np.linalg.norm(s.vector) for s in solutions])
    correlation = _rank_correlation(exact, norms[sample])
    if not correlation >= _LEAST_CORRELATION:
        raise ValueError(
            "parameter_change: the Kronecker approximation ranks the samples otherwise "
            f"than their exact norms do (correlation {correlation:.2f} on "
            f"{len(sample)}); expected at least {_LEAST_CORRELATION}. Set exact_up_to "
            f"to {factors.eigenvalues.size}, the size of this layer, for exact norms, "
            "or raise the damping."
        )
    return Scores(
        -norms * np.mean(exact / norms[sample]),
        max(s.iterations for s in solutions),
        max(s.residual for s in solutions),
        correlation,
    )


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, of numbers without ties; 1 for a single pair."""
    ranks = [np.argsort(np.argsort(values)) for values in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1]) if len(a) > 1 else 1.0


def _exact(evidence: Evidence, damping: float) -> Scores:
    """By the inverse: damping bounds H's condition, so float64 has digits to spare."""
    inverse = np.linalg.inv(curvature.hessian_matrix(evidence, damping))
    norms = np.empty(len(evidence.labels))
    for at, x, p in blocks(evidence):
        r = minus_label(p, evidence.labels[at])
        gradients = (x[:, :, None] * r[:, None, :]).reshape(len(at), -1)
        norms[at] = np.linalg.norm(gradients @ inverse, axis=1)
    # The product over the samples does not use the matrix: an independent check.
    probe = np.ones((evidence.features.shape[1] + 1, evidence.logits.shape[1]))
    probe[::2] = -1.0
    solved = (inverse @ probe.ravel()).reshape(probe.shape)
    error = curvature.hessian_product(evidence, solved, damping) - probe
    return Scores(-norms, residual=float(np.linalg.norm(error) / np.linalg.norm(probe)))


def _kronecker_norms(evidence: Evidence, factors: curvature.Kronecker) -> Scalars:
    """|| K^-1 x_i r_i^T ||: in K's axes the gradient stays a product of two vectors."""
    norms = np.empty(len(evidence.labels))
    scale = factors.eigenvalues**-2.0
    for at, x, p in blocks(evidence):
        r = minus_label(p, evidence.labels[at]) @ factors.class_axes
        u = x @ factors.input_axes
        norms[at] = np.sqrt(np.sum((u**2 @ scale) * r**2, axis=1))
    return norms
