"""The section of RESULTS.md of the small study on CIFAR-100, from its records."""

import collections
import pathlib
from collections.abc import Mapping

from kdjax.analysis.paired import Difference, paired_difference
from kdjax.reproduce import claims, pages, small, tables

MARK = "small study"
BASE = "kd"
NONE = "-"
COLUMNS = ("student", "test top-1 %", "seeds", "less kd, 95 %", "published elsewhere")
TAUS = ("kd_tau1", "kd_tau3", "kd_tau5", "kd_tau20", "kd_inf")
ADJUSTED = ("ka_ps", "ka_lsr", "dtd_flsw", "dtd_cwsm", "dtd_la")
REVISED = ("lr_mse", "lr_kl", "ds", "lr_ds", "lr_mse_sets", "ds_sets", "lr_ds_sets")
FIELD = ("dkd", "dist", "lskd", "wttm", "reviewkd", "crd")
Scores = dict[str, dict[int, float]]  # student -> seed -> test top-1 in percent


def write(study: str, directory: pathlib.Path) -> pathlib.Path:
    """Writes the section from the records in a directory, beside it."""
    path = directory.parent / "RESULTS.md"
    pages.write_section(path, section(tables.read(study, directory)), MARK)
    return path


def section(records: list[dict]) -> str:
    """The text between the marks."""
    command = f"python -m kdjax reproduce {small.NAME}"
    head = (
        f"## CIFAR-100, a small study (`{command}`)\n\n"
        "All 50,000 + 10,000 images; ResNet-20 (60 epochs) teaches ResNet-8 (10 "
        "epochs): cosine from 0.1 after an epoch of warm-up, batches of 128, SGD with "
        "Nesterov's momentum, crops and flips. These are not the papers' protocols; "
        "what they published, for other networks and 20 times the epochs, is beside. "
        "Last epoch; mean and sample standard deviation over seeds. The difference is "
        "paired by seed, with Student's interval of 95 %; noise where 0 is in it."
    )
    clean, noisy, kept = scores(records)
    text = [head, _teachers(records)]
    text += [pages.table(COLUMNS, _rows(clean)), _claims(clean_claims(clean))]
    if noisy:
        title = "### Under 40 % symmetric label noise\n\nThe teacher of `kd` and "
        title += "`dtd_la` has learned those labels; `clk`, `same` and `fine` are "
        title += "retrained on what each detector keeps, `proxy` on everything."
        text += [title, pages.table(COLUMNS[:3], [row[:3] for row in _rows(noisy)])]
        text += [_kept(kept), _claims(noisy_claims(noisy))]
    return "\n\n".join(filter(None, [*text, origin(records)]))


def scores(records: list[dict]) -> tuple[Scores, Scores, Scores]:
    """Of students with clean labels, with noisy ones, and F1 of what was kept."""
    clean, noisy = collections.defaultdict(dict), collections.defaultdict(dict)
    kept = collections.defaultdict(dict)
    noisy_units = {name for name, unit in small.units().items() if unit.is_noisy}
    for record in sorted(records, key=lambda record: record["seed"]):
        unit, _, stage = record["run"].partition("/")
        unit, seed = unit.rpartition("-seed")[0], record["seed"]
        if not unit:
            continue  # a teacher
        for name, student in record["students"].items():
            into = noisy if stage or unit in noisy_units else clean
            into[stage or name][seed] = student["metrics"]["top1"]
        if record.get("kept"):
            kept[stage][seed] = 100 * record["kept"]["agreement"]["f1"]
    return dict(clean), dict(noisy), dict(kept)


def clean_claims(top1: Scores) -> list[claims.Claim]:
    """What the papers claim of students that are there, and whether it held."""
    result, taus = [], [top1[tau] for tau in TAUS if tau in top1]
    if len(taus) == len(TAUS):
        result.append(("accuracy rises with tau at alpha 1", claims.rises(taus)))
    pairs = [("kd", "ce"), ("kd_tau20", "kd_tau1"), ("mse", "ce"), ("mse", "kd_tau20")]
    pairs += [(name, "kd") for name in (*ADJUSTED, *REVISED, *FIELD)]
    pairs += [(name, "kd_labels") for name in REVISED]
    pairs += [("ds", "ds_random"), ("ds_sets", "ds_random_sets")]
    return result + _compared(top1, pairs)


def noisy_claims(top1: Scores) -> list[claims.Claim]:
    """Likewise under label noise: small temperatures, and detectors."""
    pairs = [("kd_tau05", "kd_tau20"), ("dtd_la_small", "dtd_la")]
    pairs += [(name, "proxy") for name in small.DETECTORS]
    return _compared(top1, pairs)


def _compared(top1: Scores, pairs: list[tuple[str, str]]) -> list[claims.Claim]:
    return [
        claims.compare(f"{better} beats {worse}", top1[better], top1[worse])
        for better, worse in pairs
        if top1.get(better, {}).keys() & top1.get(worse, {}).keys()
    ]


def _rows(top1: Scores) -> list[tuple[str, ...]]:
    """Best mean first."""
    published = tables.PUBLISHED["cifar100"]["wrn_16_2"]
    rows = []
    for name, by_seed in top1.items():
        gap = paired_difference(by_seed, top1.get(BASE, {})) if name != BASE else None
        number, _ = published.get(name, (NONE, ""))
        seeds = ", ".join(map(str, by_seed))
        mean = sum(by_seed.values()) / len(by_seed)
        cells = pages.spread(by_seed.values()), seeds, interval(gap), number
        rows.append((mean, (name, *cells)))
    return [row for _, row in sorted(rows, key=lambda row: -row[0])]


def interval(gap: Difference | None) -> str:
    """A paired difference with its interval, and whether it is noise."""
    if gap is None:
        return NONE
    if gap.pairs == 1:
        return f"{gap.mean:+.2f}, one seed"
    noise = ", noise" if gap.is_noise else ""
    return f"{gap.mean:+.2f} ({gap.low:+.2f} to {gap.high:+.2f}){noise}"


def _teachers(records: list[dict]) -> str:
    lines = [
        f"- {pages.code(record['run'])}: {student['metrics']['top1']:.2f} % of the "
        "test images."
        for record in records
        if "-seed" not in record["run"]
        for student in record["students"].values()
    ]
    return "\n".join(["Teachers:", "", *lines]) if lines else "Nothing is measured yet."


def _kept(kept: Mapping[str, dict[int, float]]) -> str:
    rows = [(name, pages.spread(by_seed.values())) for name, by_seed in kept.items()]
    return pages.table(("detector", "F1 of what it keeps, %"), rows) if rows else ""


def _claims(lines: list[claims.Claim]) -> str:
    return pages.table(("claim (mean difference)", "here"), lines) if lines else ""


def origin(records: list[dict]) -> str:
    """Commands, devices, versions, commits and hours, in few lines."""
    if not records:
        return ""
    hours = sum(record["seconds"] for record in records) / 3600
    facts = collections.defaultdict(dict)
    for record in records:
        versions = ", ".join(f"{k} {v}" for k, v in record["versions"].items())
        facts["commands"][pages.code(record["command"])] = None
        facts["devices"] |= dict.fromkeys(map(pages.plain, record["device"]))
        facts["versions"][pages.plain(versions)] = None
        facts["commits"] |= dict.fromkeys(map(pages.code, record.get("commit", ())))
    lines = [f"- {key}: {'; '.join(values)}" for key, values in facts.items() if values]
    return "\n".join([f"{len(records)} runs, {hours:.1f} hours:", "", *lines])
