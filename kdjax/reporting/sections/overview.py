"""What was run, on what, and how to run it again."""

from collections.abc import Iterable

from kdjax.contracts import flat
from kdjax.reporting.blocks import Code, Section, Table
from kdjax.reporting.progress import duration
from kdjax.reporting.runs import Run, teacher_top1
from kdjax.reporting.same_images import content

MOST = 4  # values of one fact that are written out


def overview(runs: list[Run]) -> Section:
    facts = {
        "data": _data_sets(runs),
        "teacher": [(run.name, _teacher(run, runs)) for run in runs],
        "trained": [("", _count(runs))],
        "length": [(run.name, _length(run)) for run in runs],
        "optimizer": [(run.name, _optimizer(run)) for run in runs],
        "seeds": [("", ", ".join(map(str, _seeds(runs))))],
        "goodput": [(run.name, _goodput(run)) for run in runs],
        "device": [(run.name, _started(run, "device")) for run in runs],
        "finished": [(run.name, _finished(run)) for run in runs],
        "versions": [(run.name, _versions(run)) for run in runs],
        "commit": [(run.name, _started(run, "commit")[:12]) for run in runs],
    }
    rows = [(name, text) for name, pairs in facts.items() if (text := _joined(pairs))]
    blocks = [Table(("", ""), rows, text_columns=2)]
    if commands := _commands(runs):
        blocks.append(Code("\n".join(commands), "To run it again, from the top down:"))
    if config := _configs(runs):
        blocks.append(Code(config, "Configuration", is_folded=True))
    return Section("What was run", blocks)


def _joined(pairs: Iterable[tuple[str, str]]) -> str:
    """One value where all runs share it, else each with its runs."""
    owners: dict[str, list[str]] = {}
    for name, text in pairs:
        if text:
            owners.setdefault(text, []).append(name)
    if len(owners) <= 1:
        return next(iter(owners), "")
    lines = [
        f"{text} ({', '.join(names) if len(names) <= 2 else f'{len(names)} runs'})"
        for text, names in list(owners.items())[:MOST]
    ]
    more = [f"and {len(owners) - MOST} more"] * (len(owners) > MOST)
    return "\n".join([*lines, *more])


def _data_sets(runs: list[Run]) -> list[tuple[str, str]]:
    """The sets of the runs; those of one name with their digests, where they differ."""
    texts, contents = [_data(run) for run in runs], [content(run) for run in runs]
    pairs = []
    for run, text, own in zip(runs, texts, contents, strict=True):
        same = {c for t, c in zip(texts, contents, strict=True) if t == text}
        digests = " and ".join(digest[:8] for digest in own)
        more = f", SHA-256 {digests}" if own and len(same) > 1 else ""
        pairs.append((run.name, text + more))
    return pairs


def _data(run: Run) -> str:
    data = run.identity.get("data") or {}
    parts = [data.get(key) or {} for key in ("train", "test")]
    if not all(parts):
        return str(run.config.get("data", {}).get("name", ""))
    counts = [
        f"{part['num_examples']:,} {word} images ({part['split']})"
        for part, word in zip(parts, ("training", "test"), strict=True)
        if "num_examples" in part
    ]
    version = f" {parts[0]['version']}" if parts[0].get("version") else ""
    text = f"{parts[0].get('name', '')}{version}: {', '.join(counts)}"
    if isinstance(data.get("classes"), int):
        text += f", {data['classes']} classes"
    noise = parts[0].get("noise") or {}
    if "effective_rate" in noise:
        wrong = 100 * noise["effective_rate"]
        text += f", {wrong:.1f} % of the training labels wrong ({noise.get('name')})"
    return text


def _teacher(run: Run, runs: list[Run]) -> str:
    model = (run.identity.get("teacher") or {}).get("model") or {}
    named = f" ({model['name']})" if "name" in model else ""
    return ", ".join(
        f"{text}{named}" + (f": {top1:.2f} % test top-1" if top1 is not None else "")
        for text, top1 in teacher_top1(run, runs).items()
    )


def _count(runs: list[Run]) -> str:
    networks = sum(len(run.results) for run in runs)
    text = f"{networks} network{'s' * (networks != 1)} in {len(runs)} run"
    text += "s" * (len(runs) != 1)
    going = [run for run in runs if not run.is_finished]
    if not going:
        return text
    where = ", ".join(f"{run.name} at epoch {_epoch(run):g}" for run in going[:MOST])
    return f"{text}; not finished: {where}" + ", ..." * (len(going) > MOST)


def _epoch(run: Run) -> float:
    return run.rows[-1]["epoch"] if run.rows else 0.0


def _length(run: Run) -> str:
    epochs, batch = (run.config.get(key) for key in ("total_epochs", "batch_size"))
    if steps := run.config.get("total_steps"):
        return f"{steps:,} steps of {batch} images"
    unit = "epoch" if epochs == 1 else "epochs"
    return f"{epochs:g} {unit}, {batch} images a step" if epochs else ""


def _optimizer(run: Run) -> str:
    section, schedule = (run.config.get(key, {}) for key in ("optimizer", "schedule"))
    rate = schedule.get("learning_rate")
    parts = [section.get("name"), schedule.get("name")]
    parts += [f"learning rate {rate:g}" if isinstance(rate, float) else None]
    return ", ".join(map(str, filter(None, parts)))


def _seeds(runs: list[Run]) -> list[int]:
    seeds = {
        result.section.get("seed", run.config.get("seed"))
        for run in runs
        for result in run.results
    }
    return sorted(seed for seed in seeds if seed is not None)


def _started(run: Run, key: str) -> str:
    return str(run.summary.get("provenance", {}).get(key) or "")


def _finished(run: Run) -> str:
    return _started(run, "finished")[:10]


def _goodput(run: Run) -> str:
    time = run.summary.get("time") or {}
    if "goodput_percent" not in time:
        return ""
    return f"{time['goodput_percent']:.1f} % of {duration(time['seconds'])}"


def _commands(runs: list[Run]) -> list[str]:
    """Each command once, in the order in which they were finished."""
    ordered = sorted(runs, key=lambda run: _started(run, "finished"))
    commands = [_started(run, "command") for run in ordered]
    return list(dict.fromkeys(filter(None, commands)))


def _versions(run: Run) -> str:
    versions = run.identity.get("versions", {})
    python = _started(run, "python")
    versions = ({"Python": python} if python else {}) | versions
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _configs(runs: list[Run]) -> str:
    """Every key of the configs with its value, or its values where they differ."""
    flats = {run.name: flat(run.config) for run in runs if run.config}
    keys = sorted({key for config in flats.values() for key in config})
    lines = []
    for key in keys:
        # An empty text is a value: without one it would seem to have that of others.
        pairs = [(n, str(own.get(key, "-")) or '""') for n, own in flats.items()]
        lines.append(f"{key} = " + "; ".join(_joined(pairs).split("\n")))
    return "\n".join(lines)
