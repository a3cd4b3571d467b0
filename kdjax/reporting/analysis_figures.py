"""Figures of an analysis: how far students are from their teacher, and their clusters.

They are those of Kim et al. 2021 (arXiv:2105.08919): densities over the samples of
the distance between logits and of the features' norm, and three classes in the plane
of their templates.
"""

import pathlib

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdjax.analysis.density import density
from kdjax.analysis.projection import elongation
from kdjax.reporting.figures import COLOURS, save

# Black is the teacher's, so a student has one colour in all the figures.
_TEACHER, *_STUDENTS = COLOURS
_DASHES = ("-", "--", ":", "-.")  # tell lines apart when the colours come round
_COLUMNS = 3


def logit_distance_densities(
    distances: dict[str, np.ndarray], path: pathlib.Path
) -> None:
    """Draws the density of ||student logits - teacher logits||, a line a student.

    Args:
      distances: student -> [n], of `compare_logits`.
      path: PNG to write.
    """
    unit = "distance of the logits from the teacher's"
    _densities(distances, None, unit, "Logit distance", path)


def feature_norm_densities(
    norms: dict[str, np.ndarray],
    path: pathlib.Path,
    *,
    teacher: np.ndarray | None = None,
) -> None:
    """Draws the density of the norm of penultimate features, a line a network.

    Args:
      norms: student -> [n], of `feature_norms`.
      path: PNG to write.
      teacher: [n], its norms; in black, wider than the others.
    """
    unit = "norm of the penultimate features"
    _densities(norms, teacher, unit, "Feature norm", path)


def class_projections(
    clusters: dict[str, tuple[np.ndarray, np.ndarray]],
    class_names: dict[int, str],
    path: pathlib.Path,
) -> None:
    """Draws three classes in the plane of their templates, a panel a network.

    Below a panel's title stand the elongations of its clusters, in the legend's order.

    Args:
      clusters: network -> (points [n, 2], labels [n]), points from
        `projection.three_class_projection`.
      class_names: label -> name, of exactly the labels that occur.
      path: PNG to write.

    Raises:
      ValueError: there is no network, labels and class_names differ, or a cluster has
        fewer than three points.
    """
    if not clusters:
        raise ValueError("class_projections: no network; expected one or more.")
    columns = min(_COLUMNS, len(clusters))
    rows = -(-len(clusters) // columns)
    figure = Figure(
        figsize=(0.6 + 3.4 * columns, 0.6 + 3.5 * rows), dpi=120, layout="constrained"
    )
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, (points, labels)) in zip(panels, clusters.items(), strict=False):
        _panel(axis, name, points, labels, class_names)
    for axis in panels[len(clusters) :]:
        axis.set_axis_off()
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, markerscale=3)
    save(figure, path)


def _panel(axis: Axes, name, points, labels, class_names: dict[int, str]) -> None:
    ratios = elongation(points, labels)
    if set(ratios) != set(class_names):
        raise ValueError(
            f"class_projections: {name} has points of labels {sorted(ratios)}; "
            f"expected {sorted(class_names)}, as in class_names."
        )
    for i, (label, class_name) in enumerate(class_names.items()):
        colour = _STUDENTS[i % len(_STUDENTS)]
        own = np.asarray(points)[np.asarray(labels) == label]
        axis.scatter(*own.T, s=6, alpha=0.5, lw=0, color=colour, label=class_name)
    shown = ", ".join(f"{ratios[label]:.2f}" for label in class_names)
    axis.set_title(f"{name}\nelongation {shown}", fontsize=9)
    # Round has to look round.
    axis.set_aspect("equal", adjustable="datalim")
    axis.grid(alpha=0.3)
    axis.tick_params(labelsize=7)


def _densities(students: dict, teacher, unit: str, title: str, path) -> None:
    figure = Figure(figsize=(6.4, 4.2), dpi=120, layout="constrained")
    axis = figure.subplots()
    if teacher is not None:
        _draw(axis, teacher, label="teacher", color=_TEACHER, lw=3.2)
    for i, (name, values) in enumerate(students.items()):
        dashes = _DASHES[i // len(_STUDENTS) % len(_DASHES)]
        colour = _STUDENTS[i % len(_STUDENTS)]
        _draw(axis, values, label=name, color=colour, ls=dashes, lw=1.8)
    axis.set(xlabel=unit, ylabel="density over the samples", title=title)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    save(figure, path)


def _draw(axis: Axes, values: np.ndarray, **style) -> None:
    if np.size(values) and np.ptp(values) == 0:
        # A network compared with itself: all mass in one place.
        axis.axvline(float(np.ravel(values)[0]), **style)
    else:
        axis.plot(*density(values, lowest=0.0), **style)
