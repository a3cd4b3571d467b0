"""Figures of a comparison: curves and accuracies."""

import math
import pathlib

from matplotlib.figure import Figure  # without pyplot no screen is needed

from kdjax.contracts import printable
from kdjax.paths.files import written
from kdjax.reporting.results import Result, labels, series

# Okabe and Ito's palette, for colour-blind readers too.
COLOURS = ("#000000", "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
# Black is the teacher's, so a student has one colour in all the figures.
_TEACHER, *_STUDENTS = COLOURS
_DASHES = ("-", "--", ":", "-.")  # where colours repeat, lines differ by these
_COLUMNS = 3


def training_curves(results: list[Result], path: pathlib.Path) -> None:
    """Test accuracy and training loss of every network against epochs."""
    figure = Figure(figsize=(11, 4.2), dpi=120, layout="tight")
    left, right = figure.subplots(1, 2)
    for i, (result, name) in enumerate(zip(results, labels(results), strict=True)):
        colour = COLOURS[i % len(COLOURS)]
        style = {"color": colour, "label": plain_label(name), "lw": 1.8}
        left.plot(*series(result, "eval/top1"), marker="o", ms=3, **style)
        right.plot(*series(result, "train/loss"), **style)
    left.set(xlabel="epoch", ylabel="test top-1 (%)", title="Accuracy")
    right.set(xlabel="epoch", ylabel="objective", title="Training objective")
    # Objectives of different methods differ in scale by orders of magnitude.
    right.set_yscale("log")
    for axis in (left, right):
        axis.grid(alpha=0.3)
    left.legend(fontsize=8)
    save(figure, path)


def accuracy_by_method(results: list[Result], path: pathlib.Path) -> None:
    """One bar a network, on an axis that shows the differences."""
    names = labels(results)
    values = [result.metrics.get("top1", math.nan) for result in results]
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    figure = Figure((1.2 + 1.1 * len(names), 4), dpi=120, layout="tight")
    axis = figure.subplots()
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(names))]
    bars = axis.bar(range(len(names)), values, color=colours, width=0.65)
    axis.set_xticks(range(len(names)), map(plain_label, names))
    axis.bar_label(bars, fmt="%.2f", fontsize=9, padding=2)
    span = max(max(finite) - min(finite), 1.0)
    axis.set_ylim(max(0.0, min(finite) - span), min(100.0, max(finite) + 0.4 * span))
    axis.set(ylabel="test top-1 (%), axis cut", title="Accuracy by method")
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)
    save(figure, path)


def plain_label(name: str) -> str:
    """A name as Matplotlib draws it, not as the formula between two dollar signs.

    A legend leaves out what begins with an underscore.
    """
    text = " ".join(printable(name).split("\n")).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def save(figure: Figure, path: pathlib.Path) -> None:
    with written(path) as part:
        figure.savefig(part)
