"""The kinds of figures of a report: curves, dots with intervals, heatmaps.

Colours are the page's: "var(--c1)" to "var(--c7)" in the order of Okabe and Ito.
"""

import math
from collections.abc import Collection, Mapping, Sequence

import altair as alt

COLOURS = 7
HOVER = "hover"  # the name of what is selected by a pointer
_DASHES = ([1, 0], [2, 2], [8, 3, 2, 3])  # where colours repeat, these differ
_TEACHER = [6, 3]
_ROW = 30  # pixels of a row of dots
INFINITY = "\u221e"
_LEGEND = alt.Legend(title=None, symbolType="stroke", symbolOpacity=1)


def colour(index: int) -> str:
    """The page's colour of a network, in text that CSS and SVG understand."""
    return f"var(--c{index % COLOURS + 1})"


def field(name: str, title: str | None = None, **options) -> alt.Tooltip:
    return alt.Tooltip(name, title=title or name, **options)


def curves(
    rows: Sequence[Mapping],
    places: Mapping[str, int],
    title: str,
    *,
    y_format: str = ".2f",
    log: bool = False,
    zero: bool = False,
    band: bool = False,
    teachers: Collection[str] = (),
) -> dict:
    """A line a network against epochs, with the nearest point's values on hover.

    Rows have "network" (in the legend), "run" (one line each of a network), "epoch" and
    "value"; with `band` also "low" and "high", an area behind the line. `places` gives
    each network its colour; the lines of `teachers` are dashed. A click in the legend
    shows one network alone.
    """
    names = [name for name in places if any(row["network"] == name for row in rows)]
    picked = alt.selection_point(fields=["network"], bind="legend", name="picked")
    near = alt.selection_point(
        nearest=True, on="pointerover", clear="pointerout", empty=False, name=HOVER
    )
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(zero=zero)
    # Of one epoch the axis would have no length, and a rounded number at its middle.
    is_one = len({row["epoch"] for row in rows}) == 1
    base = alt.Chart(alt.Data(values=list(rows))).encode(
        x=alt.X("epoch:Q", title="epoch", scale=alt.Scale(nice=False, zero=is_one)),
        y=alt.Y("value:Q", title=title, scale=scale),
        color=_by_network(names, places),
        detail=["network:N", "run:N"],
    )
    faint = alt.when(picked).then(alt.value(1)).otherwise(alt.value(0.12))
    point = alt.OverlayMarkDef(size=22) if len(rows) <= 120 else False
    line = base.mark_line(strokeWidth=2, point=point).encode(opacity=faint)
    if teachers or max(places[name] for name in names) >= COLOURS:
        line = line.encode(strokeDash=_dash(names, places, teachers))
    tooltip = [field("network:N"), field("run:N"), field("epoch:Q", format=".4~g")]
    tooltip += [field("value:Q", title, format=y_format)]
    if band:
        tooltip += [field("low:Q", format=y_format), field("high:Q", format=y_format)]
    shown = alt.when(near).then(alt.value(1)).otherwise(alt.value(0))
    points = base.mark_point(filled=True, size=60, opacity=1).encode(
        opacity=shown, tooltip=tooltip
    )
    layers = [line.add_params(picked), points.add_params(near)]
    if band:
        area = base.mark_area(opacity=0.15).encode(
            y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q"
        )
        layers.insert(0, area)
    return _spec(alt.layer(*layers), 260)


def _by_network(names: list[str], places: Mapping[str, int]) -> alt.Color:
    scale = alt.Scale(domain=names, range=[colour(places[name]) for name in names])
    return alt.Color("network:N", scale=scale, legend=_LEGEND)


def _dash(names: list[str], places: Mapping, teachers: Collection) -> alt.StrokeDash:
    dashes = [
        _TEACHER
        if name in teachers
        else _DASHES[places[name] // COLOURS % len(_DASHES)]
        for name in names
    ]
    scale = alt.Scale(domain=names, range=dashes)
    return alt.StrokeDash("network:N", scale=scale, legend=_LEGEND)


def dots(
    rows: Sequence[Mapping],
    title: str,
    *,
    singles: Sequence[Mapping] = (),
    reference: float | None = None,
    y_format: str = ".2f",
) -> dict:
    """A dot a network on a common axis, from the top down in the order of the rows.

    Rows have "network", "value", "text" (on hover) and, where there is an interval,
    "low" and "high". `singles` are smaller dots of "network", "value" and "run";
    `reference` is a vertical line.
    """
    order = [row["network"] for row in rows]
    y = alt.Y("network:N", sort=order, title=None, axis=alt.Axis(grid=True))
    scale = alt.Scale(zero=False, nice=True, padding=12)
    x = alt.X("value:Q", title=title, scale=scale)
    base = alt.Chart(alt.Data(values=list(rows))).encode(y=y)
    layers = []
    if reference is not None:
        line = alt.Chart(alt.Data(values=[{"value": reference}]))
        layers.append(line.mark_rule(strokeDash=[4, 4], opacity=0.7).encode(x=x))
    tooltip = [field("network:N"), field("value:Q", title, format=y_format)]
    if any("low" in row for row in rows):
        ends = base.transform_filter("isValid(datum.low)").encode(
            x=alt.X("low:Q", title=title, scale=scale), x2="high:Q"
        )
        layers.append(ends.mark_rule(strokeWidth=2, color=colour(0)))
    if singles:
        own = alt.Chart(alt.Data(values=list(singles))).encode(x=x, y=y)
        tips = [field("run:N"), field("value:Q", title, format=y_format)]
        layers.append(
            own.mark_point(size=35, opacity=0.6, color=colour(0)).encode(tooltip=tips)
        )
    big = base.mark_point(filled=True, size=90, opacity=1, color=colour(0))
    layers.append(big.encode(x=x, tooltip=[*tooltip, field("text:N", "note")]))
    return _spec(alt.layer(*layers), _ROW * len(rows))


def heatmap(rows: Sequence[Mapping], x: str, y: str, title: str) -> dict:
    """A cell for each pair of settings, its value written in it.

    Rows have "x" and "y" (numbers, which may be infinite), "value" and "text".
    """
    cells = [row | {"x": number(row["x"]), "y": number(row["y"])} for row in rows]
    order = {key: _sorted({row[key] for row in rows}) for key in ("x", "y")}
    middle = (min(r["value"] for r in rows) + max(r["value"] for r in rows)) / 2
    base = alt.Chart(alt.Data(values=cells)).encode(
        x=alt.X("x:O", title=x, sort=order["x"], axis=alt.Axis(labelAngle=0)),
        y=alt.Y("y:O", title=y, sort=order["y"][::-1]),
        tooltip=[field("x:N", x), field("y:N", y), field("text:N", title)],
    )
    legend = alt.Legend(title=None, orient="right", format=".1f")
    scale = alt.Scale(scheme="viridis", zero=False)
    rect = base.mark_rect().encode(alt.Color("value:Q", scale=scale, legend=legend))
    over = alt.when(alt.datum.value > middle).then(alt.value("#000"))
    text = base.mark_text(fontSize=12).encode(
        text=alt.Text("value:Q", format=".2f"), color=over.otherwise(alt.value("#fff"))
    )
    return _spec(alt.layer(rect, text), 40 * len(order["y"]))


def against_temperature(
    rows: Sequence[Mapping],
    places: Mapping[str, int],
    title: str,
    levels: Mapping[str, float] | None = None,
) -> dict:
    """A line a network against the temperature, on a log axis that ends in infinity.

    Rows have "network", "temperature" (above 0, perhaps infinite), "value" and "text",
    and "low" and "high" where there is an interval. `levels` are networks that have no
    temperature, with their values: dashed lines.
    """
    levels = levels or {}
    finite = [r["temperature"] for r in rows if math.isfinite(r["temperature"])]
    end = 4 * max(finite, default=1.0)
    placed = [
        row | {"at": min(row["temperature"], end), "tau": number(row["temperature"])}
        for row in rows
    ]
    values = sorted({row["at"] for row in placed})
    label = f"datum.value >= {0.99 * end} ? '{INFINITY}' : format(datum.value, '~g')"
    axis = alt.Axis(values=values, labelExpr=label, labelOverlap=True)
    here = {*levels, *(row["network"] for row in rows)}
    names = [name for name in places if name in here]
    base = alt.Chart(alt.Data(values=placed)).encode(
        x=alt.X(
            "at:Q",
            title="temperature",
            scale=alt.Scale(type="log", nice=False),
            axis=axis,
        ),
        y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False)),
        color=_by_network(names, places),
        tooltip=[field("network:N"), field("tau:N"), field("text:N", title)],
    )
    ends = base.transform_filter("isValid(datum.low)").encode(
        y=alt.Y("low:Q", title=title, scale=alt.Scale(zero=False)), y2="high:Q"
    )
    layers = [base.mark_line(strokeWidth=2)]
    if any("low" in row for row in rows):
        layers.append(ends.mark_rule(strokeWidth=1.5))
    layers.append(base.mark_point(filled=True, size=70, opacity=1))
    if levels:
        flat = [{"network": name, "value": value} for name, value in levels.items()]
        rule = alt.Chart(alt.Data(values=flat)).mark_rule(strokeDash=_TEACHER)
        y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False))
        layers.append(rule.encode(y=y, color=_by_network(names, places)))
    return _spec(alt.layer(*layers), 260)


def shares(rows: Sequence[Mapping], kinds: Sequence[str], title: str) -> dict:
    """Stacked bars from 0 of what each run's time went to.

    Rows have "run", "kind", "seconds" and "text"; `kinds` are in the order of the bar.
    """
    runs = list(dict.fromkeys(row["run"] for row in rows))
    colours = [colour(i) for i in range(len(kinds))]
    scale = alt.Scale(domain=list(kinds), range=colours)
    placed = [row | {"place": kinds.index(row["kind"])} for row in rows]
    bars = alt.Chart(alt.Data(values=placed)).mark_bar(height=16)
    chart = bars.encode(
        x=alt.X("seconds:Q", title=title),
        y=alt.Y("run:N", sort=runs, title=None),
        color=alt.Color("kind:N", scale=scale, legend=alt.Legend(title=None)),
        order="place:Q",
        tooltip=[field("run:N"), field("kind:N"), field("text:N", "seconds")],
    )
    return _spec(chart, _ROW * len(runs))


def _spec(chart: alt.TopLevelMixin, height: int) -> dict:
    # Its check against the schema takes as long as all the rest; a test makes it.
    return chart.properties(height=height).to_dict(validate=False)


def number(value: float) -> str:
    """0.5 -> "0.5", infinity -> its sign."""
    return INFINITY if math.isinf(value) else f"{value:g}"


def short(value: float) -> float:
    """The value to five digits: a page has thousands of them."""
    return float(f"{value:.5g}")


def _sorted(values: set[float]) -> list[str]:
    return [number(value) for value in sorted(values)]
