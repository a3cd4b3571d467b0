"""What of the teacher's relations between classes a student did not learn."""

import numpy as np

from kdjax.analysis.correlation import correlation_difference
from kdjax.analysis.outputs import Compared
from kdjax.reporting.blocks import Chart, Section, Table
from kdjax.reporting.evidence.charts import LABEL_WIDTH, chart, names_of, squared

_MOST_CLASSES = 20  # that are drawn, with their names
_SIDE = 230  # pixels


def correlation(compared: Compared) -> Section | None:
    """Correlations between the logits of classes, the student's minus the teacher's."""
    differences = {
        name: correlation_difference(
            compared.networks[name].logits, compared.networks[teacher].logits
        )
        for name, teacher in compared.teacher_of.items()
    }
    if not differences:
        return None
    classes = _shown(list(differences.values()))
    which = ""
    if len(classes) < len(compared.class_names):
        which = (
            f" Drawn are the {len(classes)} of {len(compared.class_names)} classes "
            "that differ most in the mean over the students."
        )
    text = (
        "Pearson's correlation between the logits of every two classes, the student's "
        f"minus its teacher's, over {compared.images} (Tian et al. 2020, arXiv:"
        "1910.10699). White: the student relates the two classes as its teacher does."
        f"{which}"
    )
    most = max(np.abs(d).max() for d in differences.values())
    limit = max(float(f"{most:.2g}"), 0.01)
    charts = [
        _heatmap(compared, name, d, classes, limit) for name, d in differences.items()
    ]
    table = _table(differences)
    return Section("Correlations between classes", [text, table, *charts])


def _shown(differences: list[np.ndarray]) -> list[int]:
    """The classes that are drawn, in their order."""
    mean = np.mean([np.abs(d).sum(0) for d in differences], axis=0)
    return sorted(np.argsort(-mean, kind="stable")[:_MOST_CLASSES].tolist())


def _table(differences: dict[str, np.ndarray]) -> Table:
    rows = []
    for name, d in differences.items():
        pairs = np.abs(d[np.triu_indices(len(d), 1)])
        rows.append((name, f"{pairs.mean():.3f}", f"{pairs.max():.3f}"))
    columns = ("", "mean |difference|", "largest")
    return Table(columns, rows, "Over all pairs of two classes.")


def _heatmap(
    compared: Compared, name: str, d: np.ndarray, classes: list[int], limit: float
) -> Chart:
    import altair as alt

    names = names_of(compared.class_names)
    order = [names[label] for label in classes]
    rows = [
        {"row": names[i], "column": names[j], "value": round(float(d[i, j]), 3)}
        for i in classes
        for j in classes
    ]
    axis = alt.Axis(labelLimit=LABEL_WIDTH, title=None, ticks=False, domain=False)
    scale = alt.Scale(
        domain=[-limit, 0, limit], range=["#b35806", "#f7f7f7", "#2166ac"]
    )
    legend = alt.Legend(title=None, orient="top", gradientLength=_SIDE, format="+.2f")
    figure = (
        alt.Chart(alt.Data(values=rows), title=name)
        .mark_rect()
        .encode(
            x=alt.X("column:N", sort=order, axis=axis),
            y=alt.Y("row:N", sort=order, axis=axis),
            color=alt.Color("value:Q", legend=legend, scale=scale),
            tooltip=["row:N", "column:N", alt.Tooltip("value:Q", title="difference")],
        )
    )
    upper = np.triu(np.abs(d), 1)
    i, j = np.unravel_index(np.argmax(upper), upper.shape)
    alternative = (
        f"{name}: a matrix of classes by classes; largest difference {d[i, j]:+.2f}, "
        f"between {names[i]} and {names[j]}."
    )
    return chart(squared(figure, _SIDE), alternative)
