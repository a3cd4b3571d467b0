"""What a rule did: the targets that it changed, the samples that it selected."""

from typing import NamedTuple

import numpy as np

from kdjax.reporting.blocks import Chart, Section, Table
from kdjax.reporting.evidence.charts import chart, percent
from kdjax.reporting.evidence.thumbnails import ImageAt, gallery

_IMAGES = 6  # of a gallery
_BINS = 40  # of a histogram


class ChangedTargets(NamedTuple):
    """The training images on which a rule put another class on top of the target."""

    student: str
    temperature: float  # of the probabilities below
    looked_at: int  # images, evenly spaced in the training split
    teacher_wrong: int  # of those
    rows: np.ndarray  # [m] of `image_at`: the rest is of these images
    label: np.ndarray  # [m]
    teacher_class: np.ndarray  # [m], its most probable one
    teacher_probability: np.ndarray  # [m], of that class
    target_class: np.ndarray  # [m], the target's largest entry
    target_probability: np.ndarray  # [m], of that class


class SelectedSamples(NamedTuple):
    """Which training samples were selected for a student."""

    student: str
    what: str  # they are selected for
    keep: np.ndarray  # bool [n]
    label: np.ndarray  # [n], that is trained on
    true_label: np.ndarray | None  # [n], where labels are noisy and these are known
    score: np.ndarray | None  # [n], larger is kept; of earlier versions there is none
    agreement: dict[str, float] | None  # with the true labels; of all kept under "all"


def changed_targets(
    changes: list[tuple[ChangedTargets, ImageAt]], names: list[str]
) -> Section | None:
    """A table of all students, and the most confident mistakes that were put right."""
    if not changes:
        return None
    text = (
        "A rule acts on the teacher's prediction before the student is trained by it. "
        "Counted are training images, without crops, on which the target has another "
        "class on top than the teacher; computed anew from the finished networks."
    )
    rows = [
        (c.student, f"{c.looked_at:,}", f"{c.teacher_wrong:,}", f"{len(c.rows):,}")
        for c, _ in changes
    ]
    columns = ("", "images looked at", "teacher wrong", "target changed")
    galleries = []
    for c, image_at in changes:
        order = np.argsort(-c.teacher_probability, kind="stable")[:_IMAGES]
        captions = [
            (
                int(c.rows[i]),
                f"{names[c.label[i]]} · teacher: {names[c.teacher_class[i]]} "
                f"{percent(c.teacher_probability[i])} → "
                f"{names[c.target_class[i]]} {percent(c.target_probability[i])}",
            )
            for i in order
        ]
        which = (
            f"{c.student}: label, teacher's class → class of the target, with their "
            f"probabilities at temperature {c.temperature:g}; the surest first."
        )
        if captions:
            galleries += [which, gallery(image_at, captions)]
    return Section(
        "Targets that a rule changed", [text, Table(columns, rows), *galleries]
    )


def selected_samples(
    selections: list[tuple[SelectedSamples, ImageAt]], names: list[str]
) -> Section | None:
    """How many were selected and how rightly, scores, and images of both ends."""
    if not selections:
        return None
    blocks = [_table([one for one, _ in selections])]
    for one, image_at in selections:
        if one.score is not None and np.ptp(one.score[np.isfinite(one.score)]) > 0:
            blocks.append(_histogram(one))
        blocks += _galleries(one, image_at, names)
    return Section("Samples that were selected", blocks)


def _table(selections: list[SelectedSamples]) -> Table:
    columns = ["", "selected for", "selected", "of", "%"]
    with_truth = [one for one in selections if one.agreement]
    measures = ("precision", "recall", "f1") if with_truth else ()
    caption = ""
    if with_truth:
        columns += ["precision", "recall", "F1", "F1 of keeping all"]
        caption = (
            "Looked for are samples whose label is the true one, which is known here "
            "because the noise was added."
        )
    rows = []
    for one in selections:
        kept, count = int(one.keep.sum()), len(one.keep)
        cells = [f"{kept:,}", f"{count:,}", f"{100 * kept / count:.1f}"]
        if with_truth:
            own = one.agreement or {}
            cells += [f"{own[key]:.3f}" if own else "-" for key in (*measures, "all")]
        rows.append((one.student, one.what, *cells))
    return Table(columns, rows, caption, text_columns=2)


def _histogram(one: SelectedSamples) -> Chart:
    import altair as alt

    finite = np.isfinite(one.score)
    low, high = np.quantile(one.score[finite], [0.01, 0.99])
    if low == high:
        low, high = one.score[finite].min(), one.score[finite].max()
    edges = np.linspace(low, high, _BINS + 1)
    scores, rows, kinds = np.clip(one.score, low, high), [], ("selected", "left out")
    for kind, mask in zip(kinds, (one.keep, ~one.keep), strict=True):
        counts, _ = np.histogram(scores[mask & finite], edges)
        for left, right, count in zip(edges, edges[1:], counts.tolist(), strict=False):
            ends = {"from": float(f"{left:.5g}"), "to": float(f"{right:.5g}")}
            rows.append({"samples": kind, "images": count} | ends)
    colour = alt.Color("samples:N", legend=alt.Legend(title=None))
    scale = alt.Scale(zero=False)
    figure = (
        alt.Chart(alt.Data(values=rows), title=one.student)
        .mark_bar()
        .encode(
            x=alt.X("from:Q", bin="binned", title="score", scale=scale),
            x2="to",
            y=alt.Y("images:Q", title="samples", stack=True),
            color=colour.scale(domain=list(kinds)),
            tooltip=["samples:N", "from:Q", "to:Q", "images:Q"],
        )
        .properties(height=200)
    )
    median = [
        np.median(one.score[mask & finite])
        for mask in (one.keep, ~one.keep)
        if np.any(mask & finite)
    ]
    alternative = f"{one.student}: histogram of the scores; medians of the samples "
    alternative += "selected and left out: " + ", ".join(f"{m:.3g}" for m in median)
    caption = (
        f"Scores of {int(finite.sum()):,} samples by which they were selected; the "
        "larger, the rather it is selected. The outermost 1 % are in the last bars."
    )
    return chart(figure, f"{alternative}.", caption)


def _galleries(one: SelectedSamples, image_at: ImageAt, names: list[str]) -> list:
    score = np.arange(len(one.keep))[::-1] if one.score is None else one.score
    order = np.argsort(-score, kind="stable")
    both = order[one.keep[order]][:_IMAGES], order[~one.keep[order]][::-1][:_IMAGES]
    ends = ("the highest scores", "the lowest scores")
    galleries = []
    for rows, kind, end in zip(both, ("selected", "left out"), ends, strict=True):
        captions = [(int(i), _caption(one, i, names)) for i in rows]
        with_end = "" if one.score is None else f" with {end}"
        if captions:
            which = f"{one.student}: {kind}{with_end}."
            galleries += [which, gallery(image_at, captions)]
    return galleries


def _caption(one: SelectedSamples, i: int, names: list[str]) -> str:
    text = names[one.label[i]]
    if one.true_label is not None and one.true_label[i] != one.label[i]:
        text += f" (truly {names[one.true_label[i]]})"
    return text if one.score is None else f"{text} · score {one.score[i]:.3g}"
