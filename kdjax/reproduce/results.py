"""A study's section of RESULTS.md: what was measured beside what was published."""

import json
import pathlib
import statistics

from kdjax.contracts import InputError
from kdjax.reproduce import claims
from kdjax.reproduce.plans import FLOAT32, STUDIES, Pair, Study
from kdjax.reproduce.published import LEGEND, PUBLISHED

COLUMNS = ("network", "method", "test top-1 %", "seeds", "published", "source")
TEACHER = "teacher"
TITLES = {
    "cifar100": '"KL versus MSE" (Kim et al. 2021) at alpha 1',
    "repdistiller": "RepDistiller's protocol",
}
NOT_MEASURED = "not measured"


def write(study: str, where: pathlib.Path) -> pathlib.Path:
    """Writes the section from the records in `where`, beside that directory."""
    path = where.parent / "RESULTS.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    claims.write_section(path, section(study, read(study, where)), f"launch {study}")
    return path


def read(study: str, where: pathlib.Path) -> list[dict]:
    """The records of a study, in the order of their files' names.

    Raises:
      InputError: a file is not one that `kdjax.reproduce.records` wrote.
    """
    found = []
    for path in sorted(where.glob("*.json")):
        try:
            record = json.loads(path.read_text())
            mine = record["study"] == study
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a record of launch/: {error}.") from error
        found += [record] if mine else []
    return found


def section(study: str, records: list[dict]) -> str:
    """The text between the marks."""
    script = f"`launch/reproduce_{study}.sh`"
    parts = [
        f"## CIFAR-100, {TITLES[study]} ({script})",
        "Last epoch; mean and sample standard deviation over the students' seeds, of "
        "the files in results/, one for each finished run. " + LEGEND[study],
    ]
    for pair in STUDIES[study].pairs:
        lines = claims.table(COLUMNS, rows(study, STUDIES[study], pair, records))
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, _origin(records)])


def rows(study: str, plan: Study, pair: Pair, records: list[dict]) -> list[tuple]:
    """One for the teacher and each method of a pair, and for each type measured."""
    mine = [record for record in records if record["pair"] == pair._asdict()]
    dtypes = sorted({FLOAT32, *(record["dtype"] for record in mine)}, reverse=True)
    methods = dict.fromkeys((TEACHER, "ce", *plan.methods))
    published, found = PUBLISHED[study][pair.student], []
    for dtype in dtypes:
        for method in methods:
            values = _values(mine, dtype, method)
            value, source = published.get(method, ("-", "none is known"))
            network = pair.teacher if method == TEACHER else pair.student
            name = network if dtype == FLOAT32 else f"{network}, {dtype}"
            if values or dtype == FLOAT32:
                seeds = ", ".join(str(seed) for seed, _ in values)
                spread = _spread([top1 for _, top1 in values])
                found.append((name, method, spread, seeds, value, source))
    return found


def _values(records: list[dict], dtype: str, method: str) -> list[tuple[int, float]]:
    """(seed, test top-1) of every run of a row."""
    found = []
    for record in records:
        teaches = record["run"] == record["pair"]["teacher"]
        if record["dtype"] != dtype or teaches != (method == TEACHER):
            continue
        for name, student in record["students"].items():
            if teaches or name == method:
                found.append((record["seed"], student["metrics"]["top1"]))
    return sorted(found)


def _spread(values: list[float]) -> str:
    if not values:
        return NOT_MEASURED
    mean = f"{statistics.fmean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if values[1:] else mean


def _origin(records: list[dict]) -> str:
    """On what, with what and by which commands the records were measured."""
    if not records:
        return "Nothing of this is measured yet."
    lines = []
    for record in records:
        versions = ", ".join(f"{k} {v}" for k, v in record["versions"].items())
        lines.append(
            f"- `{record['run']}`: `{record['command']}`; {record['seconds'] / 60:.0f} "
            f"minutes on {', then '.join(record['device'])}; Python "
            f"{', then '.join(record['python'])}, {versions}; {record['recorded']}."
        )
    rehearsed = any(record["total_steps"] for record in records)
    head = "A rehearsal, which measures nothing:" if rehearsed else "Measured:"
    return "\n".join([head, "", *lines])
