"""What the papers claim, beside what the sweeps of `kdjax.reproduce.sweeps` gave.

Every number is the mean over the seeds, with the sample standard deviation; every
comparison is between runs of the same seed. A claim "held" where it did with every
seed, "held in the mean" where it did so only there.
"""

import collections
import itertools
import pathlib
import statistics

from kdjax.contracts import InputError
from kdjax.paths.json_files import read_json
from kdjax.reproduce import pages

TAUS = ("kd_tau1", "kd_tau3", "kd_tau5", "kd_tau20", "kd_inf")
DETECTORS = ("clk", "same", "fine")
Values = dict[str, float]  # seed -> number
Claim = tuple[str, str]  # (what is claimed, whether it held)


def report(runs: pathlib.Path, words: list[str]) -> str:
    """The section of RESULTS.md, from the finished sweeps of a command's words."""
    head = (
        "# What the four papers claim, and what came out here\n\n"
        f"`python -m kdjax reproduce {' '.join(words)}`, three seeds; networks and "
        "protocol are in the configs beside this file. "
    )
    head += " ".join(__doc__.split("\n\n")[1].split())
    sections = (_temperatures, _noisy_labels, _detectors, _corrections, _origin)
    try:
        return "\n\n".join([head, *(section(runs) for section in sections)])
    except FileNotFoundError as error:
        raise InputError(
            f"{error.filename} is not there; expected --runs=DIR of a study that is "
            "finished, or the same command without --report."
        ) from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"{runs}: its results are not those of these sweeps ({error!r}); expected "
            "what the same command writes into a new --workdir."
        ) from error


def compare(claim: str, better: Values, worse: Values) -> Claim:
    """Whether the first is larger with every seed; the claim gets the mean gap.

    A single seed decides nothing.

    >>> compare("a beats b", {"0": 2.0}, {"0": 1.0})
    ('a beats b (+1.00)', 'one seed, larger')
    """
    seeds = sorted(better.keys() & worse.keys())
    if not seeds:
        return claim, "no seed in common"
    gaps = [better[seed] - worse[seed] for seed in seeds]
    wins = sum(gap > 0 for gap in gaps)
    if len(gaps) == 1:
        verdict = "one seed, larger" if wins else "one seed, not larger"
    elif statistics.fmean(gaps) > 0:
        verdict = _in_the_mean(wins, len(gaps))
    else:
        verdict = f"did not hold, {wins} of {len(gaps)} seeds"
    return f"{claim} ({pages.spread(gaps, sign='+')})", verdict


def rises(columns: list[Values]) -> str:
    """Whether the numbers rise from each column to the next, with every seed.

    >>> rises([{"0": 1.0, "1": 1.0}, {"0": 2.0, "1": 2.0}, {"0": 3.0, "1": 1.5}])
    'held in the mean, 1 of 2 seeds'
    """
    seeds = _shared(columns)
    if not seeds:
        return "no seed in common"
    risen = [_steps_up([column[seed] for column in columns]) for seed in seeds]
    means = [statistics.fmean(column[seed] for seed in seeds) for column in columns]
    every, up = len(columns) - 1, _steps_up(means)
    if len(seeds) == 1:
        return f"one seed, {up} of {every} steps rise"
    if up < every:
        return f"did not hold throughout: {up} of {every} steps rise"
    return _in_the_mean(sum(steps == every for steps in risen), len(seeds))


def is_least(one: Values, others: list[Values]) -> str:
    """Whether a column is below all others, with every seed."""
    seeds = _shared([one, *others])
    if not seeds:
        return "no seed in common"
    wins = sum(one[s] < min(other[s] for other in others) for s in seeds)
    mean, *rest = (statistics.fmean(c[s] for s in seeds) for c in (one, *others))
    if len(seeds) == 1:
        return "one seed, least" if wins else "one seed, not least"
    if mean < min(rest):
        return _in_the_mean(wins, len(seeds))
    return f"did not hold, {wins} of {len(seeds)} seeds"


def _shared(columns: list[Values]) -> list:
    return sorted(set.intersection(*(set(column) for column in columns)))


def _steps_up(numbers: list[float]) -> int:
    return sum(b > a for a, b in itertools.pairwise(numbers))


def _in_the_mean(wins: int, seeds: int) -> str:
    return "held" if wins == seeds else f"held in the mean, {wins} of {seeds} seeds"


def _temperatures(runs: pathlib.Path) -> str:
    top1 = _top1(runs / "temperatures", "method")
    distances = _distances(runs / "analysis")
    rows = [
        (name, mean, _mean(distances[name]) if name in distances else "-")
        for name, mean in _rows(top1)
    ]
    others = [column for name, column in distances.items() if name != "mse"]
    falling = [{seed: -v for seed, v in distances[name].items()} for name in TAUS]
    claims = [
        ("accuracy rises with tau at alpha 1", rises([top1[tau] for tau in TAUS])),
        compare("tau 20 is better than tau 1", top1["kd_tau20"], top1["kd_tau1"]),
        ("the logit distance falls with tau", rises(falling)),
        ("the logit distance is least for MSE", is_least(distances["mse"], others)),
        *_against(top1, "ce", ("kd_tau20", "kd_inf", "mse"), "plain cross entropy"),
    ]
    columns = ("student", "test top-1 %", "median logit distance, training images")
    title = "KL versus MSE: temperatures at alpha 1"
    return _section(title, "", columns, rows, claims)


def _noisy_labels(runs: pathlib.Path) -> str:
    top1 = _top1(runs / "noisy_labels", "method")
    teacher = _top1(runs / "noisy_teachers", "")[""]
    claims = [
        compare(f"{small} beats {other}", top1[small], top1[other])
        for small in ("kd_tau01", "kd_tau05", "kd_tau05_plain", "kd_tau1")
        for other in ("kd_inf", "mse")
    ]
    return _section(
        "KL versus MSE: a teacher trained under 40 % symmetric noise",
        "Students see no label (alpha 1); the test labels are clean. `plain` is "
        "without the factor 1/tau.",
        ("network", "test top-1 %"),
        [("teacher", _mean(teacher)), *_rows(top1)],
        claims,
    )


def _detectors(runs: pathlib.Path) -> str:
    f1, top1 = _detector_values(runs / "detectors")
    rows, claims = [], []
    for rate in sorted({rate for rate, _ in top1}):
        everything, proxy = f1[rate, "all"], top1[rate, "proxy"]
        rows.append((rate, "everything", _mean(everything), _mean(proxy)))
        for name in DETECTORS:
            rows.append((rate, name, _mean(f1[rate, name]), _mean(top1[rate, name])))
            text = f"{rate}: F1 of {name} above keep-all"
            claims.append(compare(text, f1[rate, name], everything))
            text = f"{rate}: retraining on {name}'s selection beats everything"
            claims.append(compare(text, top1[rate, name], proxy))
        for name in ("oracle", "random"):
            rows.append((rate, name, "-", _mean(top1[rate, name])))
    return _section(
        "Winning tickets in noisy labels",
        "One proxy by cross entropy on everything; then a fresh network, as many "
        "epochs, on what each detector kept. `random` keeps as many as the oracle.",
        ("noise", "trained on", "F1 %", "test top-1 %"),
        rows,
        claims,
    )


def _detector_values(sweep: pathlib.Path) -> tuple[dict, dict]:
    """(noise rate, detector) -> seed -> F1 of its selection, and test accuracy."""
    f1, top1 = collections.defaultdict(dict), collections.defaultdict(dict)
    for trial in _json(sweep / "results.json")["rows"]:
        rate, seed = trial["cells"]["data.noise.rate"], trial["cells"]["seed"]
        directory = sweep / trial["row"]
        for name in DETECTORS:
            selection = _json(directory / f"select_{name}" / "selection.json")
            # "found" in selections of the version before.
            agreement = selection.get("agreement") or selection["found"]
            f1[rate, name][seed] = 100 * agreement["f1"]
            f1[rate, "all"][seed] = 100 * selection["keep_all"]["f1"]
        for name in ("proxy", *DETECTORS, "oracle", "random"):
            student, *_ = _json(directory / name / "summary.json")["students"].values()
            top1[rate, name][seed] = student["metrics"]["top1"]
    return dict(f1), dict(top1)


def _corrections(runs: pathlib.Path) -> str:
    top1 = _top1(runs / "corrections", "method,selection")
    adjusted = ("ka_ps", "ka_lsr", "dtd_flsw", "dtd_cwsm", "dtd_la")
    revised = ("lr_mse", "lr_kl", "ds", "lr_ds")
    claims = _against(top1, "kd", (*adjusted, *revised), "kd")
    claims += _against(top1, "kd_labels", revised, "kd_labels")
    for name in ("ds", "lr_ds"):
        text = f"{name} by influence beats {name} at random"
        claims.append(compare(text, top1[name], top1[f"{name}_random"]))
    return _section(
        "Logits adjustment, dynamic temperature, label revision, data selection",
        "`kd` has the temperature of the others and sees no label, nor do those "
        "that adjust logits or temperatures (ka, dtd). Those that revise labels or "
        "select data (lr, ds) see labels too: `lr_kl` has a tenth, as `kd_labels`, "
        "and a fifth or more of the label in each target as well; `lr_mse` has them "
        "where the teacher is right, `ds` and `lr_ds` on samples that are not "
        "selected for the teacher.",
        ("student", "test top-1 %"),
        _rows(top1),
        claims,
    )


def _against(top1, base: str, names, what: str) -> list[Claim]:
    return [compare(f"{name} beats {what}", top1[name], top1[base]) for name in names]


def _section(title: str, text: str, columns, rows, claims: list[Claim]) -> str:
    tables = pages.table(columns, rows), pages.table(("claim", "here"), claims)
    return "\n\n".join(filter(None, [f"## {title}", text, *tables]))


def _rows(values: dict[str, Values]) -> list[tuple[str, str]]:
    return [(name, _mean(by_seed)) for name, by_seed in values.items()]


def _mean(by_seed: Values) -> str:
    return pages.spread(by_seed.values())


def _origin(runs: pathlib.Path) -> str:
    """Which code on which devices, how long, from the runs themselves."""
    summaries = [_json(path) for path in sorted(runs.rglob("summary.json"))]
    versions, devices = {}, {}
    for one in summaries:
        provenance = one.get("provenance") or {}
        python = {"Python": provenance["python"]} if "python" in provenance else {}
        used = python | one["identity"]["versions"]
        versions[pages.plain(", ".join(f"{k} {v}" for k, v in used.items()))] = None
        if "device" in provenance:
            devices[pages.plain(provenance["device"])] = None
    # A trial that shares a program has its seconds in the program's own summary.
    minutes = sum(s["seconds"] for s in summaries if "program" not in s) / 60
    where = f", on {'; '.join(devices)}" if devices else ""
    text = f"Measured with {'; '.join(versions)}{where}; "
    return f"{text}{minutes:.0f} minutes of training in all."


def _json(path: pathlib.Path) -> dict:
    return read_json(path, "a result of a sweep")


def _top1(sweep: pathlib.Path, axis: str) -> dict[str, Values]:
    """Value of an axis -> seed -> test accuracy."""
    values = collections.defaultdict(dict)
    for trial in _json(sweep / "results.json")["rows"]:
        if trial["state"] == "done":
            cells = trial["cells"]
            values[cells.get(axis, "")][cells["seed"]] = trial["metrics"]["top1"]
    return dict(values)


def _distances(analyses: pathlib.Path) -> dict[str, Values]:
    """Student -> seed -> median distance of its logits to the teacher's."""
    values = collections.defaultdict(dict)
    for path in sorted(analyses.glob("*/analysis.json")):
        for trial, metrics in _json(path).items():
            seed, name = trial.removeprefix("seed-").split("__method-")
            values[name][seed] = metrics["logit_distance/median"]
    return dict(values)
