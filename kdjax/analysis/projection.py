"""Three classes seen in their plane, and the shape of their clusters, in float64."""

from typing import Any

import numpy as np

from kdjax import contracts
from kdjax.analysis.student_teacher import finite


def three_class_projection(features: Any, class_weights: Any) -> np.ndarray:
    """Projects features onto the plane through the templates of three classes.

    A template is the class's row of weights in the last layer. The first axis runs from
    the first template to the second; the third is on the positive side of the second
    axis. Müller et al. 2019 (arXiv:1906.02629), section 2.

    Args:
      features: [n, dim], penultimate.
      class_weights: [3, dim]; of a Flax kernel [dim, classes] that is
        `kernel[:, [a, b, c]].T`.

    Returns:
      [n, 2], in the unit of the features; 0 is where the features' origin falls.

    Raises:
      ValueError: shapes disagree, a number is not finite, or the templates lie on one
        line.

    >>> templates = [[1.0, 0.0, 0.0], [3.0, 0.0, 0.0], [1.0, 5.0, 0.0]]
    >>> three_class_projection([[7.0, 8.0, 9.0]], templates)
    array([[7., 8.]])
    """
    where = "three_class_projection"
    contracts.shapes(
        where,
        features=(features, "n dim"),
        class_weights=(class_weights, "templates dim"),
    )
    features = finite(where, "features", features)
    templates = finite(where, "class_weights", class_weights)
    if len(templates) != 3:
        raise ValueError(
            f"{where}: class_weights has {len(templates)} templates; expected 3."
        )
    return features @ _basis(where, templates).T


def _basis(where: str, templates: np.ndarray) -> np.ndarray:
    """Orthonormal basis of the plane through three points, [2, dim]."""
    first, second = templates[1] - templates[0], templates[2] - templates[0]
    length = np.linalg.norm(first)
    first = first / length if length > 0 else first
    across = second - (second @ first) * first
    height = np.linalg.norm(across)
    if not length > 0 or not height > 1e-9 * np.linalg.norm(second):
        raise ValueError(
            f"{where}: class_weights lie on one line; expected three different "
            "templates that span a plane."
        )
    return np.stack([first, across / height])


def elongation(points: Any, labels: Any) -> dict[int, float]:
    """How elongated each class's cluster is: the ratio of principal deviations.

    Standard deviation along the cluster's longest axis over that across it: 1 is round.
    Elongated for KL at infinite temperature, round for MSE in Kim et al. 2021
    (arXiv:2105.08919).

    Args:
      points: [n, 2], from `three_class_projection`.
      labels: [n].

    Returns:
      label -> ratio, >= 1; infinity where all points are on one line.

    Raises:
      ValueError: shapes disagree, or a class has fewer than three points or all in one
        place.

    >>> round(elongation([[-3, 0], [3, 0], [0, 1], [0, -1]], [7, 7, 7, 7])[7], 6)
    3.0
    """
    contracts.shapes("elongation", points=(points, "n axes"), labels=(labels, "n"))
    points, labels = finite("elongation", "points", points), np.asarray(labels)
    if points.shape[1] != 2:
        raise ValueError(
            f"elongation: points have shape {points.shape}; expected [n, 2]."
        )
    ratios = {}
    for label in np.unique(labels).tolist():
        cluster = points[labels == label]
        long, short = _deviations(cluster)
        if len(cluster) < 3 or not long > 0:
            raise ValueError(
                f"elongation: label {label} has {len(cluster)} point(s) in "
                f"{len(np.unique(cluster, axis=0))} place(s); expected three or more, "
                "not all in one."
            )
        ratios[label] = long / short if short > 1e-12 * long else float("inf")
    return ratios


def _deviations(cluster: np.ndarray) -> tuple[float, float]:
    """Standard deviations along the two principal axes, longest first."""
    centred = cluster - cluster.mean(axis=0)
    axes = np.linalg.svd(centred, compute_uv=False) / np.sqrt(len(cluster))
    long, short = np.append(axes, 0.0)[:2]  # one point has one axis
    return float(long), float(short)
