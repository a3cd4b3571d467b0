"""A study's section of RESULTS.md: what was measured beside what was published."""

import pathlib

from kdjax.paths.files import names
from kdjax.paths.json_files import read_json
from kdjax.reproduce import pages
from kdjax.reproduce.plans import FLOAT32, STUDIES, Pair, Study

COLUMNS = ("network", "method", "test top-1 %", "seeds", "published", "source")
TEACHER = "teacher"
NOT_MEASURED = "not measured"
RECALLED = "paper, recalled and not verified"
README = "RepDistiller's README"
TRANSCRIBED = (
    '"LR" in arXiv:2408.07703, mean of 3 runs, read in a transcription, not verified'
)
TITLES = {
    "cifar100": '"KL versus MSE" (Kim et al. 2021) at alpha 1',
    "repdistiller": "RepDistiller's protocol",
}
# What the words in the tables mean.
LEGEND = {
    "cifar100": "Source: the paper's table of losses; the draft is an earlier "
    'manuscript in the authors\' repository, which was read; "paper and draft" have '
    "the same value.",
    "repdistiller": "Source: the last epoch is reported, as here.",
}
# Study -> name of the pair's student -> name of the row -> (percent, where it is from).
PUBLISHED = {
    "cifar100": {
        "wrn_16_2": {
            "teacher": ("77.93", "draft, best of 3 runs"),
            "ce": ("72.68", "paper and draft, quoted there; own run: 72.56"),
            "kd_tau1": ("72.90", "paper and draft"),
            "kd_tau3": ("74.24", "paper and draft"),
            "kd_tau5": ("74.88", "paper and draft"),
            "kd_tau20": ("75.15", f"{RECALLED}; the draft has 75.76"),
            "kd_inf": ("75.51", "paper and draft"),
            "mse": ("75.54", RECALLED),
        },
    },
    "repdistiller": {
        "resnet20": {
            "teacher": ("72.34", README),
            "ce": ("69.06", README),
            "kd": ("70.66", README),
            "lr_mse": ("70.74", TRANSCRIBED),
        },
        "wrn_16_2": {
            "teacher": ("75.61", README),
            "ce": ("73.26", README),
            "kd": ("74.92", README),
        },
    },
}


_CURVE = {"epoch": [float], "top1": [float], "loss": [float]}
_CURVE["train_loss"] = [(float, None)]
_STUDENT = {
    "metrics": {"top1": float, "logit_distance?": float},
    **{"digest": str, "best": {"top1": float, "epoch": float}, "curve": _CURVE},
}
_TEACHER = {"digest": str, "wrong_labels": {"images": int, "percent": float}}
RECORD_FORM = {
    **{"study": str, "run": str, "command": str, "dtype": str, "seed": int},
    **{"device": [str], "python": [str], "versions": {str: str}, "seconds": float},
    **{"recorded": str, "pair": {"teacher": str, "student": str}},
    "total_steps": int,
    "images_per_second": (float, None),
    "teacher": (_TEACHER, None),
    "students": {str: _STUDENT},
}
ADVICE = "Move it away, or delete it and run the same command again."


def write(study: str, directory: pathlib.Path) -> pathlib.Path:
    """Writes the section from the records in a directory, beside it."""
    path = directory.parent / "RESULTS.md"
    # The marks have had this name since the first page.
    pages.write_section(path, section(study, read(study, directory)), f"launch {study}")
    return path


def read(study: str, directory: pathlib.Path) -> list[dict]:
    """The records of a study, in the order of their files' names."""
    records = []
    paths = [directory / name for name in names(directory) if name.endswith(".json")]
    for path in paths:
        record = read_json(path, "a record of `kdjax reproduce`", RECORD_FORM, ADVICE)
        records += [record] if record["study"] == study else []
    return records


def section(study: str, records: list[dict]) -> str:
    """The text between the marks."""
    text = [
        f"## CIFAR-100, {TITLES[study]} (`python -m kdjax reproduce {study}`)",
        "Last epoch; mean and sample standard deviation over the students' seeds, of "
        "the files in results/, one for each finished run. " + LEGEND[study],
    ]
    for pair in STUDIES[study].pairs:
        lines = rows(study, STUDIES[study], pair, records)
        text.append(pages.table(COLUMNS, lines))
    return "\n\n".join([*text, _origin(records)])


def rows(study: str, plan: Study, pair: Pair, records: list[dict]) -> list[tuple]:
    """One for the teacher and each method of a pair, and for each type measured."""
    records = [record for record in records if record["pair"] == pair._asdict()]
    dtypes = {FLOAT32, *(record["dtype"] for record in records)}
    published, lines = PUBLISHED[study][pair.student], []
    for dtype in sorted(dtypes, reverse=True):
        for method in dict.fromkeys((TEACHER, "ce", *plan.methods)):
            top1 = _top1(records, dtype, method)
            value, source = published.get(method, ("-", "none is known"))
            network = pair.teacher if method == TEACHER else pair.student
            name = network if dtype == FLOAT32 else f"{network}, {dtype}"
            if top1 or dtype == FLOAT32:
                seeds = ", ".join(str(seed) for seed, _ in top1)
                mean = pages.spread(v for _, v in top1) if top1 else NOT_MEASURED
                lines.append((name, method, mean, seeds, value, source))
    return lines


def _top1(records: list[dict], dtype: str, method: str) -> list[tuple[int, float]]:
    """(seed, test top-1) of every run of a row."""
    values = []
    for record in records:
        is_teacher = record["run"] == record["pair"]["teacher"]
        if record["dtype"] != dtype or is_teacher != (method == TEACHER):
            continue
        for name, student in record["students"].items():
            if is_teacher or name == method:
                values.append((record["seed"], student["metrics"]["top1"]))
    return sorted(values)


def _origin(records: list[dict]) -> str:
    """On what, with what and by which commands the records were measured."""
    if not records:
        return "Nothing of this is measured yet."
    lines = []
    for record in records:
        versions = ", ".join(f"{k} {v}" for k, v in record["versions"].items())
        words = [", then ".join(record[key]) for key in ("device", "python")]
        device, python, *rest = map(pages.plain, [*words, versions, record["recorded"]])
        lines.append(
            f"- {pages.code(record['run'])}: {pages.code(record['command'])}; "
            f"{record['seconds'] / 60:.0f} minutes on {device}; Python {python}, "
            f"{'; '.join(rest)}."
        )
    rehearsed = any(record["total_steps"] for record in records)
    head = "A rehearsal, which measures nothing:" if rehearsed else "Measured:"
    return "\n".join([head, "", *lines])
