"""Faults of runs: each has its own sentence, and says what to do."""

import shutil

import numpy as np
import pytest

from tests.doctor.planting import (
    change_pixel,
    check_fault,
    cut,
    edit,
    edit_rows,
    flip,
    import_bad,
    largest,
    lose_teacher,
    other_teacher,
    set_top1,
    skip_steps,
)

STEP = "student/checkpoints/4"
EPOCH = "cache/00000"
# What is planted -> how, where it is looked for, what is said.
FAULTS = {
    "config cut": (
        lambda root: cut(root / "student/config.json"),
        *("student", r"the config is damaged: .* -> Move it away"),
    ),
    "config empty": (
        lambda root: (root / "student/config.json").write_text(""),
        *("student", "the config is damaged: it is empty. -> Move it away"),
    ),
    "config gone": (
        lambda root: (root / "student/config.json").unlink(),
        *("student", "config.json: is missing -> The same command writes it again"),
    ),
    "config of other keys": (
        lambda root: edit(root / "student/config.json", lambda c: c.update(sed=1)),
        *("student", r"config.sed is not read; .* Did you mean seed\?"),
    ),
    "config of another type": (
        lambda root: edit(root / "student/config.json", lambda c: c.update(data=[3])),
        *("student", r"the config is damaged: data is \[3\]; expected dict"),
    ),
    "config of another run": (
        lambda root: edit(
            root / "student/config.json", lambda c: c["method"].update(temperature=2.0)
        ),
        *("student", "another run than the newest .*: method.temperature is 4.0 and"),
    ),
    "arrays of the newest step flipped": (
        lambda root: flip(largest(root / STEP / "variables")),
        *("student", f"{STEP}: is damaged: .* -> .* goes on from step 2 and sets"),
    ),
    "arrays of an older step flipped": (
        lambda root: flip(largest(root / "student/checkpoints/2/training")),
        *("student", r"checkpoints/2: is damaged: .* -> Training does not need it"),
    ),
    "an item of a step gone": (
        lambda root: shutil.rmtree(root / STEP / "training"),
        *("student", f"{STEP}: is damaged: training"),
    ),
    "identity of a step cut": (
        lambda root: cut(root / STEP / "meta/metadata"),
        *("student", f"{STEP}: is damaged: meta, which says what it is"),
    ),
    "scores of a step cut": (
        lambda root: cut(root / STEP / "metrics/metrics"),
        *(
            "student",
            f"{STEP}: its scores cannot be read: .* -> Start it again: that",
        ),
    ),
    "all steps flipped": (
        lambda root: [
            flip(largest(root / f"student/checkpoints/{n}/variables")) for n in (2, 4)
        ],
        *("student", f"{STEP}: is damaged: .* -> Begin anew in another --workdir"),
    ),
    "NaN weights": (
        lambda root: import_bad(root, "kernel", np.nan),
        *("imported", r"checkpoints/0: is damaged: \d+ arrays hold NaN or infinity"),
    ),
    "a variance below 0": (
        lambda root: import_bad(root, "var", -1.0),
        *("imported", r"\d+ arrays are variances below 0, first .*'var'"),
    ),
    "a row cut": (
        lambda root: cut(root / "student/metrics.jsonl", 0.7),
        *("student", r"metrics.jsonl: line \d is no row: \w+"),
    ),
    "rows gone": (
        lambda root: (root / "student/metrics.jsonl").unlink(),
        *("student", "metrics.jsonl: is missing, and there are checkpoints"),
    ),
    "a row twice": (
        lambda root: edit_rows(root, lambda rows: [rows[0], *rows]),
        *("student", r"has two train/\.\.\. rows of step 1 -> Did two processes"),
    ),
    "rows out of order": (
        lambda root: edit_rows(root, lambda rows: [*rows[3:], *rows[:3]]),
        *("student", r"goes back to step 1 in its train/\.\.\. rows"),
    ),
    "a row missing": (
        lambda root: edit_rows(root, lambda rows: [r for r in rows if r["step"] != 3]),
        *("student", r"has no train/\.\.\. row of step 3 -> Figures"),
    ),
    "a row changed": (
        lambda root: edit_rows(root, set_top1(99.0)),
        *("student", r"step 4: eval/kd/top1 is 99.0 and in its checkpoint \d"),
    ),
    "a last evaluation of NaN": (
        lambda root: edit_rows(root, set_top1(None)),
        *("student", r"step 4, the last evaluation: eval/kd/top1 is not finite"),
    ),
    "many skipped steps": (
        lambda root: edit_rows(root, skip_steps),
        *("student", "kd: 1 of 4 steps were skipped, as not finite -> Lower the"),
    ),
    "summary cut": (
        lambda root: cut(root / "student/summary.json"),
        *("student", "the summary is damaged: .* -> .* goes on from the"),
    ),
    "summary of NaN": (
        lambda root: edit(
            root / "student/summary.json",
            lambda s: s["students"]["kd"]["metrics"].update(top1=float("nan")),
        ),
        *("student", "kd.top1 of the last evaluation is not a finite number"),
    ),
    "summary of another state": (
        lambda root: shutil.copy(root / "teacher/summary.json", root / "student"),
        *("student", "summary.json: is of another state than the newest checkpoint"),
    ),
    "summary without checkpoints": (
        lambda root: shutil.rmtree(root / "student/checkpoints"),
        *("student", "says that the run is finished, and no checkpoint"),
    ),
    "teacher of other weights": (
        other_teacher,
        *("student", "teacher: .* has digest .*: other weights -> Bring back"),
    ),
    "teacher gone": (lose_teacher, "student", "teacher: .* cannot be read: .* no ch"),
    "a pixel of the images": (
        change_pixel,
        *("student", "data: .*set.npz train is not that of the run .*sha256"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_has_its_own_sentence(root, name):
    check_fault(root, *FAULTS[name])
