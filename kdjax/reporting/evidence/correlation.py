"""What of the teacher's relations between classes a student did not learn."""

import numpy as np

from kdjax.analysis.correlation import constant_classes, correlation_difference
from kdjax.analysis.outputs import Compared
from kdjax.reporting.blocks import Chart, Section, Table
from kdjax.reporting.evidence.charts import (
    LABEL_WIDTH,
    chart,
    listed,
    names_of,
    squared,
)

_MOST_CLASSES = 20  # that are drawn, with their names
_SIDE = 230  # pixels
_GREY = "#9aa0a6"  # of what has no correlation
_TITLE = "Correlations between classes"


def correlation(compared: Compared) -> Section | None:
    """Correlations between the logits of classes, the student's minus the teacher's."""
    differences = {
        name: _difference(
            compared.networks[name].logits, compared.networks[teacher].logits
        )
        for name, teacher in compared.teacher_of.items()
    }
    if not differences:
        return None
    names, text = names_of(compared.class_names), _text(compared)
    constant = {
        name: listed([names[k] for k in np.flatnonzero(np.isnan(d.diagonal()))])
        for name, d in differences.items()
    }
    differences = {n: d for n, d in differences.items() if np.isfinite(d).any()}
    notes = [
        f"{name}: the logit of {which} is the same on all images, its own or its "
        "teacher's, so it has no correlation with others (grey, not counted)."
        for name, which in constant.items()
        if which
    ]
    if not differences:
        return Section(_TITLE, [text, *notes])
    classes = _shown(list(differences.values()))
    if len(classes) < len(names):
        text += (
            f" Drawn are the {len(classes)} of {len(names)} classes "
            "that differ most in the mean over the students."
        )
    most = max(np.nanmax(np.abs(d)) for d in differences.values())
    limit = max(float(f"{most:.2g}"), 0.01)
    charts = [_heatmap(names, n, d, classes, limit) for n, d in differences.items()]
    return Section(_TITLE, [text, *notes, _table(differences), *charts])


def _text(compared: Compared) -> str:
    return (
        "Pearson's correlation between the logits of every two classes, the student's "
        f"minus its teacher's, over {compared.images} (Tian et al. 2020, arXiv:"
        "1910.10699). White: the student relates the two classes as its teacher does."
    )


def _difference(student: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    """[classes, classes]; NaN beside classes whose logit is constant in either."""
    varies = ~(constant_classes(student) | constant_classes(teacher))
    result = np.full((len(varies), len(varies)), np.nan)
    if varies.sum() > 1:
        inner = correlation_difference(student[:, varies], teacher[:, varies])
        result[np.ix_(varies, varies)] = inner
    return result


def _shown(differences: list[np.ndarray]) -> list[int]:
    """The classes that are drawn, in their order."""
    mean = np.mean([np.nansum(np.abs(d), axis=0) for d in differences], axis=0)
    return sorted(np.argsort(-mean, kind="stable")[:_MOST_CLASSES].tolist())


def _table(differences: dict[str, np.ndarray]) -> Table:
    rows = []
    for name, d in differences.items():
        pairs = np.abs(d[np.triu_indices(len(d), 1)])
        rows.append((name, f"{np.nanmean(pairs):.3f}", f"{np.nanmax(pairs):.3f}"))
    columns = ("", "mean |difference|", "largest")
    return Table(columns, rows, "Over all pairs of two classes.")


def _heatmap(
    names: list[str], name: str, d: np.ndarray, classes: list[int], limit: float
) -> Chart:
    import altair as alt

    order = [names[label] for label in classes]
    rows = [
        {"row": names[i], "column": names[j], "value": _number(d[i, j])}
        for i in classes
        for j in classes
    ]
    axis = alt.Axis(labelLimit=LABEL_WIDTH, title=None, ticks=False, domain=False)
    scale = alt.Scale(
        domain=[-limit, 0, limit], range=["#b35806", "#f7f7f7", "#2166ac"]
    )
    legend = alt.Legend(title=None, orient="top", gradientLength=_SIDE, format="+.2f")
    colour = alt.Color("value:Q", legend=legend, scale=scale)
    figure = (
        alt.Chart(alt.Data(values=rows), title=name)
        .mark_rect(invalid=None)
        .encode(
            x=alt.X("column:N", sort=order, axis=axis),
            y=alt.Y("row:N", sort=order, axis=axis),
            color=alt.condition("datum.value === null", alt.value(_GREY), colour),
            tooltip=["row:N", "column:N", alt.Tooltip("value:Q", title="difference")],
        )
    )
    upper = np.triu(np.abs(d), 1)
    i, j = np.unravel_index(np.nanargmax(upper), upper.shape)
    alternative = (
        f"{name}: a matrix of classes by classes; largest difference {d[i, j]:+.2f}, "
        f"between {names[i]} and {names[j]}."
    )
    return chart(squared(figure, _SIDE), alternative)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3)
