"""Figures of a comparison: training curves, and accuracy by method."""

import pathlib

from matplotlib.figure import Figure  # without pyplot no screen is needed

from kdjax.reporting.results import Result, labels, series

# Okabe and Ito's palette, for colour-blind readers too.
COLOURS = ("#000000", "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")


def training_curves(results: list[Result], path: pathlib.Path) -> None:
    """Test accuracy and training loss of every network against epochs."""
    figure = Figure(figsize=(11, 4.2), dpi=120, layout="tight")
    left, right = figure.subplots(1, 2)
    for i, (result, name) in enumerate(zip(results, labels(results), strict=True)):
        style = {"color": COLOURS[i % len(COLOURS)], "label": name, "lw": 1.8}
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
    values = [result.metrics["top1"] for result in results]
    figure = Figure((1.2 + 1.1 * len(names), 4), dpi=120, layout="tight")
    axis = figure.subplots()
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(names))]
    bars = axis.bar(range(len(names)), values, color=colours, width=0.65)
    axis.set_xticks(range(len(names)), names)
    axis.bar_label(bars, fmt="%.2f", fontsize=9, padding=2)
    span = max(max(values) - min(values), 1.0)
    axis.set_ylim(max(0.0, min(values) - span), min(100.0, max(values) + 0.4 * span))
    axis.set(ylabel="test top-1 (%), axis cut", title="Accuracy by method")
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)
    save(figure, path)


def save(figure: Figure, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
