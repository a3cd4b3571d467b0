"""Accuracies, losses, learning rates and temperatures over the epochs."""

from collections.abc import Iterable

from kdjax.reporting import charts
from kdjax.reporting.blocks import Chart, Section
from kdjax.reporting.groups import Group, Member
from kdjax.reporting.results import series

POINTS, FEWEST = 1000, 20  # of a figure; of a line, however many there are
NETWORKS = 21  # in a figure: three times the colours
MOST_BANDS = 6  # areas in a figure; more cannot be distinguished
LEGEND = "Click a name to see it alone."


def curves(groups: list[Group]) -> Section | None:
    everything, groups = groups, _best(groups)
    blocks = [
        _chart(groups, "eval/top1", "Test accuracy", "test top-1 %"),
        _chart(groups, "train/loss", "Training objective", "objective", log=True),
        _chart(groups, "eval/loss", "Test cross entropy", "cross entropy, nats"),
        _chart(groups, "eval/agreement", "Agreement with the teacher", "agreement %"),
        *_loss_terms(groups),
    ]
    blocks = [block for block in blocks if block]
    if blocks and len(groups) < len(everything):
        note = f"Of {len(everything)} networks the {len(groups)} best are drawn."
        blocks.insert(0, note)
    return Section("Training curves", blocks) if blocks else None


def rates(groups: list[Group]) -> Section | None:
    """Temperatures and learning rates, where runs have logged them."""
    groups = _best(groups)
    charts_of = [_temperature(groups)]
    for key in _keys(groups, "train/learning_rate"):
        name = key.removeprefix("train/").replace("_", " ").capitalize()
        chart = _chart(groups, key, name, "learning rate", y_format=".3~g", zero=True)
        charts_of.append(chart)
    blocks = [chart for chart in charts_of if chart]
    return Section("Temperatures and learning rates", blocks) if blocks else None


def _best(groups: list[Group]) -> list[Group]:
    """Those with the largest mean accuracies, in their order; teachers first."""

    def rank(group: Group) -> tuple[bool, float]:
        return not group.is_teacher, -group.mean("top1")

    best = sorted(groups, key=rank)[:NETWORKS]
    return [group for group in groups if group in best]


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
    has_bands = sum(len(group.members) for group in groups) <= MOST_BANDS
    lines = [
        (place, group.name, label, points)
        for place, group in enumerate(groups)
        for label, member in zip(group.labels(), group.members, strict=True)
        if (points := _points(member, key, ends if has_bands else None))
    ]
    if not lines:
        return None
    places = {network: place for place, network, *_ in lines}
    most = max(POINTS // len(lines), FEWEST)
    every = -(-max(len(points) for *_, points in lines) // most)
    rows = [
        {"network": network, "run": run} | point
        for _, network, run, points in lines
        for point in points[::-1][::every][::-1]  # the last one is among them
    ]
    # Objectives of different methods differ in scale by orders of magnitude.
    log = log and all(row["value"] > 0 for row in rows)
    band = any("low" in row for row in rows)
    options = {"y_format": ".4~g" if log else ".2f"} | options
    options["teachers"] = {group.name for group in groups if group.is_teacher}
    spec = charts.curves(rows, places, title, log=log, band=band, **options)
    last = [f"{g} {v:.4g}" for g, v in _last(rows).items()]
    alt = f"{name} against epochs; at the end: {', '.join(last[:12])}."
    caption = f"{name}{', log axis' * log}." + " Area: least to largest." * band
    caption += f" One point of {every} is shown." * (every > 1)
    caption += f" {LEGEND}" * (len(places) > 1)
    return Chart(spec, alt, caption)


def _points(member: Member, key: str, ends: tuple[str, str] | None) -> list[dict]:
    epochs, values = series(member.result, key)
    points = [
        {"epoch": x, "value": charts.short(y)}
        for x, y in zip(epochs, values, strict=True)
    ]
    for name, end in zip(("low", "high"), ends or (), strict=False):
        own = dict(zip(*series(member.result, end), strict=True))
        for point in points:
            if point["epoch"] in own:
                point[name] = charts.short(own[point["epoch"]])
    return points


def _last(rows: list[dict]) -> dict[str, float]:
    return {row["network"]: row["value"] for row in rows}
