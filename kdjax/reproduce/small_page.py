"""The section of RESULTS.md of the small study on CIFAR-100, from its records."""

import collections
import pathlib
import statistics
from collections.abc import Mapping
from typing import NamedTuple

from kdjax.analysis.paired import Difference, paired_difference
from kdjax.reproduce import claims, pages, published, small, small_figures, tables

MARK = "small study"
BASE = "kd"
NONE = "-"
COLUMNS = ("student", "test top-1 %", "seeds", "less kd, 95 %", "logit distance")
TAUS = ("kd_tau1", "kd_tau3", "kd_tau5", "kd_tau20", "kd_inf")
ADJUSTED = ("ka_ps", "ka_lsr", "dtd_flsw", "dtd_cwsm", "dtd_la")
REVISED = ("lr_mse", "lr_kl", "ds", "lr_ds", "lr_mse_batch", "ds_sets", "lr_ds_sets")
FIELD = ("dkd", "dist", "lskd", "wttm", "reviewkd", "crd")
# Whose numbers RepDistiller's benchmark has under another name.
BENCHMARK = {"kd_labels": "kd"} | {n: n for n in (*FIELD, "ka_ps", "lr_mse")}
PAIR = ("resnet56", "resnet20")
Values = dict[str, dict[int, float]]  # student -> seed -> number


class Scores(NamedTuple):
    """Test top-1 in percent, of students with clean labels and with noisy ones."""

    clean: Values
    noisy: Values
    distance: Values  # mean over test images, to the teacher's logits; clean labels
    kept: Values  # F1 in percent of what a detector keeps


def write(study: str, directory: pathlib.Path) -> pathlib.Path:
    """Writes the section and its figures from the records in a directory, beside it."""
    path, records = directory.parent / "RESULTS.md", tables.read(study, directory)
    one = scores(records)
    figures = small_figures.write(one.clean, one.distance, one.noisy, path.parent)
    pages.write_section(path, section(records, figures), MARK)
    return path


def section(records: list[dict], figures: str = "") -> str:
    """The text between the marks; `figures` are Markdown."""
    command = f"python -m kdjax reproduce {small.NAME}"
    head = (
        f"## CIFAR-100, a small study (`{command}`)\n\n"
        "All 50,000 + 10,000 images; ResNet-20 (60 epochs) teaches ResNet-8 (10 "
        "epochs): cosine from 0.1 after an epoch of warm-up, batches of 128, SGD with "
        "Nesterov's momentum, crops and flips. These are not the papers' protocols. "
        "Last epoch; mean and sample standard deviation over seeds. The difference is "
        "paired by seed, with Student's interval of 95 %; noise where 0 is in it. The "
        "distance of a student's logits to the teacher's is the mean over test images. "
        "Data selection scores samples by a network of the same seed that learned the "
        "labels of all images but a tenth, on which influence is estimated."
    )
    clean, noisy, distance, kept = scores(records)
    text = [head, _teachers(records)]
    if clean:
        text += [pages.table(COLUMNS, _rows(clean, distance))]
    elif records:
        text += ["No student is measured yet."]
    text += [_claims(clean_claims(clean, distance))]
    if noisy:
        title = "### Under 40 % symmetric label noise\n\nThe teacher of `kd` and "
        title += "`dtd_la` has learned those labels; `clk`, `same` and `fine` are "
        title += "retrained on what each detector keeps, `proxy` on everything."
        rows = [row[:3] for row in _rows(noisy, {})]
        text += [title, pages.table(COLUMNS[:3], rows), _kept(kept)]
        text += [_claims(noisy_claims(noisy))]
    text += [f"### Figures\n\n{figures}" if figures else "", _published(clean)]
    return "\n\n".join(filter(None, [*text, _time(records), origin(records)]))


def scores(records: list[dict]) -> Scores:
    """What the records say of each student, with its seeds in their order."""
    result = Scores(*(collections.defaultdict(dict) for _ in Scores._fields))
    noisy_units = {name for name, unit in small.units().items() if unit.is_noisy}
    for record in sorted(records, key=lambda record: record["seed"]):
        unit, _, stage = record["run"].partition("/")
        unit, seed = unit.rpartition("-seed")[0], record["seed"]
        if not unit or unit == small.REFERENCE:
            continue  # a teacher, or what scores samples
        is_noisy = stage or unit in noisy_units
        for name, student in record["students"].items():
            metrics = student["metrics"]
            into = result.noisy if is_noisy else result.clean
            into[stage or name][seed] = metrics["top1"]
            if "logit_distance" in metrics and not is_noisy:
                result.distance[name][seed] = metrics["logit_distance"]
        if record.get("kept"):
            result.kept[stage][seed] = 100 * record["kept"]["agreement"]["f1"]
    return Scores(*map(dict, result))


def clean_claims(top1: Values, distance: Values) -> list[claims.Claim]:
    """What the papers claim of students that are there, and whether it held."""
    result, taus = [], [top1[tau] for tau in TAUS if tau in top1]
    if len(taus) == len(TAUS):
        result.append(("accuracy rises with tau at alpha 1", claims.rises(taus)))
    if distance.keys() >= {*TAUS, "mse"}:
        falling = [{s: -v for s, v in distance[tau].items()} for tau in TAUS]
        text = "the logit distance falls with tau"
        result.append((text, claims.rises(falling)))
        others = [column for name, column in distance.items() if name != "mse"]
        least = claims.is_least(distance["mse"], others)
        result.append(("the logit distance is least for MSE", least))
    pairs = [("kd", "ce"), ("kd_tau20", "kd_tau1"), ("mse", "ce"), ("mse", "kd_tau20")]
    pairs += [(name, "kd") for name in (*ADJUSTED, *REVISED)]
    # Methods of the field have labels, as the KD that their papers compare with.
    pairs += [(name, "kd_labels") for name in (*REVISED, *FIELD)]
    pairs += [("ds", "ds_random"), ("ds_sets", "ds_random_sets")]
    return result + _compared(top1, pairs)


def noisy_claims(top1: Values) -> list[claims.Claim]:
    """Likewise under label noise: small temperatures, and detectors."""
    pairs = [("kd_tau05", "kd_tau20"), ("dtd_la_small", "dtd_la")]
    pairs += [(name, "proxy") for name in small.DETECTORS]
    return _compared(top1, pairs)


def _compared(top1: Values, pairs: list[tuple[str, str]]) -> list[claims.Claim]:
    return [
        claims.compare(f"{better} beats {worse}", top1[better], top1[worse])
        for better, worse in pairs
        if top1.get(better, {}).keys() & top1.get(worse, {}).keys()
    ]


def _rows(top1: Values, distance: Values) -> list[tuple[str, ...]]:
    """Best mean first."""
    rows = []
    for name, by_seed in top1.items():
        gap = paired_difference(by_seed, top1.get(BASE, {})) if name != BASE else None
        far = pages.spread(distance[name].values()) if name in distance else NONE
        seeds = ", ".join(map(str, by_seed))
        cells = pages.spread(by_seed.values()), seeds, interval(gap), far
        rows.append((statistics.fmean(by_seed.values()), (name, *cells)))
    return [row for _, row in sorted(rows, key=lambda row: -row[0])]


def interval(gap: Difference | None) -> str:
    """A paired difference with its interval, and whether it is noise."""
    if gap is None:
        return NONE
    if gap.pairs == 1:
        return f"{gap.mean:+.2f}, one seed"
    noise = ", noise" if gap.is_noise else ""
    return f"{gap.mean:+.2f} ({gap.low:+.2f} to {gap.high:+.2f}){noise}"


def _published(top1: Values) -> str:
    """Numbers of others, each beside its own student of labels, and ours likewise."""
    first = {
        name: float(number)
        for name, (number, _) in tables.PUBLISHED["cifar100"]["wrn_16_2"].items()
    }
    second = {n: published.top1(m, *PAIR) for n, m in BENCHMARK.items()}
    second = {"ce": published.LABELS[PAIR[1]]} | second
    here = {name: statistics.fmean(by_seed.values()) for name, by_seed in top1.items()}
    columns = (here, first, second)
    names = [name for name in here if name in first or name in second]
    if not names:
        return ""
    rows = [
        (name, *(_beside_labels(column, name) for column in columns)) for name in names
    ]
    heads = ("student", "here", "WRN-28-4 to WRN-16-2", "ResNet-56 to ResNet-20")
    return (
        "### Published, by other protocols\n\n"
        "Not to be compared with the numbers here: other networks, and 20 times the "
        "epochs. In brackets what a student has more than the same network trained on "
        "labels (`ce`). WRN-16-2: 200 epochs, Kim et al. 2021; sources, and what is "
        "not verified, above. ResNet-20: 240 epochs, RepDistiller's protocol, some "
        "with weights tuned per pair; sources as `kdjax reproduce repdistiller "
        "--plan` and the configs of the benchmark print them.\n\n"
    ) + pages.table(heads, rows)


def _beside_labels(top1: Mapping[str, float | None], name: str) -> str:
    value, labels = top1.get(name), top1.get("ce")
    if value is None:
        return NONE
    if name == "ce" or labels is None:
        return f"{value:.2f}"
    return f"{value:.2f} ({value - labels:+.2f})"


def _teachers(records: list[dict]) -> str:
    """Their accuracy, and how often they are wrong where their students train."""
    wrong = {
        record["teacher"]["digest"]: record["teacher"]["wrong_labels"]
        for record in records
        if record["teacher"]
    }
    lines = []
    for record in records:
        if "-seed" in record["run"]:
            continue
        for student in record["students"].values():
            line = f"- {pages.code(record['run'])}: {student['metrics']['top1']:.2f} %"
            line += " of the test images"
            if one := wrong.get(student["digest"]):
                line += f"; wrong on {one['percent']:.2f} % of the training images"
            if one and "percent_of_true" in one:
                line += f", {one['percent_of_true']:.2f} % by their true labels"
            lines.append(f"{line}.")
    return "\n".join(["Teachers:", "", *lines]) if lines else "Nothing is measured yet."


def _kept(kept: Values) -> str:
    rows = [(name, pages.spread(by_seed.values())) for name, by_seed in kept.items()]
    return pages.table(("detector", "F1 of what it keeps, %"), rows) if rows else ""


def _claims(lines: list[claims.Claim]) -> str:
    return pages.table(("claim (mean difference)", "here"), lines) if lines else ""


def _time(records: list[dict]) -> str:
    """Runs of a unit in a row: how many, of how many students, minutes and pace."""
    units = collections.defaultdict(list)
    for record in records:
        units[record["run"].partition("/")[0].partition("-seed")[0]].append(record)
    rows = []
    for name, runs in units.items():
        paces = [one["images_per_second"] for one in runs if one["images_per_second"]]
        pace = f"{statistics.median(paces):,.0f}" if paces else NONE
        minutes = statistics.fmean(one["seconds"] for one in runs) / 60
        students = max(len(one["students"]) for one in runs)
        rows.append((name, len(runs), students, f"{minutes:.0f}", pace))
    heads = ("unit", "runs", "students in each", "minutes each", "images/s, median")
    table = pages.table(heads, rows)
    text = "### Time\n\nEach image goes through all students of a program. Minutes are "
    text += "wall time over all resumes, with pauses and other programs beside; the "
    text += "images/s are those of the median row.\n\n"
    return text + table if rows else ""


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
