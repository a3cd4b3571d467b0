"""Networks' answers, drawn, and what a section of them holds."""

import numpy as np

from kdjax.analysis.outputs import Compared, NetworkOutputs
from kdjax.reporting.evidence import rules

ODD = (
    "<script>alert(1)</script>",
    'a "quoted" [x.y]',
    "caf\x1b[2J",
    "a|b",
    "cat",
    "cat",
)
COUNT = 120


def compared(classes=6, teacher=True, baseline=True, names=None):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, COUNT)
    networks = {}
    for seed, name in enumerate(("teacher", "ce", "kd", "mse")):
        own = np.random.default_rng(100 + seed)
        logits = own.normal(size=(COUNT, classes)) + 2.0 * np.eye(classes)[labels]
        points = own.normal(size=(int(np.isin(labels, (0, 2, 3)).sum()), 2))
        norms = own.gamma(5.0, size=COUNT)
        networks[name] = NetworkOutputs(np.float32(logits), norms, points)
    if not teacher:
        del networks["teacher"]
    students = ("ce", "kd", "mse")
    names = names or [f"class {k}" for k in range(classes)]
    return Compared(
        networks=networks,
        teacher_of=dict.fromkeys(students, "teacher") if teacher else {},
        baseline_of=dict.fromkeys(students[1:], "ce") if baseline else {},
        labels=labels,
        class_names=tuple(names),
        three_classes=(0, 2, 3),
        total=500,
    )


def image_at(row):
    return np.full((6, 5, 3), row, np.uint8)


def changed():
    rng = np.random.default_rng(0)
    rows = np.arange(9)
    classes = (rows % 3, rows % 3 + 1)
    p = rng.random(9)
    parts = (
        "lr_kl",
        4.0,
        90,
        12,
        rows,
        classes[0],
        classes[1],
        p,
        classes[0],
        1 - p / 2,
    )
    return rules.ChangedTargets(*parts)


def selected(score=True, noisy=True):
    rng = np.random.default_rng(1)
    values = rng.normal(size=60)
    keep, label = values > -0.5, rng.integers(0, 4, 60)
    true = np.where(rng.random(60) < 0.3, (label + 1) % 4, label) if noisy else None
    measures = {"precision": 0.75, "recall": 0.5, "f1": 0.6, "all": 0.8}
    return rules.SelectedSamples(
        "ds",
        "the teacher",
        keep,
        label,
        true,
        values if score else None,
        measures if noisy else None,
    )


CHANGES = [(changed(), image_at)]
SELECTIONS = [(selected(), image_at), (selected(False, False), image_at)]


def blocks(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def values(chart, *keys):
    """Rows of the chart's layers that have all these keys."""
    layers = chart.spec.get("layer", [chart.spec])
    data = [layer.get("data") or chart.spec["data"] for layer in layers]
    own = {id(d): d["values"] for d in data}.values()  # layers share theirs
    return [row for rows in own for row in rows if all(key in row for key in keys)]
