"""The result table over methods and seeds, and a dot a method."""

import statistics

from kdjax.reporting import charts
from kdjax.reporting.blocks import Chart, Section, Table
from kdjax.reporting.groups import Group, mean_text, model_labels
from kdjax.reporting.same_images import same_images
from kdjax.reporting.sections.teachers import (
    common_teacher,
    teacher_words,
    teachers,
)

TOP1, AGREEMENT = "test top-1 %", "agreement %"
NOTES = {
    TOP1: "Test top-1 is that of the last epoch.",
    "best %": "Best is the largest of all evaluations: chosen on the test images "
    "themselves, so it flatters.",
    AGREEMENT: "Agreement is the share of test images on which student and teacher "
    "have the same first class.",
}


def scores(groups: list[Group]) -> Section | None:
    scored = [group for group in groups if group.values("top1") or group.best()]
    scored.sort(key=lambda group: (not group.is_teacher, -group.mean("top1")))
    if not scored:
        return None
    of_each = teachers(groups)
    networks = set().union(*(of_each[g.name] for g in scored if not g.is_teacher))
    reference = common_teacher(networks, groups)
    words = {
        group.name: "-" if reference else teacher_words(of_each[group.name], groups)
        for group in scored
    }
    blocks = [_table(scored, words)]
    if chart := _chart(scored, reference):
        blocks.insert(0, chart)
    return Section("Results", blocks)


def _table(groups: list[Group], teacher_of: dict[str, str]) -> Table:
    columns = ["", "method", "network", "teacher", TOP1, "best %", "at epoch"]
    columns += [AGREEMENT, "published %", "seconds"]
    models = model_labels([group.first for group in groups])
    rows = [
        _row(group, model, teacher_of[group.name])
        for group, model in zip(groups, models, strict=True)
    ]
    # What no row has is left out.
    kept = [i for i in range(len(columns)) if any(row[i] != "-" for row in rows)]
    columns, *rows = ([line[i] for i in kept] for line in (columns, *rows))
    text_columns = columns.index(TOP1) if TOP1 in columns else 1
    return Table(columns, rows, _caption(groups, columns), text_columns)


def _row(group: Group, model: str, teacher: str) -> list[str]:
    best, first = group.best(), group.first
    # An epoch that does not end with a step is a fraction of one late.
    at = [f"{round(epoch, 1):g}" for epoch in sorted({epoch for _, epoch in best})]
    results = [member.result for member in group.members]
    published = {r.published["top1"] for r in results if r.published}
    seconds = [m.result.seconds / m.result.students for m in group.counted]
    is_named = not group.is_teacher or group.name == "teacher"
    name = group.name if is_named else f"{group.name} (teacher)"
    return [
        name + ("" if group.is_finished else " (not finished)"),
        first.method or "-",
        model or "-",
        teacher,
        mean_text(group.values("top1")),
        mean_text([top1 for top1, _ in best]),
        (at[0] if len(at) == 1 else f"{at[0]} to {at[-1]}") if at else "-",
        mean_text(group.values("agreement")),
        ", ".join(f"{top1:.2f}" for top1 in sorted(published)) or "-",
        f"{statistics.fmean(seconds):,.1f}",
    ]


def _caption(groups: list[Group], columns: list[str]) -> str:
    notes = [text for column, text in NOTES.items() if column in columns]
    if any(len(group.members) > 1 for group in groups):
        notes.append("Mean ± sample deviation (number of runs).")
    if any(len(g.by_seed("top1")) < len(g.values("top1")) for g in groups):
        notes.append("Some of these runs have the same seed.")
    tests = [group.images("test") for group in groups]
    if not all(same_images(one, tests[0]) for one in tests):
        notes.append("The test images are not the same: compare within one set only.")
    results = [member.result for group in groups for member in group.members]
    sources = dict.fromkeys(r.published["source"] for r in results if r.published)
    notes += [f"Published: {'; '.join(sources)}."] if sources else []
    if any(result.students > 1 for result in results):
        notes.append(
            "Students of one run train in one program: seconds are each one's equal "
            "share of it."
        )
    return " ".join(notes)


def _chart(groups: list[Group], teacher: list[float]) -> Chart | None:
    pairs = [(g, v) for g in groups if not g.is_teacher and (v := g.values("top1"))]
    if not pairs:
        return None
    rows, singles = [], []
    for group, values in pairs:
        mean = statistics.fmean(values)
        row = {"network": group.name, "value": mean, "text": mean_text(values)}
        if len(values) > 1:
            deviation = statistics.stdev(values)
            row |= {"low": mean - deviation, "high": mean + deviation}
            seeds = zip(group.labels(), group.members, strict=True)
            singles += [
                {"network": group.name, "run": label, "value": top1}
                for label, member in seeds
                if member in group.counted
                and (top1 := member.result.metrics.get("top1")) is not None
            ]
        rows.append(row)
    reference = statistics.fmean(teacher) if teacher else None
    best, last = rows[0], rows[-1]
    alt = (
        f"Test accuracy of {len(rows)} networks, from {best['network']} with "
        f"{best['value']:.2f} % to {last['network']} with {last['value']:.2f} %."
    )
    parts = ["Test accuracy after the last epoch."]
    parts += ["Bars: one sample deviation; rings: single runs."] * bool(singles)
    if teacher:
        mean = f" (mean of {len(teacher)} seeds)" if len(teacher) > 1 else ""
        parts.append(f"Dashed: the teacher, {reference:.2f} %{mean}.")
    spec = charts.dots(rows, TOP1, singles=singles, reference=reference)
    return Chart(spec, alt, " ".join(parts))
