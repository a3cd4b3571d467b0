"""The Hessian of the last layer: multiplied by, solved with, never formed if large.

    H = mean_i x_i x_i^T (x) (diag p_i - p_i p_i^T) + damping I

of the mean cross entropy plus damping / 2 ||Theta||^2, in the order of `last_layer`.
For softmax and cross entropy it is exact, Gauss-Newton's, and depends on no target.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kdjax.selection.evidence import Evidence
from kdjax.selection.last_layer import Layer, blocks


class Solution(NamedTuple):
    """x with product(x) = right, up to the residual."""

    vector: np.ndarray
    iterations: int
    residual: float  # ||product(x) - right|| / ||right||, computed anew from x


class Kronecker(NamedTuple):
    """H with the mean of the product replaced by the product of the means.

        (mean_i x_i x_i^T) (x) (mean_i diag p_i - p_i p_i^T) + damping I

    Diagonal in these axes; Martens & Grosse 2015 (arXiv:1503.05671), section 3.
    """

    input_axes: np.ndarray  # [inputs, inputs], eigenvectors in the columns
    class_axes: np.ndarray  # [classes, classes], likewise
    eigenvalues: Layer  # [inputs, classes], >= damping


def hessian_product(evidence: Evidence, direction: Layer, damping: float) -> Layer:
    """H times a direction: two matrix products over the samples."""
    total = np.zeros_like(direction)
    for _, x, p in blocks(evidence):
        moved = x @ direction
        moved -= np.sum(p * moved, axis=1, keepdims=True)
        moved *= p
        total += x.T @ moved
    return total / len(evidence.labels) + damping * direction


def hessian_matrix(evidence: Evidence, damping: float) -> np.ndarray:
    """H itself, [inputs * classes, inputs * classes], rows of a `Layer` one by one."""
    classes, inputs = evidence.logits.shape[1], evidence.features.shape[1] + 1
    matrix = np.zeros((inputs * classes, inputs * classes))
    of_class = np.zeros((classes, inputs, inputs))
    for _, x, p in blocks(evidence):
        outer = (x[:, :, None] * p[:, None, :]).reshape(len(x), -1)
        matrix -= outer.T @ outer
        for c in range(classes):
            of_class[c] += x.T @ (p[:, c, None] * x)
    view = matrix.reshape(inputs, classes, inputs, classes)
    for c in range(classes):
        view[:, c, :, c] += of_class[c]
    matrix /= len(evidence.labels)
    matrix[np.diag_indices_from(matrix)] += damping
    return matrix


def kronecker(evidence: Evidence, damping: float) -> Kronecker:
    """The factors' eigenvectors: one pass over the samples and two small problems."""
    of_inputs, of_classes = 0.0, 0.0
    for _, x, p in blocks(evidence):
        of_inputs = of_inputs + x.T @ x
        of_classes = of_classes + np.diag(p.sum(axis=0)) - p.T @ p
    samples = len(evidence.labels)
    input_values, input_axes = np.linalg.eigh(of_inputs / samples)
    class_values, class_axes = np.linalg.eigh(of_classes / samples)
    product = np.multiply.outer(input_values.clip(0), class_values.clip(0))
    return Kronecker(input_axes, class_axes, product + damping)


def kronecker_solve(factors: Kronecker, right: Layer) -> Layer:
    """The Kronecker approximation's inverse times a direction."""
    inputs, classes, eigenvalues = factors
    return inputs @ ((inputs.T @ right @ classes) / eigenvalues) @ classes.T


def solve(
    evidence: Evidence,
    right: Layer,
    damping: float,
    *,
    factors: Kronecker | None = None,
    tolerance: float = 1e-8,
) -> Solution:
    """H^-1 times a direction, by conjugate gradients, preconditioned by Kronecker's.

    `factors` are `kronecker(evidence, damping)`, for callers that solve more than once.
    """
    factors = kronecker(evidence, damping) if factors is None else factors
    return conjugate_gradients(
        lambda direction: hessian_product(evidence, direction, damping),
        right,
        lambda direction: kronecker_solve(factors, direction),
        tolerance,
    )


def conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray],
    right: np.ndarray,
    precondition: Callable[[np.ndarray], np.ndarray],
    tolerance: float = 1e-8,
    max_iterations: int = 1000,
) -> Solution:
    """Solves product(x) = right for a symmetric, positive definite product.

    Both functions are linear, and keep the shape of `right`, which is not all zero;
    `precondition` is roughly the inverse of product, symmetric and positive definite.
    ValueError where the residual relative to `right` stays above `tolerance`.
    """
    from scipy.sparse.linalg import LinearOperator, cg

    def operator(function) -> LinearOperator:
        def of_vector(vector):
            return function(vector.reshape(right.shape)).ravel()

        return LinearOperator((right.size,) * 2, of_vector, dtype=right.dtype)

    iterations = 0

    def count(_) -> None:
        nonlocal iterations
        iterations += 1

    # Half: the recursion's residual drifts away from the true one.
    options = {"rtol": tolerance / 2, "maxiter": max_iterations, "callback": count}
    x, _ = cg(operator(product), right.ravel(), M=operator(precondition), **options)
    x = x.reshape(right.shape)
    error = float(np.linalg.norm(product(x) - right) / np.linalg.norm(right))
    if not error <= tolerance:
        raise ValueError(
            f"conjugate_gradients: residual {error:.1e} after {iterations} iterations; "
            f"expected at most {tolerance:.0e}. Raise the damping: the Hessian is too "
            "flat to be inverted as it is."
        )
    return Solution(x, iterations, error)
