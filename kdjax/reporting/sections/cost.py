"""How fast the runs were, and what their time went to."""

import statistics

from kdjax.reporting import charts
from kdjax.reporting.blocks import Chart, Section, Table
from kdjax.reporting.progress import duration
from kdjax.reporting.runs import Run
from kdjax.reporting.sections.run_names import programs
from kdjax.training.goodput import LOSSES, TOTAL

STEPS = "steps"
ROWS, BARS, POINTS = 20, 20, 1500  # of the table and the figures, at most
NOTES = {  # of the columns
    "goodput": "goodput is the share of the wall time that went to training steps",
    "images/s": "images/s is the median of the rows, of all students together",
    "input wait %": "input wait is the share of the time in which the devices had no "
    "images",
    "skipped": "skipped are the steps that changed nothing, as of a loss that was not "
    "finite",
}
RATE, WAIT = "train/images_per_second", "train/input_percent"


def cost(runs: list[Run]) -> Section | None:
    runs, of_programs = programs(runs)
    rows = [row for run in runs if (row := _row(run))]
    if not rows:
        return None
    columns = ("run", "wall time", *NOTES)
    kept = [i for i in range(len(columns)) if any(row[i] != "-" for row in rows)]
    notes = "; ".join(NOTES[columns[i]] for i in kept if columns[i] in NOTES)
    caption = f"{notes[:1].upper()}{notes[1:]}." * bool(notes)
    if of_programs:
        caption += f" Trials of a sweep that share a program are one row: {of_programs}"
    cells = [[row[i] for i in kept] for row in rows[:ROWS]]
    if len(rows) > ROWS:
        caption += f" The first {ROWS} of {len(rows)} runs."
    blocks = [Table([columns[i] for i in kept], cells, caption)]
    blocks += [chart for chart in (_time(runs[:BARS]), _speed(runs[:BARS])) if chart]
    return Section("Throughput and time", blocks)


def _row(run: Run) -> list[str] | None:
    if not run.rows:
        return None
    spent = _seconds(run)
    total = sum(spent.values()) or run.rows[-1]["seconds"]
    goodput = f"{100 * spent[STEPS] / total:.1f} %" if spent and total else "-"
    students = run.summary.get("students", {}).values()
    skipped = [row["skipped_steps"]["steps"] for row in students if _skipped(row)]
    rates, waits = _median(run, RATE), _median(run, WAIT)
    return [
        run.name,
        duration(total),
        goodput,
        "-" if rates is None else f"{rates:,.0f}",
        "-" if waits is None else f"{waits:.1f}",
        f"{sum(skipped):g}" if skipped else "-",
    ]


def _skipped(row: dict) -> bool:
    return "steps" in (row.get("skipped_steps") or {})


def _median(run: Run, key: str) -> float | None:
    values = [row[key] for row in run.rows if isinstance(row.get(key), int | float)]
    return statistics.median(values) if values else None


def _seconds(run: Run) -> dict[str, float]:
    """What the wall time of a run went to, until its last row."""
    time = run.summary.get("time", {})
    lost = dict(time.get("lost_seconds", {}))
    total = time.get("seconds")
    if total is None:
        rows = [row["time"] for row in run.rows if TOTAL in row.get("time", ())]
        if not rows:
            return {}
        lost = {key: value for key, value in rows[-1].items() if key != TOTAL}
        total = rows[-1][TOTAL]
    return {STEPS: max(total - sum(lost.values()), 0.0)} | lost


def _time(runs: list[Run]) -> Chart | None:
    kinds = (STEPS, *LOSSES)
    rows = [
        {"run": run.name, "kind": kind, "seconds": spent, "text": f"{spent:,.1f}"}
        for run in runs
        for kind, spent in _seconds(run).items()
        if kind in kinds and spent > 0
    ]
    if not rows:
        return None
    most = max(rows, key=lambda row: row["seconds"])
    alt = (
        f"Seconds of {len({row['run'] for row in rows})} runs by what they went to; "
        f"the largest part is {most['kind']} of {most['run']}, {most['text']} s."
    )
    used = [kind for kind in kinds if any(row["kind"] == kind for row in rows)]
    lost = "; ".join(f"{kind}: {LOSSES[kind]}" for kind in used if kind in LOSSES)
    caption = f"What the wall time went to. {lost}."
    return Chart(charts.shares(rows, used, "seconds"), alt, caption)


def _speed(runs: list[Run]) -> Chart | None:
    rows, places = [], {}
    for place, run in enumerate(runs):
        own = [row for row in run.rows if isinstance(row.get(RATE), int | float)]
        every = -(-len(own) * len(runs) // POINTS) or 1
        for row in own[::-1][::every][::-1]:
            point = {"network": run.name, "run": run.name, "epoch": row["epoch"]}
            rows.append(point | {"value": charts.short(row[RATE])})
            places[run.name] = place
    if not rows:
        return None
    title = "images per second"
    spec = charts.curves(rows, places, title, y_format=",.0f", zero=True)
    timed = [run for run in runs if run.name in places]
    words = [f"{run.name} {_median(run, RATE):,.0f}" for run in timed]
    alt = f"Images per second against epochs; medians: {', '.join(words[:12])}."
    return Chart(spec, alt, "Training images per second, without evaluation.")
