"""How far the logits are from the teacher's, and how long the features are."""

import numpy as np

from kdjax.analysis.density import density
from kdjax.analysis.outputs import Compared
from kdjax.analysis.student_teacher import compare_logits
from kdjax.reporting.blocks import Chart, Section
from kdjax.reporting.evidence.charts import chart, colour, listed

_POINTS = 160  # of a line: more would not show
PAPER = "Kim et al. 2021, arXiv:2105.08919"


def logit_distances(compared: Compared) -> Section | None:
    """The density of ||student logits - teacher logits|| of every student."""
    distances = {}
    for name, teacher in compared.teacher_of.items():
        both = [compared.networks[one].logits for one in (name, teacher)]
        distances[name] = compare_logits(*both)["logit_distance"]
    if not distances:
        return None
    caption = (
        f"Density of the Euclidean distance of a student's logits to its teacher's "
        f"over {compared.images}, by a Gaussian kernel ({PAPER}). Further left is "
        "closer."
    )
    title = "distance of the logits to the teacher's"
    figure = _densities(compared, distances, title, caption)
    return Section("Distance of the logits to the teacher's", [figure])


def feature_norms(compared: Compared) -> Section | None:
    """The density of the norms of the penultimate features."""
    norms = {
        name: one.feature_norms
        for name, one in compared.networks.items()
        if one.feature_norms is not None
    }
    if not norms:
        return None
    caption = (
        f"Density of the Euclidean norm of the penultimate features over "
        f"{compared.images}, by a Gaussian kernel ({PAPER})."
    )
    title = "norm of the penultimate features"
    figure = _densities(compared, norms, title, caption)
    return Section("Norms of the features", [figure])


def _densities(
    compared: Compared, values: dict[str, np.ndarray], title: str, caption: str
) -> Chart:
    """A line a network; numbers are not negative. A teacher's line is dashed."""
    import altair as alt

    rows, medians = [], []
    for name, own in values.items():
        kind = "teacher" if name in compared.teachers else "student"
        medians.append(f"{name} {np.median(own):.3g}")
        for x, y in zip(*_line(own), strict=True):
            rows.append({"network": name, "kind": kind, "x": _short(x), "y": _short(y)})
    picked = alt.selection_point(fields=["network"], bind="legend", name="picked")
    near = alt.selection_point(
        nearest=True, on="pointerover", clear="pointerout", empty=False, name="hover"
    )
    dashes = alt.StrokeDash("kind:N", legend=None).scale(
        domain=["student", "teacher"], range=[[1, 0], [6, 3]]
    )
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("x:Q", title=title),
        y=alt.Y("y:Q", title="density"),
        color=colour(compared, list(values)),
        opacity=alt.when(picked).then(alt.value(1)).otherwise(alt.value(0.12)),
        detail="network:N",
    )
    lines = base.mark_line(strokeWidth=2, clip=True).encode(strokeDash=dashes)
    columns = [alt.Tooltip("network:N"), alt.Tooltip("x:Q", title=title)]
    columns.append(alt.Tooltip("y:Q", title="density"))
    shown = alt.when(near).then(alt.value(1)).otherwise(alt.value(0))
    points = base.mark_point(filled=True, size=60).encode(
        tooltip=columns, opacity=shown
    )
    layers = lines.add_params(picked), points.add_params(near)
    figure = alt.layer(*layers).properties(height=260)
    alternative = f"Densities of the {title}, a line a network; medians: "
    return chart(figure, f"{alternative}{listed(medians)}.", caption)


def _line(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(x, density), from 0 on; of a network that is compared with itself a spike."""
    if np.ptp(values) == 0:
        return np.repeat(values[:1], 2), np.array([0.0, 1.0])
    grid, pdf = density(values, lowest=0.0)
    end = min(grid[-1], np.quantile(values, 0.999) + (grid[-1] - values.max()))
    x = np.linspace(grid[0], end, min(_POINTS, len(grid)))
    return x, np.interp(x, grid, pdf)


def _short(value: float) -> float:
    """Four digits: more would not show, and fill the page."""
    return float(f"{value:.4g}")
