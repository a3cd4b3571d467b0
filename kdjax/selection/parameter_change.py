"""How far each training sample moved the last layer: the norm of its influence."""

import numpy as np

from kdjax import contracts
from kdjax.selection.curvature import (
    Kronecker,
    hessian_matrix,
    hessian_product,
    kronecker,
    solve,
)
from kdjax.selection.evidence import Evidence, Scalars, checked
from kdjax.selection.last_layer import (
    blocks,
    mean_label_gradient,
    minus_label,
)
from kdjax.selection.scores import AUDIT, Scores, random_bits

# One sigma of the error that still says who is large and who is small.
_TOLERATED = 0.25


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

    Yang et al., "Dataset Pruning", ICLR 2023 (arXiv:2205.09329), drop the samples of
    the smallest norm; theirs bounds the norm of the sum over a dropped set, ours ranks
    by each sample's own norm, their sum's upper bound. Negate the values to keep the
    smallest norms.

    With P = (features + 1) * classes parameters of the layer:

    * P <= exact_up_to: exact. H is formed and inverted, about 4 n P^2 + 3 P^3 floating
      point operations and 32 P^2 bytes (P = 4096: 3e12, 0.6 GB; P = 12,900: 4e13, 6
      GB).
    * above: approximate. The norm is taken with the Kronecker approximation of H
      (`curvature.Kronecker`), in closed form. `audited` random samples are solved
      exactly, by conjugate gradients; their mean ratio scales all values, and the
      standard deviation of their ratios is what `spread` reports. Costs `audited`
      solves. A spread above 0.25 is an error.

    Args:
      evidence: of n samples by the reference network.
      damping: > 0, added to the diagonal of H.
      exact_up_to: P up to which H is formed, >= 0.
      audited: samples solved exactly where H is not formed, >= 2.
      seed: which samples are audited, 0 <= seed < 2**63.

    Returns:
      values <= 0, with the spread where they are approximate.

    Raises:
      ValueError: the evidence is malformed, a number is out of range, every gradient is
        zero, or the approximation does not hold on this evidence.

    >>> sure, unsure = np.array([9.0, 0.0]), np.array([1.0, 0.0])
    >>> pair = Evidence(np.stack([sure, unsure]), np.ones((2, 1)), np.array([0, 0]))
    >>> print(np.argsort(parameter_change(pair).values))
    [1 0]
    """
    where = "parameter_change"
    evidence = checked(where, evidence)
    contracts.positive(where, "damping", damping)
    if audited < 2:
        raise ValueError(f"{where}: audited is {audited}; expected at least 2.")
    size = (evidence.features.shape[1] + 1) * evidence.logits.shape[1]
    if size <= exact_up_to:
        return _exact(evidence, damping)
    factors = kronecker(evidence, damping)
    norms = _kronecker_norms(evidence, factors)
    order = np.argsort(random_bits(where, seed, AUDIT, len(norms)), kind="stable")
    sample = order[norms[order] > 0][:audited]
    if not sample.size:
        raise ValueError(
            f"{where}: the gradient of every sample is 0; nothing differs."
        )
    solutions = [
        solve(
            evidence,
            mean_label_gradient(evidence, [i]),
            damping,
            factors=factors,
            tolerance=1e-4,  # far below the spread that it measures
        )
        for i in sample
    ]
    ratio = [np.linalg.norm(s.vector) for s in solutions] / norms[sample]
    spread = float(ratio.std(ddof=1) / ratio.mean()) if len(ratio) > 1 else 0.0
    if not spread <= _TOLERATED:
        raise ValueError(
            f"{where}: the Kronecker approximation misses the exact norm by "
            f"{spread:.0%} (one sigma of {len(ratio)} samples); expected at most "
            f"{_TOLERATED:.0%}. Set exact_up_to to {size}, the size of this layer, for "
            "exact norms, or raise the damping."
        )
    return Scores(
        -norms * ratio.mean(),
        max(s.iterations for s in solutions),
        max(s.residual for s in solutions),
        spread,
    )


def _exact(evidence: Evidence, damping: float) -> Scores:
    """By the inverse: damping bounds H's condition, so float64 has digits to spare."""
    inverse = np.linalg.inv(hessian_matrix(evidence, damping))
    norms = np.empty(len(evidence.labels))
    for at, x, p in blocks(evidence):
        r = minus_label(p, evidence.labels[at])
        gradients = (x[:, :, None] * r[:, None, :]).reshape(len(at), -1)
        norms[at] = np.linalg.norm(gradients @ inverse, axis=1)
    # The product over the samples knows nothing of the matrix: an honest witness.
    probe = np.ones((evidence.features.shape[1] + 1, evidence.logits.shape[1]))
    probe[::2] = -1.0
    solved = (inverse @ probe.ravel()).reshape(probe.shape)
    error = hessian_product(evidence, solved, damping) - probe
    return Scores(-norms, residual=float(np.linalg.norm(error) / np.linalg.norm(probe)))


def _kronecker_norms(evidence: Evidence, factors: Kronecker) -> Scalars:
    """|| K^-1 x_i r_i^T ||: in K's axes the gradient stays a product of two vectors."""
    norms = np.empty(len(evidence.labels))
    scale = factors.eigenvalues**-2.0
    for at, x, p in blocks(evidence):
        r = minus_label(p, evidence.labels[at]) @ factors.class_axes
        u = x @ factors.input_axes
        norms[at] = np.sqrt(np.sum((u**2 @ scale) * r**2, axis=1))
    return norms
