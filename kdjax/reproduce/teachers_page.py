"""The section of RESULTS.md about teachers that are wrong, from its records."""

import collections
import pathlib
import statistics
from collections.abc import Iterator

from kdjax.analysis.paired import paired_difference
from kdjax.reproduce import claims, pages, tables, teachers
from kdjax.reproduce.small_page import NONE, interval, origin

MARK = "teachers"
COLUMNS = ("student", "test top-1 %", "seeds", "less kd, 95 %")
# Each rule and the students that it is claimed to beat.
PAIRS = (
    *(("kd", "ce"), ("lr_mse", "ce"), ("lr_kl", "ce")),
    *(("lr_mse", "kd"), ("lr_kl", "kd"), ("ka_ps", "kd"), ("ka_lsr", "kd")),
    *(("dtd_cwsm", "kd"), ("dtd_flsw", "kd"), ("dtd_la", "kd")),
    *(("ds", "kd"), ("lr_ds", "kd"), ("lr_ds", "ds")),
    *((name, "kd_labels") for name in ("lr_mse", "lr_kl", "ds", "lr_ds")),
    *(("ka_lsr_tau1", "kd_tau1"), ("ds", "ds_random")),
    *(("lr_kl_wrong", "kd"), ("lr_mse_strong", "kd"), ("lr_mse_strong", "lr_mse")),
)
Scores = dict[str, dict[int, float]]  # student -> seed -> test top-1 in percent


def write(study: str, directory: pathlib.Path) -> pathlib.Path:
    """Writes the section from the records in a directory, beside it."""
    path = directory.parent / "RESULTS.md"
    pages.write_section(path, section(tables.read(study, directory)), MARK)
    return path


def section(records: list[dict]) -> str:
    """The text between the marks."""
    command = f"python -m kdjax reproduce {teachers.NAME}"
    head = (
        f"## Rules for wrong teachers, under three teachers (`{command}`)\n\n"
        "The embedded images. Teachers are WRN-10 with 8/16/32 channels, by cross "
        "entropy: `fitted` and `noisy` have 4 epochs, `underfitted` has one; `noisy` "
        "was trained under 40 % symmetric label noise. Students are WRN-10 with "
        f"4/8/16 channels, {teachers.EPOCHS:g} epochs, temperature {teachers.TAU:g}; "
        "one teacher for all seeds, and the true labels for all students. Squared "
        "errors have lambda1 0.4 and every sample counts once. Last epoch; mean and "
        "sample standard deviation over seeds. The difference is paired by seed, with "
        "Student's interval of 95 %; noise where 0 is in it. Each interval stands for "
        "itself: of 20 rules without effect one lies outside by chance."
    )
    top1 = scores(records)
    text = [head, _teachers(records)]
    for teacher in teachers.TEACHERS:
        if teacher not in top1:
            continue
        students = top1[teacher] | top1.get("", {})
        rows = pages.table(COLUMNS, _rows(students))
        lines = pages.table(("claim (mean difference)", "here"), held(students))
        text += [f"### Students of the {teacher} teacher", rows, lines]
    return "\n\n".join(filter(None, [*text, origin(records)]))


def scores(records: list[dict]) -> dict[str, Scores]:
    """Teacher -> its students; those by labels alone have the teacher ""."""
    top1 = collections.defaultdict(lambda: collections.defaultdict(dict))
    for record in sorted(records, key=lambda record: record["seed"]):
        if record["run"] in teachers.TEACHERS:
            continue
        for name, student in record["students"].items():
            of_seed = top1[record["pair"]["teacher"]][name]
            of_seed[record["seed"]] = student["metrics"]["top1"]
    return {teacher: dict(students) for teacher, students in top1.items()}


def held(top1: Scores) -> list[claims.Claim]:
    """Whether each rule beats what it is claimed to, of students that are there."""
    return [
        claims.compare(f"{better} beats {worse}", top1[better], top1[worse])
        for better, worse in PAIRS
        if top1.get(better, {}).keys() & top1.get(worse, {}).keys()
    ]


def _rows(top1: Scores) -> Iterator[tuple[str, ...]]:
    """Best mean first."""

    def mean(name):
        return sum(top1[name].values()) / len(top1[name])

    for name in sorted(top1, key=mean, reverse=True):
        gap = paired_difference(top1[name], top1.get("kd", {}))
        seeds = ", ".join(map(str, top1[name]))
        spread = pages.spread(top1[name].values())
        yield name, spread, seeds, interval(gap if name != "kd" else None)


def _teachers(records: list[dict]) -> str:
    """How good the teachers are, and how often wrong on the training images."""
    rows = []
    for name in teachers.TEACHERS:
        own = [r for r in records if r["run"] == name]
        of_it = [r for r in records if r["pair"]["teacher"] == name and r["teacher"]]
        if not own or not of_it:
            continue
        (student,) = own[0]["students"].values()
        wrong = of_it[0]["teacher"]["wrong_labels"]["percent"]
        augmented, changed = _shares(of_it)
        cells = f"{student['metrics']['top1']:.2f}", f"{wrong:.1f}", augmented, changed
        rows.append((name, *cells))
    columns = ("teacher", "test top-1 %", "wrong %", "wrong, augmented %", "changed %")
    text = "Wrong: the share of the 10,000 training images on which a teacher has "
    text += "another class than the label. Changed: the share of targets, of augmented "
    text += "images, on which `ka_ps` puts another class on top."
    return "\n\n".join([text, pages.table(columns, rows)]) if rows else ""


def _shares(records: list[dict]) -> tuple[str, str]:
    """Percent of the augmented images, over seeds: wrong, and changed by `ka_ps`."""
    students = [record["students"].get("ka_ps", {}) for record in records]
    shares = [student["shares"] for student in students if "shares" in student]
    if not shares:
        return NONE, NONE
    wrong = 1 - statistics.fmean(one["teacher/top1"] for one in shares)
    changed = statistics.fmean(one["target/changed"] for one in shares)
    return f"{100 * wrong:.1f}", f"{100 * changed:.1f}"
