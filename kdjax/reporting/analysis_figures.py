"""Figures of an analysis, those of Kim et al. 2021 (arXiv:2105.08919).

Densities of a number over the samples, and three classes in the plane of their weights.
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


def densities(
    students: dict[str, np.ndarray],
    path: pathlib.Path,
    title: str,
    unit: str,
    teacher: np.ndarray | None = None,
) -> None:
    """Draws the density of a number that is not negative, a line a network.

    Args:
      students: name -> [n], such as distances of logits or norms of features.
      path: PNG to write.
      title: of the figure.
      unit: of the axis.
      teacher: [n]; in black, wider than the others.
    """
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


def class_projections(
    clusters: dict[str, tuple[np.ndarray, np.ndarray]],
    class_names: dict[int, str],
    path: pathlib.Path,
) -> None:
    """Draws three classes in the plane of their templates, a panel a network.

    Below a panel's title stand the elongations of its clusters, in the legend's order.

    Args:
      clusters: network -> (points [n, 2] of `three_class_projection`, labels [n]).
      class_names: label -> name, of exactly the labels that occur.
      path: PNG to write.
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


def _draw(axis: Axes, values: np.ndarray, **style) -> None:
    if np.size(values) and np.ptp(values) == 0:
        # A network compared with itself: all mass in one place.
        axis.axvline(float(np.ravel(values)[0]), **style)
    else:
        axis.plot(*density(values, lowest=0.0), **style)
