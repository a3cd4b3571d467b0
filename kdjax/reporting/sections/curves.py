"""Accuracies, losses, learning rates and temperatures over the epochs."""

from collections.abc import Iterable

from kdjax.reporting import charts
from kdjax.reporting.blocks import Chart, Section
from kdjax.reporting.groups import Group, Member
from kdjax.reporting.results import series

MOST = 250  # points of a line
LEGEND = "Click a name to see it alone."


def curves(groups: list[Group]) -> Section | None:
    blocks = [
        _chart(groups, "eval/top1", "Test accuracy", "test top-1 %"),
        _chart(groups, "train/loss", "Training objective", "objective", log=True),
        _chart(groups, "eval/loss", "Test cross entropy", "cross entropy, nats"),
        _chart(groups, "eval/agreement", "Agreement with the teacher", "agreement %"),
        *_loss_terms(groups),
    ]
    blocks = [block for block in blocks if block]
    return Section("Training curves", blocks) if blocks else None


def rates(groups: list[Group]) -> Section | None:
    """Temperatures and learning rates, where runs have logged them."""
    charts_of = [_temperature(groups)]
    for key in _keys(groups, "train/learning_rate"):
        name = key.removeprefix("train/").replace("_", " ").capitalize()
        chart = _chart(groups, key, name, "learning rate", y_format=".3~g", zero=True)
        charts_of.append(chart)
    blocks = [chart for chart in charts_of if chart]
    return Section("Temperatures and learning rates", blocks) if blocks else None


def _loss_terms(groups: list[Group]) -> Iterable[Chart | None]:
    """A figure a term of an objective, but of objectives with one term."""
    several = set()
    for group in groups:
        keys = _keys([group], "train/loss/")
        several |= set(keys) if len(keys) > 1 else set()
    for key in sorted(several):
        name = key.removeprefix("train/loss/").replace("_", " ")
        yield _chart(groups, key, f"Loss term: {name}", name, log=True)


def _temperature(groups: list[Group]) -> Chart | None:
    for mark in ("/", "_"):
        key = f"train/temperature{mark}"
        ends = (f"{key}min", f"{key}max")
        chart = _chart(groups, f"{key}mean", "Temperature", "temperature", ends=ends)
        if chart:
            return chart
    return _chart(groups, "train/temperature", "Temperature", "temperature")


def _keys(groups: list[Group], start: str) -> list[str]:
    """Metrics of any member, such as "train/loss/hard_label", by how they start."""
    space, prefix = start.split("/", 1)
    keys = {}
    for member in (member for group in groups for member in group.members):
        own = f"{space}/{member.result.student}/"
        for row in member.result.rows:
            for key in row:
                if key.startswith(own + prefix):
                    keys[f"{space}/{key.removeprefix(own)}"] = None
    return list(keys)


def _chart(
    groups: list[Group],
    key: str,
    name: str,
    title: str,
    *,
    log: bool = False,
    ends: tuple[str, str] | None = None,
    **options,
) -> Chart | None:
    """One metric of every network that has it; None where none has."""
    rows, places, thinned = [], {}, 1
    for place, group in enumerate(groups):
        for member in group.members:
            points = _points(member, key, ends)
            every = -(-len(points) // MOST)
            thinned = max(thinned, every)
            kept = points[::-1][::every][::-1] if every else []
            rows += [{"network": group.name, "run": member.name} | p for p in kept]
            if kept:
                places[group.name] = place
    if not rows:
        return None
    # Objectives of different methods differ in scale by orders of magnitude.
    log = log and all(row["value"] > 0 for row in rows)
    band = any("low" in row for row in rows)
    options = {"y_format": ".4~g" if log else ".2f"} | options
    spec = charts.curves(rows, places, title, log=log, band=band, **options)
    last = [f"{g} {v:.4g}" for g, v in _last(rows).items()]
    alt = f"{name} against epochs; at the end: {', '.join(last[:12])}."
    caption = f"{name}{', log axis' * log}." + " Area: least to largest." * band
    caption += f" Every {thinned}th row is shown." * (thinned > 1)
    caption += f" {LEGEND}" * (len(places) > 1)
    return Chart(spec, alt, caption)


def _points(member: Member, key: str, ends: tuple[str, str] | None) -> list[dict]:
    epochs, values = series(member.result, key)
    points = [{"epoch": x, "value": y} for x, y in zip(epochs, values, strict=True)]
    for name, end in zip(("low", "high"), ends or (), strict=False):
        own = dict(zip(*series(member.result, end), strict=True))
        for point in points:
            point |= {name: own[point["epoch"]]} if point["epoch"] in own else {}
    return points


def _last(rows: list[dict]) -> dict[str, float]:
    return {row["network"]: row["value"] for row in rows}
