"""What the papers claim, beside what the sweeps of `kdjax.reproduce.experiments` gave.

Every number is the mean over the seeds, with the sample standard deviation; every
comparison is between runs of the same seed. A claim "held" where it did with every
seed, "held in the mean" where it did so only there.
"""

import json
import pathlib
import platform
import statistics

TAUS = ("kd_tau1", "kd_tau3", "kd_tau5", "kd_tau20", "kd_inf")
DETECTORS = ("clk", "same", "fine")
Values = dict[str, float]  # seed -> number


def report(runs: pathlib.Path, words: list[str]) -> str:
    """The section of RESULTS.md, from the finished sweeps of a command's words."""
    parts = [
        "# What the four papers claim, and what came out here\n\n"
        f"`python -m kdjax.reproduce.experiments {' '.join(words)}`, three seeds; networks and "
        "protocol are in the configs beside this file. "
        + " ".join(__doc__.split("\n\n")[1].split()),
        _temperatures(runs),
        _noisy_labels(runs),
        _detectors(runs),
        _corrections(runs),
        _origin(runs),
    ]
    return "\n\n".join(parts)


def write_section(path: pathlib.Path, text: str, name: str = "experiments") -> None:
    """Puts a section between its two marks, at the end where they are not there."""
    old = path.read_text() if path.exists() else ""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    section = f"{begin}\n\n{text}\n\n{end}"
    if begin in old and end in old:
        head, rest = old.split(begin, 1)
        new = head + section + rest.split(end, 1)[1]
    else:
        new = f"{old.rstrip()}\n\n{section}\n".lstrip()
    path.write_text(new)


def verdict(better: Values, worse: Values) -> tuple[str, str]:
    """Whether the first is larger with every seed, and by how much."""
    seeds = sorted(better.keys() & worse.keys())
    gaps = [better[seed] - worse[seed] for seed in seeds]
    wins = sum(gap > 0 for gap in gaps)
    if wins == len(gaps):
        word = "held"
    elif statistics.fmean(gaps) > 0:
        word = f"held in the mean, {wins} of {len(gaps)} seeds"
    else:
        word = f"did not hold, {wins} of {len(gaps)} seeds"
    return word, f"{statistics.fmean(gaps):+.2f} ± {_deviation(gaps):.2f}"


def rises(columns: list[Values]) -> str:
    """Whether the means rise from each column to the next."""
    means = [statistics.fmean(column.values()) for column in columns]
    steps = sum(b > a for a, b in zip(means[:-1], means[1:], strict=True))
    if steps == len(means) - 1:
        return "held"
    return f"did not hold throughout: {steps} of {len(means) - 1} steps rise"


def _temperatures(runs: pathlib.Path) -> str:
    top1 = _by_seed(runs / "temperatures", "method")
    far = _distances(runs / "analysis")
    rows = [
        (name, _spread(top1[name]), _spread(far[name]) if name in far else "-")
        for name in top1
    ]
    least = all(
        far["mse"][seed] == min(column[seed] for column in far.values())
        for seed in far["mse"]
    )
    falling = [{k: -v for k, v in far[name].items()} for name in TAUS]
    up, gain = verdict(top1["kd_tau20"], top1["kd_tau1"])
    claims = [
        ("accuracy rises with tau at alpha 1", rises([top1[t] for t in TAUS])),
        (f"tau 20 is better than tau 1 ({gain})", up),
        ("the logit distance falls with tau", rises(falling)),
        (
            "the logit distance is least for MSE",
            "held" if least else "did not hold",
        ),
        *_against(top1, "ce", ("kd_tau20", "kd_inf", "mse"), "plain cross entropy"),
    ]
    return "\n".join(
        [
            "## KL versus MSE: temperatures at alpha 1",
            "",
            *table(("student", "test top-1 %", "median logit distance"), rows),
            "",
            *table(("claim", "here"), claims),
        ]
    )


def _noisy_labels(runs: pathlib.Path) -> str:
    top1 = _by_seed(runs / "noisy_labels", "method")
    teacher = _by_seed(runs / "noisy_teachers", None)[""]
    rows = [("teacher", _spread(teacher)), *((n, _spread(v)) for n, v in top1.items())]
    claims = []
    for small in ("kd_tau01", "kd_tau05", "kd_tau05_plain", "kd_tau1"):
        for other in ("kd_inf", "mse"):
            word, gap = verdict(top1[small], top1[other])
            claims.append((f"{small} beats {other} ({gap})", word))
    return "\n".join(
        [
            "## KL versus MSE: a teacher trained under 40 % symmetric noise",
            "",
            "Students see no label (alpha 1); the test labels are clean. `plain` is "
            "without the factor 1/tau.",
            "",
            *table(("network", "test top-1 %"), rows),
            "",
            *table(("claim", "here"), claims),
        ]
    )


def _detectors(runs: pathlib.Path) -> str:
    found, kept, top1 = {}, {}, {}
    for line in _rows(runs / "detectors"):
        rate, seed = line["cells"]["data.noise.rate"], line["cells"]["seed"]
        where = runs / "detectors" / line["row"]
        for name in DETECTORS:
            told = json.loads((where / f"select_{name}" / "selection.json").read_text())
            agreement = told.get("agreement") or told["found"]  # of earlier versions
            found.setdefault((rate, name), {})[seed] = 100 * agreement["f1"]
            kept.setdefault((rate, name), {})[seed] = told["kept"]
            found.setdefault((rate, "all"), {})[seed] = 100 * told["keep_all"]["f1"]
        for name in ("proxy", *DETECTORS, "oracle", "random"):
            summary = json.loads((where / name / "summary.json").read_text())
            metrics = next(iter(summary["students"].values()))["metrics"]
            top1.setdefault((rate, name), {})[seed] = metrics["top1"]
    rates = sorted({rate for rate, _ in top1})
    rows, claims = [], []
    for rate in rates:
        everything = _spread(found[rate, "all"])
        rows.append((rate, "everything", everything, _spread(top1[rate, "proxy"])))
        for name in DETECTORS:
            cells = _spread(found[rate, name]), _spread(top1[rate, name])
            rows.append((rate, name, *cells))
            word, gap = verdict(found[rate, name], found[rate, "all"])
            claims.append((f"{rate}: F1 of {name} above keep-all ({gap})", word))
            word, gap = verdict(top1[rate, name], top1[rate, "proxy"])
            text = f"{rate}: retraining on {name}'s ticket beats everything ({gap})"
            claims.append((text, word))
        for name in ("oracle", "random"):
            rows.append((rate, name, "-", _spread(top1[rate, name])))
    columns = ("noise", "trained on", "F1 %", "test top-1 %")
    return "\n".join(
        [
            "## Winning tickets in noisy labels",
            "",
            "One proxy by cross entropy on everything; then a fresh network, as many "
            "epochs, on what each detector kept. `random` keeps as many as the oracle.",
            "",
            *table(columns, rows),
            "",
            *table(("claim", "here"), claims),
        ]
    )


def _corrections(runs: pathlib.Path) -> str:
    top1 = _by_seed(runs / "corrections", "method,selection")
    rows = [(name, _spread(values)) for name, values in top1.items()]
    adjusted = ("ka_ps", "ka_lsr", "dtd_flsw", "dtd_cwsm", "dtd_la")
    revised = ("lr_mse", "lr_kl", "ds", "lr_ds")
    claims = _against(top1, "kd", adjusted, "kd")
    claims += _against(top1, "kd", revised, "kd")
    claims += _against(top1, "kd_labels", revised, "kd_labels")
    for name in ("ds", "lr_ds"):
        word, gap = verdict(top1[name], top1[f"{name}_random"])
        claims.append((f"{name} by influence beats {name} at random ({gap})", word))
    return "\n".join(
        [
            "## Logits adjustment, dynamic temperature, label revision, data selection",
            "",
            "`kd` has the temperature of the others and sees no label, nor do those "
            "that adjust logits or temperatures (ka, dtd). Those that revise labels or "
            "select data (lr, ds) see labels too: the share of `lr_kl` is 0.1, as that "
            "of `kd_labels`; `lr_mse` has them where the teacher is right, `ds` and "
            "`lr_ds` where it is not heard.",
            "",
            *table(("student", "test top-1 %"), rows),
            "",
            *table(("claim", "here"), claims),
        ]
    )


def _against(top1, base: str, names, what: str) -> list[tuple[str, str]]:
    claims = []
    for name in names:
        word, gap = verdict(top1[name], top1[base])
        claims.append((f"{name} beats {what} ({gap})", word))
    return claims


def _origin(runs: pathlib.Path) -> str:
    """Which code on which machine, how long, from the runs themselves."""
    summaries = [json.loads(p.read_text()) for p in runs.rglob("summary.json")]
    whole = [s for s in summaries if "program" not in s]
    versions = ", ".join(
        f"{k} {v}" for k, v in summaries[0]["identity"]["versions"].items()
    )
    minutes = sum(s["seconds"] for s in whole) / 60
    return (
        f"Measured with Python {platform.python_version()}, {versions}, on "
        f"{_processor()}; {minutes:.0f} minutes of training in all."
    )


def _processor() -> str:
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return f"{len(models)} cores of {models[0]}" if models else platform.machine()


def _rows(sweep: pathlib.Path) -> list[dict]:
    return json.loads((sweep / "results.json").read_text())["rows"]


def _by_seed(sweep: pathlib.Path, axis: str | None) -> dict[str, Values]:
    """Student -> seed -> test accuracy."""
    found: dict[str, Values] = {}
    for line in _rows(sweep):
        name = line["cells"][axis] if axis else ""
        if line["state"] == "done":
            found.setdefault(name, {})[line["cells"]["seed"]] = line["metrics"]["top1"]
    return found


def _distances(analyses: pathlib.Path) -> dict[str, Values]:
    """Student -> seed -> median distance of its logits to the teacher's."""
    found: dict[str, Values] = {}
    for path in sorted(analyses.glob("*/analysis.json")):
        for row, told in json.loads(path.read_text()).items():
            seed, name = row.split("__method-")
            value = told["logit_distance/median"]
            found.setdefault(name, {})[seed.removeprefix("seed-")] = value
    return found


def _spread(values: Values) -> str:
    numbers = list(values.values())
    return f"{statistics.fmean(numbers):.2f} ± {_deviation(numbers):.2f}"


def _deviation(numbers: list[float]) -> float:
    return statistics.stdev(numbers) if len(numbers) > 1 else 0.0


def table(columns, rows) -> list[str]:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]
