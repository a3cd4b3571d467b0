"""Methods ranked by their paired differences over seeds against one of them."""

import math

from kdjax.analysis.paired import Difference, paired_difference
from kdjax.reporting import charts
from kdjax.reporting.blocks import Chart, Section, Table
from kdjax.reporting.comparable import other_optimizer, why_not_comparable
from kdjax.reporting.groups import Group

NEEDED = 3  # seeds, for an interval of any use: of two it is 12.7 standard errors wide
MOST = 4  # names of one kind in a sentence
NOISE, ONE_SEED = "within noise", "one seed: no statement"


def comparison(groups: list[Group], baseline: Group | None) -> Section | None:
    if baseline is None:
        return None
    own = baseline.by_seed("top1")
    pairs, left_out, otherwise = [], {}, {}
    for group in groups:
        if group is baseline or group.is_teacher:
            continue
        if why := why_not_comparable(group, baseline):
            left_out.setdefault(why, []).append(group.name)
        else:
            pairs.append((group, paired_difference(group.by_seed("top1"), own)))
            if words := other_optimizer(group, baseline):
                otherwise.setdefault(words, []).append(group.name)
    title, notes = f"Compared with {baseline.name}", []
    if left_out:
        notes = [f"Not compared with {baseline.name}: {_grouped(left_out)}."]
    if not pairs:
        return Section(title, notes) if notes else None
    pairs.sort(key=lambda pair: -pair[1].mean)
    starred = {name for names in otherwise.values() for name in names}
    statements = {g.name: verdict(one) + "*" * (g.name in starred) for g, one in pairs}
    rows = [
        (
            str(place),
            group.name,
            statements[group.name],
            f"{one.mean:+.2f}",
            _interval(one),
            str(one.pairs),
        )
        for place, (group, one) in enumerate(pairs, 1)
    ]
    columns = ("rank", "method", "statement", "difference", "95 % interval", "seeds")
    if all(one.pairs == 1 for _, one in pairs):  # no intervals
        columns, *rows = ((*row[:4], row[5]) for row in (columns, *rows))
    caption = _caption(pairs, baseline) + _of_optimizers(otherwise, baseline)
    table = Table(columns, rows, caption, text_columns=3)
    return Section(title, [_chart(pairs, statements, baseline), table, *notes])


def _grouped(names: dict[str, list[str]]) -> str:
    """Names by what they have in common: "a · b (a reason); c (another one)"."""
    parts = []
    for why, own in names.items():
        more = [f"{len(own) - MOST} more"] * (len(own) > MOST)
        parts.append(f"{' · '.join([*own[:MOST], *more])} ({why})")
    return "; ".join(parts)


def verdict(difference: Difference) -> str:
    """What can be said: above or below the baseline, or nothing yet."""
    if difference.pairs == 1:
        return ONE_SEED
    if difference.is_noise or difference.pairs < NEEDED:
        few = f", {difference.pairs} seeds are few" * (difference.pairs < NEEDED)
        return NOISE + few
    return "above" if difference.mean > 0 else "below"


def _interval(difference: Difference) -> str:
    if difference.pairs == 1:
        return "-"
    return f"{difference.low:+.2f} to {difference.high:+.2f}"


def _caption(pairs: list[tuple[Group, Difference]], baseline: Group) -> str:
    text = (
        f"Test top-1 in percentage points less that of {baseline.name} with the same "
        "seed; the mean over the seeds that both have."
    )
    if not baseline.is_finished:
        text += " Of runs that are not finished the last evaluation counts."
    if max(one.pairs for _, one in pairs) == 1:
        more = "Two runs of one seed say nothing of noise: train more seeds."
        return f"{text} {more}"
    text += (
        " Interval: Student's t over the seeds. A difference whose interval has 0 in "
        f"it, or of fewer than {NEEDED} seeds, is within noise."
    )
    if len(pairs) > 2:
        text += (
            f" Each of the {len(pairs)} intervals stands for itself: of 20 methods "
            "without effect one lies outside by chance."
        )
    return text


def _of_optimizers(names: dict[str, list[str]], baseline: Group) -> str:
    if not names:
        return ""
    return (
        f" * The optimizer or its schedule is another one than that of {baseline.name},"
        f" and the difference may be due to that: {_grouped(names)}."
    )


def _chart(
    pairs: list[tuple[Group, Difference]], statements: dict[str, str], baseline: Group
) -> Chart:
    rows = []
    for group, one in pairs:
        text = f"{_interval(one)}; " * (one.pairs > 1) + statements[group.name]
        row = {"network": group.name, "value": one.mean, "text": text}
        if math.isfinite(one.low):
            row |= {"low": one.low, "high": one.high}
        rows.append(row)
    title = "difference of the test top-1, points"
    words = [f"{g.name} {one.mean:+.2f} ({statements[g.name]})" for g, one in pairs]
    alt = f"Differences from {baseline.name} in points: {', '.join(words)}."
    dashed = f"Dashed: no difference from {baseline.name}."
    has_intervals = any("low" in row for row in rows)
    caption = "Dots: means; bars: 95 % intervals. " * has_intervals + dashed
    return Chart(charts.dots(rows, title, reference=0.0, y_format="+.2f"), alt, caption)
