"""The figures of the small study's page, from its records alone."""

import pathlib
import statistics
import sys
from collections.abc import Mapping

from kdjax.reporting.console import say
from kdjax.reproduce import pages

DIRECTORY = "figures"  # beside the page
# Students without labels at alpha 1, by temperature.
TEMPERATURES = {"kd_tau1": 1.0, "kd_tau3": 3.0, "kd": 4.0, "kd_tau5": 5.0}
TEMPERATURES |= {"kd_tau20": 20.0, "kd_inf": float("inf")}
KD = "KD without labels"
LEVELS = {"ce": "labels alone", "mse": "squared error"}
PLACES = {KD: 0, "labels alone": 1, "squared error": 2}
# Under noise: small and large temperature of each rule, then training on everything.
NOISY = ("kd_tau05", "kd_tau20", "dtd_la_small", "dtd_la", "proxy")
Values = Mapping[str, Mapping[int, float]]  # student -> seed -> number


def write(top1: Values, distance: Values, noisy: Values, beside: pathlib.Path) -> str:
    """Writes the figures that there are numbers for; returns their Markdown.

    `top1` and `distance` are of students with clean labels, `noisy` is top-1 of those
    with noisy ones. Nothing is drawn, which is said, where the packages are missing.
    """
    try:
        from kdjax.reporting.svg import write_svg
    except ModuleNotFoundError as error:
        text = f"reproduce: no figures: {error.name} is missing. Expected `pip install "
        say(f"{text}'PATH/TO/kdjax[train]'`; then --report draws them.", sys.stderr)
        return ""
    lines = []
    for name, chart in (
        ("small-accuracy-by-temperature", _by_temperature(top1, "test top-1 %")),
        ("small-distance-by-temperature", _by_temperature(distance, DISTANCE)),
        ("small-noise", _under_noise(noisy)),
    ):
        if chart is not None:
            write_svg(chart, beside / DIRECTORY / f"{name}.svg")
            image = f"![{pages.plain(chart.alt)}]({DIRECTORY}/{name}.svg)"
            lines.append(f"{image}\n\n{chart.caption}")
    return "\n\n".join(lines)


DISTANCE = "distance of the logits to the teacher's"


def _by_temperature(values: Values, title: str):
    """A chart of accuracy or distance; None of less than two temperatures."""
    from kdjax.reporting import charts
    from kdjax.reporting.blocks import Chart

    rows = [
        {"network": KD, "temperature": tau} | _spread(values[name].values())
        for name, tau in TEMPERATURES.items()
        if name in values
    ]
    if len(rows) < 2:
        return None
    levels = {
        label: statistics.fmean(values[name].values())
        for name, label in LEVELS.items()
        if name in values
    }
    spec = charts.against_temperature(rows, PLACES, title, levels)
    points = [f"{charts.number(r['temperature'])}: {r['text']}" for r in rows]
    points += [f"{label}: {value:.2f}" for label, value in levels.items()]
    caption = (
        f"Figure: {title} against the temperature, at alpha 1. Bars: one sample "
        "deviation over the seeds. Dashed: students without a temperature."
    )
    return Chart(spec, f"{title} by temperature. {'; '.join(points)}.", caption)


def _under_noise(values: Values):
    """A dot a student, with its seeds; None without a student of a noisy teacher."""
    from kdjax.reporting import charts
    from kdjax.reporting.blocks import Chart

    names = [name for name in NOISY if name in values]
    if not set(names) - {"proxy"}:
        return None
    rows = [{"network": name} | _spread(values[name].values()) for name in names]
    singles = [
        {"network": name, "run": f"seed {seed}", "value": value}
        for name in names
        for seed, value in values[name].items()
    ]
    title = "test top-1 %, 40 % symmetric noise"
    spec = charts.dots(rows, title, singles=singles)
    points = [f"{row['network']}: {row['text']}" for row in rows]
    caption = (
        f"Figure: {title}. A large dot is the mean, small ones are seeds, bars one "
        "sample deviation. `kd_tau05` and `dtd_la_small` have small temperatures, "
        "`proxy` has no teacher."
    )
    return Chart(spec, f"{title}. {'; '.join(points)}.", caption)


def _spread(numbers) -> dict:
    """Mean, its text, and the mean less and plus a sample deviation of several."""
    numbers = list(numbers)
    row = {"value": statistics.fmean(numbers), "text": pages.spread(numbers)}
    if len(numbers) > 1:
        deviation = statistics.stdev(numbers)
        row |= {"low": row["value"] - deviation, "high": row["value"] + deviation}
    return row
