"""Accuracy over the temperatures and alphas that runs vary."""

import collections
import json
import math
import statistics

from kdjax.contracts import flat
from kdjax.reporting import charts
from kdjax.reporting.blocks import Chart, Section
from kdjax.reporting.groups import Group, mean_text, parameter

TAU, ALPHA, TOP1 = "temperature", "alpha", "test top-1 %"


def settings(groups: list[Group]) -> Section | None:
    blocks, title = [], "Temperature"
    for groups_of_one in _families(groups, (TAU, ALPHA)).values():
        if heatmap := _heatmap(groups_of_one):
            blocks.append(heatmap)
            title = "Temperature and alpha"
    if line := _against_temperature(groups):
        blocks.append(line)
    return Section(title, blocks) if blocks else None


def _families(groups: list[Group], free: tuple[str, ...]) -> dict[str, list[Group]]:
    """Groups of one network and method that differ in the `free` numbers only."""
    families = collections.defaultdict(list)
    for group in groups:
        numbers = [parameter(group.first, key) for key in free]
        if None in numbers or not group.values("top1"):
            continue
        leaves = flat(group.first.section)
        dropped = {f"method.{key}" for key in free} | {"seed"}
        rest = {key: value for key, value in leaves.items() if key not in dropped}
        families[json.dumps(rest, sort_keys=True, default=str)].append(group)
    return families


def _heatmap(groups: list[Group]) -> Chart | None:
    cells = collections.defaultdict(list)
    for group in groups:
        key = parameter(group.first, TAU), parameter(group.first, ALPHA)
        cells[key] += group.values("top1")
    taus, alphas = ({key[i] for key in cells} for i in (0, 1))
    if len(taus) < 2 or len(alphas) < 2:
        return None
    rows = [
        {"x": x, "y": y, "value": statistics.fmean(v), "text": mean_text(v)}
        for (x, y), v in cells.items()
    ]
    best, method = max(rows, key=lambda row: row["value"]), groups[0].first.method
    alt = (
        f"Test accuracy of {method} by temperature and alpha: {len(rows)} cells, the "
        f"best at temperature {charts.number(best['x'])} and alpha "
        f"{charts.number(best['y'])} with {best['value']:.2f} %."
    )
    caption = f"{method}: test top-1 % by temperature and alpha, means over seeds."
    return Chart(charts.heatmap(rows, TAU, ALPHA, TOP1), alt, caption)


def _against_temperature(groups: list[Group]) -> Chart | None:
    rows, names = [], {}
    for members in _families(groups, (TAU,)).values():
        at = collections.defaultdict(list)
        for group in members:
            at[parameter(group.first, TAU)] += group.values("top1")
        if len(at) < 2:
            continue
        name = _line_name(members[0], names)
        names[name] = len(names)
        for tau in sorted(tau for tau in at if tau > 0):
            rows.append({"network": name, TAU: tau} | _spread(at[tau]))
    if not rows:
        return None
    best = max(rows, key=lambda row: row["value"])
    alt = (
        f"Test accuracy against the temperature of {', '.join(names)}; the best is "
        f"{best['value']:.2f} % at {charts.number(best[TAU])}."
    )
    has_infinity = any(math.isinf(row[TAU]) for row in rows)
    caption = "Test top-1 against the temperature, on a log axis."
    caption += " \u221e is the limit, matching of logits." * has_infinity
    caption += " Bars: one sample deviation." * any("low" in row for row in rows)
    return Chart(charts.against_temperature(rows, names, TOP1), alt, caption)


def _spread(values: list[float]) -> dict:
    mean = statistics.fmean(values)
    row = {"value": mean, "text": mean_text(values)}
    if len(values) > 1:
        deviation = statistics.stdev(values)
        row |= {"low": mean - deviation, "high": mean + deviation}
    return row


def _line_name(group: Group, taken: dict[str, int]) -> str:
    alpha = parameter(group.first, ALPHA)
    name = group.first.method + ("" if alpha is None else f", alpha {alpha:g}")
    return f"{name} ({len(taken) + 1})" if name in taken else name
