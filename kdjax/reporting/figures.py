"""Figures of an analysis (Kim et al. 2021, arXiv:2105.08919): densities, clusters."""

import pathlib

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure  # without pyplot no screen is needed

from kdjax.analysis.density import density
from kdjax.analysis.projection import elongation
from kdjax.contracts import printable
from kdjax.paths.files import written

# Okabe and Ito's palette, for colour-blind readers too.
COLOURS = ("#000000", "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
# Black is the teacher's, so a student has one colour in all the figures.
_TEACHER, *_STUDENTS = COLOURS
_DASHES = ("-", "--", ":", "-.")  # where colours repeat, lines differ by these
_COLUMNS = 3


def plain_label(name: str) -> str:
    """A name as Matplotlib draws it, not as the formula between two dollar signs.

    A legend leaves out what begins with an underscore.
    """
    text = " ".join(printable(name).split("\n")).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def save(figure: Figure, path: pathlib.Path) -> None:
    with written(path) as part:
        figure.savefig(part)


def densities(
    students: dict[str, np.ndarray],
    path: pathlib.Path,
    title: str,
    unit: str,
    teacher: np.ndarray | None = None,
) -> None:
    """Draws the density of a number that is not negative, a line a network.

    Students have one array [n] a name, such as distances of logits or norms of
    features; the teacher's is in black and wider. Writes a PNG.
    """
    figure = Figure(figsize=(6.4, 4.2), dpi=120, layout="constrained")
    axis = figure.subplots()
    if teacher is not None:
        _draw(axis, teacher, label="teacher", color=_TEACHER, lw=3.2)
    for i, (name, values) in enumerate(students.items()):
        dashes = _DASHES[i // len(_STUDENTS) % len(_DASHES)]
        colour = _STUDENTS[i % len(_STUDENTS)]
        label = plain_label(name)
        _draw(axis, values, label=label, color=colour, ls=dashes, lw=1.8)
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
    Clusters are (points [n, 2] of `three_class_projection`, labels [n]) by network;
    class_names has exactly the labels that occur. Writes a PNG.
    """
    if not clusters:
        raise ValueError("class_projections: no network; expected one or more.")
    columns = min(_COLUMNS, len(clusters))
    rows = -(-len(clusters) // columns)
    size = (0.6 + 3.4 * columns, 0.6 + 3.5 * rows)
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (name, cluster) in zip(panels, clusters.items(), strict=False):
        _panel(axis, name, *cluster, class_names)
    for axis in panels[len(clusters) :]:
        axis.set_axis_off()
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, markerscale=3)
    save(figure, path)


def _panel(axis: Axes, name, points, classes, class_names: dict[int, str]) -> None:
    ratios = elongation(points, classes)
    if set(ratios) != set(class_names):
        raise ValueError(
            f"class_projections: {name} has points of labels {sorted(ratios)}; "
            f"expected {sorted(class_names)}, as in class_names."
        )
    for i, (label, class_name) in enumerate(class_names.items()):
        colour = _STUDENTS[i % len(_STUDENTS)]
        own = np.asarray(points)[np.asarray(classes) == label]
        axis.scatter(
            *own.T, s=6, alpha=0.5, lw=0, color=colour, label=plain_label(class_name)
        )
    shown = ", ".join(f"{ratios[label]:.2f}" for label in class_names)
    axis.set_title(f"{plain_label(name)}\nelongation {shown}", fontsize=9)
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
