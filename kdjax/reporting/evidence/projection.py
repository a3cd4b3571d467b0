"""Three classes in the plane of their weights, a chart a network."""

import numpy as np

from kdjax.analysis.outputs import Compared
from kdjax.analysis.projection import elongation
from kdjax.reporting.blocks import Chart, Section
from kdjax.reporting.evidence.charts import chart, listed, names_of, squared

_POINTS = 80  # of a class that are drawn
_SIDE = 260  # pixels: as wide as high, for round has to look round


def projection(compared: Compared) -> Section | None:
    """The penultimate features of three classes; None where no network has them."""
    clusters = {
        name: one.points
        for name, one in compared.networks.items()
        if one.points is not None
    }
    if not clusters:
        return None
    names = [names_of(compared.class_names)[label] for label in compared.three_classes]
    labels = compared.labels_of_points
    text = (
        f"The penultimate features of {listed(names)} in the plane through the "
        "weights of the three classes (Müller et al. 2019, arXiv:1906.02629), of "
        f"{compared.images}; at most {_POINTS} a class are drawn. Elongation: standard "
        "deviation along a cluster's longest axis over that across it, of all its "
        "images; 1 is round."
    )
    charts = [
        _panel(compared, name, points, labels, names)
        for name, points in clusters.items()
    ]
    return Section("Three classes as the networks see them", [text, *charts])


def _panel(
    compared: Compared, name: str, points: np.ndarray, labels: np.ndarray, names: list
) -> Chart:
    import altair as alt

    ratios = elongation(points, labels)
    rows = []
    for label, class_name in zip(compared.three_classes, names, strict=True):
        own = points[labels == label]
        # An even part, the same images for every network.
        rows_shown = np.linspace(0, len(own) - 1, min(_POINTS, len(own))).round()
        for x, y in own[rows_shown.astype(int)].tolist():
            rows.append({"class": class_name, "x": round(x, 3), "y": round(y, 3)})
    x, y = (_axis(points[:, axis], np.ptp(points, axis=0).max()) for axis in (0, 1))
    legend = alt.Legend(title=None)
    colour = alt.Color("class:N", legend=legend)
    shape = alt.Shape("class:N", legend=legend).scale(domain=names)
    figure = (
        alt.Chart(alt.Data(values=rows), title=name)
        .mark_point(filled=True, size=22, opacity=0.55)
        .encode(
            x=alt.X("x:Q", title=None).scale(domain=x, nice=False),
            y=alt.Y("y:Q", title=None).scale(domain=y, nice=False),
            color=colour.scale(domain=names),
            shape=shape,
            tooltip=["class:N", "x:Q", "y:Q"],
        )
    )
    shown = [
        f"{class_name} {ratios[label]:.2f}"
        for label, class_name in zip(compared.three_classes, names, strict=True)
    ]
    alternative = f"{name}: a cloud of points a class; elongation {listed(shown)}."
    return chart(squared(figure, _SIDE), alternative, f"Elongation: {', '.join(shown)}")


def _axis(values: np.ndarray, span: float) -> list[float]:
    """An axis of the same length for both directions, its middle that of the values."""
    middle, reach = (values.min() + values.max()) / 2, 0.53 * span
    return [round(float(middle - reach), 3), round(float(middle + reach), 3)]
