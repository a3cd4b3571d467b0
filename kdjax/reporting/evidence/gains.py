"""What a student knows more, and less, than the same network trained on labels."""

import numpy as np

from kdjax.analysis.mcnemar import ImageDifference, by_class, image_difference
from kdjax.analysis.outputs import Compared
from kdjax.reporting.blocks import Chart, Section, Table
from kdjax.reporting.evidence.charts import LABEL_WIDTH, chart, colour, names_of

_MOST_CLASSES = 20  # that are drawn
_ROW = 13  # pixels of a student in a class


def gains(compared: Compared) -> Section | None:
    """Differences to the CE student: a table in all, dots with intervals by class."""
    if not compared.baseline_of:
        return None
    right = {
        name: one.logits.argmax(1) == compared.labels
        for name, one in compared.networks.items()
    }
    pairs = {
        name: (right[name], right[ce]) for name, ce in compared.baseline_of.items()
    }
    overall = {name: image_difference(*pair) for name, pair in pairs.items()}
    classes = {name: by_class(*pair, compared.labels) for name, pair in pairs.items()}
    blocks = [_table(compared, overall), _dots(compared, classes)]
    return Section("Gains and losses against training on labels alone", blocks)


def _table(compared: Compared, overall: dict[str, ImageDifference]) -> Table:
    columns = ("", "against", "difference", "95 % interval", "gained", "lost", "p")
    rows = [
        (
            name,
            compared.baseline_of[name],
            _points(one.difference),
            f"{_points(one.low)} to {_points(one.high)}",
            str(one.gained),
            str(one.lost),
            f"{one.p_value:.2g}",
        )
        for name, one in overall.items()
    ]
    caption = (
        f"Difference of the accuracy in percentage points, over {compared.images}: "
        "gained are images that only the student has right, lost those that only the "
        "network trained on labels has. The interval (Bonett and Price 2012) and p "
        "(McNemar's exact test) are over test images, of one training each: another "
        "seed of the training may give another difference."
    )
    if others := compared.other_optimizers:
        words = "; ".join(f"{name} ({one})" for name, one in others.items())
        caption += (
            " The optimizer or its schedule is another one than that of the network "
            f"trained on labels, and the difference may be due to that: {words}."
        )
    return Table(columns, rows, caption, text_columns=2)


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.2f}"


def _row(class_name: str, network: str, one: ImageDifference) -> dict:
    row = {"class": class_name, "network": network, "images": one.images}
    row |= {"gained": one.gained, "lost": one.lost}
    ends = {k: round(100 * getattr(one, k), 2) for k in ("difference", "low", "high")}
    return row | ends


def _dots(compared: Compared, classes: dict[str, dict[int, ImageDifference]]) -> Chart:
    import altair as alt

    labels = list(next(iter(classes.values())))
    mean = {k: np.mean([one[k].difference for one in classes.values()]) for k in labels}
    order = sorted(labels, key=lambda label: -mean[label])
    if len(order) > _MOST_CLASSES:
        order = order[: _MOST_CLASSES // 2] + order[-_MOST_CLASSES // 2 :]
    names = names_of(compared.class_names)
    rows = [
        _row(names[label], name, one[label])
        for name, one in classes.items()
        for label in order
    ]
    axis = alt.Axis(labelLimit=LABEL_WIDTH, title=None, grid=True, tickBand="extent")
    title = "difference in percentage points"
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("class:N", sort=[names[label] for label in order], axis=axis),
        yOffset=alt.YOffset("network:N").scale(domain=list(classes), paddingOuter=0.7),
        color=colour(compared, list(classes)),
    )
    tooltip = ["class:N", "network:N", "difference:Q", "low:Q", "high:Q", "gained:Q"]
    tooltip += ["lost:Q", "images:Q"]
    intervals = base.mark_rule(opacity=0.5).encode(x=alt.X("low:Q"), x2="high:Q")
    dots = base.mark_point(filled=True, size=45, opacity=1.0).encode(
        x=alt.X("difference:Q", title=title), tooltip=tooltip
    )
    zero = alt.Chart(alt.Data(values=[{"x": 0}])).mark_rule(
        strokeDash=[4, 4], opacity=0.7
    )
    zero = zero.encode(x="x:Q")
    step = max(_ROW * len(classes), 22)
    figure = alt.layer(zero, intervals, dots).properties(height=step * len(order))
    best, worst = order[0], order[-1]
    alternative = (
        "Dots with intervals, a row a class; in the mean over the students "
        f"{names[best]} gains most ({_points(mean[best])} points) and {names[worst]} "
        f"least ({_points(mean[worst])})."
    )
    return chart(figure, alternative, _caption(compared, len(labels), len(order)))


def _caption(compared: Compared, classes: int, shown: int) -> str:
    which = ""
    if shown < classes:
        which = (
            f" Of {classes} classes the {shown // 2} with the largest gains and the "
            f"{shown // 2} with the largest losses are drawn."
        )
    return (
        "The same by class, sorted by the mean gain; lines are intervals of 95 % over "
        f"the test images of the class.{which} One interval in 20 leaves out 0 by "
        "chance."
    )
