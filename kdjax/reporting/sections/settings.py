"""Accuracy over the temperatures and alphas that runs vary."""

import collections
import json
import math
import statistics

from kdjax.contracts import flat
from kdjax.reporting import charts
from kdjax.reporting.blocks import Chart, Section
from kdjax.reporting.grouping import trained_words
from kdjax.reporting.groups import Group, mean_text, parameter
from kdjax.reporting.results import numbered
from kdjax.reporting.same_images import apart_by_images
from kdjax.reporting.training_settings import training_settings

TAU, ALPHA, TOP1 = "temperature", "alpha", "test top-1 %"


def settings(groups: list[Group]) -> Section | None:
    blocks, title = [], "Temperature"
    families = _families(groups, (TAU, ALPHA))
    names = [own[0].first.method for own in families]
    for name, own in zip(_distinct(names, families), families, strict=True):
        if heatmap := _heatmap(name, own):
            blocks.append(heatmap)
            title = "Temperature and alpha"
    if line := _against_temperature(groups):
        blocks.append(line)
    return Section(title, blocks) if blocks else None


def _families(groups: list[Group], free: tuple[str, ...]) -> list[list[Group]]:
    """Groups of one training that differ in the `free` numbers only."""
    families = collections.defaultdict(list)
    for group in groups:
        numbers = [parameter(group.first, key) for key in free]
        if None in numbers or not group.values("top1"):
            continue
        leaves = flat(group.first.section)
        dropped = {f"method.{key}" for key in free} | {"seed"}
        rest = {key: value for key, value in leaves.items() if key not in dropped}
        rest |= training_settings(group.members[0].run.config)
        families[json.dumps(rest, sort_keys=True, default=str)].append(group)
    return [
        own
        for same in families.values()
        for own in apart_by_images(same, lambda group: group.members[0].run)
    ]


def _heatmap(name: str, groups: list[Group]) -> Chart | None:
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
    best = max(rows, key=lambda row: row["value"])
    alt = (
        f"Test accuracy of {name} by temperature and alpha: {len(rows)} cells, the "
        f"best at temperature {charts.number(best['x'])} and alpha "
        f"{charts.number(best['y'])} with {best['value']:.2f} %."
    )
    caption = f"{name}: test top-1 % by temperature and alpha, means over seeds."
    return Chart(charts.heatmap(rows, TAU, ALPHA, TOP1), alt, caption)


def _against_temperature(groups: list[Group]) -> Chart | None:
    rows, families = [], []
    for members in _families(groups, (TAU,)):
        if len({parameter(group.first, TAU) for group in members}) > 1:
            families.append(members)
    names = _distinct([_line_name(own[0]) for own in families], families)
    for name, members in zip(names, families, strict=True):
        at = collections.defaultdict(list)
        for group in members:
            at[parameter(group.first, TAU)] += group.values("top1")
        for tau in sorted(tau for tau in at if tau > 0):
            rows.append({"network": name, TAU: tau} | _spread(at[tau]))
    if not rows:
        return None
    best = max(rows, key=lambda row: row["value"])
    alt = (
        f"Test accuracy against the temperature of {', '.join(names)}; the best is "
        f"{best['value']:.2f} % at {charts.number(best[TAU])}."
    )
    places = {name: place for place, name in enumerate(names)}
    has_infinity = any(math.isinf(row[TAU]) for row in rows)
    caption = "Test top-1 against the temperature, on a log axis."
    caption += " \u221e is the limit, matching of logits." * has_infinity
    caption += " Bars: one sample deviation." * any("low" in row for row in rows)
    return Chart(charts.against_temperature(rows, places, TOP1), alt, caption)


def _spread(values: list[float]) -> dict:
    mean = statistics.fmean(values)
    row = {"value": mean, "text": mean_text(values)}
    if len(values) > 1:
        deviation = statistics.stdev(values)
        row |= {"low": mean - deviation, "high": mean + deviation}
    return row


def _line_name(group: Group) -> str:
    alpha = parameter(group.first, ALPHA)
    return group.first.method + ("" if alpha is None else f", alpha {alpha:g}")


def _distinct(names: list[str], families: list[list[Group]]) -> list[str]:
    """The names, those of several families with the settings that differ."""
    firsts = [own[0].members for own in families]
    full = []
    for name, own in zip(names, firsts, strict=True):
        same = [o for n, o in zip(names, firsts, strict=True) if n == name]
        full.append(", ".join([name, *trained_words(own, same)]))
    return numbered(full)
