"""Three classes in the plane of their weights, and their clusters, in float64."""

from typing import Any

import numpy as np

from kdjax import contracts
from kdjax.analysis.student_teacher import finite


def three_class_projection(features: Any, class_weights: Any) -> np.ndarray:
    """Projects features onto the plane through the templates of three classes.

    A template is the class's row of weights in the last layer. The first axis runs from
    the first template to the second; the third is on the positive side of the second
    axis. Müller et al. 2019 (arXiv:1906.02629), section 2.

    Penultimate features [n, dim] become [n, 2], in their unit; 0 is where their origin
    falls. `class_weights` [3, dim] are not on one line; of a Flax kernel [dim, classes]
    they are `kernel[:, [a, b, c]].T`.

    >>> templates = [[1.0, 0.0, 0.0], [3.0, 0.0, 0.0], [1.0, 5.0, 0.0]]
    >>> three_class_projection([[7.0, 8.0, 9.0]], templates)
    array([[7., 8.]])
    """
    where = "three_class_projection"
    both = {"features": (features, "n dim"), "class_weights": (class_weights, "k dim")}
    contracts.shapes(where, **both)
    features, templates = (finite(where, name, x) for name, (x, _) in both.items())
    if len(templates) != 3:
        count = f"{len(templates)} templates"
        raise ValueError(f"{where}: class_weights has {count}; expected 3.")
    # An orthonormal basis of the plane through the three.
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
    return features @ np.stack([first, across / height]).T


def elongation(points: Any, labels: Any) -> dict[int, float]:
    """How elongated the cluster of each label is: {label: ratio >= 1}.

    Standard deviation along the cluster's longest axis over that across it: 1 is round,
    infinity a line. Elongated for KL at infinite temperature, round for MSE in Kim et
    al. 2021 (arXiv:2105.08919).

    Points [n, 2] are from `three_class_projection`; of each label [n] there are three
    or more, not all in one place.

    >>> round(elongation([[-3, 0], [3, 0], [0, 1], [0, -1]], [7, 7, 7, 7])[7], 6)
    3.0
    """
    contracts.shapes("elongation", points=(points, "n axes"), labels=(labels, "n"))
    points, labels = finite("elongation", "points", points), np.asarray(labels)
    if points.shape[1] != 2:
        expected = "expected [n, 2]"
        raise ValueError(f"elongation: points have shape {points.shape}; {expected}.")
    ratios = {}
    for label in np.unique(labels).tolist():
        cluster = points[labels == label]
        # Standard deviations along the principal axes; one point has one axis.
        axes = np.linalg.svd(cluster - cluster.mean(axis=0), compute_uv=False)
        long, short = (np.append(axes, 0.0)[:2] / np.sqrt(len(cluster))).tolist()
        if len(cluster) < 3 or not long > 0:
            raise ValueError(
                f"elongation: label {label} has {len(cluster)} point(s) in "
                f"{len(np.unique(cluster, axis=0))} place(s); expected three or more, "
                "not all in one."
            )
        ratios[label] = long / short if short > 1e-12 * long else float("inf")
    return ratios
