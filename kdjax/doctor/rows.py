"""The rows of metrics.jsonl: each once, none missing, as the checkpoints say."""

import math
import pathlib
from collections.abc import Iterator, Mapping

from kdjax.doctor.findings import Findings, note, ok, problem
from kdjax.paths.json_files import parse_json
from kdjax.reporting.reporter import ROW

METRICS = "metrics.jsonl"
TRAIN, EVAL, SKIPPED = "train/", "eval/", "/skipped"
SHARE = 0.1  # of steps skipped, from which on a run is not to be trusted
HARMLESS = (
    "Figures and reports lack these rows; training does not need them. Look at the "
    "disk: it lost what was written."
)
TWO_WRITERS = "Did two processes write here? Look for a second run of this command."
SETTINGS = (
    "Lower the learning rate, set config.optimizer.clip_norm or train in float32, in a "
    "new --workdir."
)


def examine_rows(workdir: pathlib.Path, log_every: int, metas: list[dict]) -> Findings:
    """`metas` are the checkpoints' identities, whose evaluations the rows repeat."""
    path = workdir / METRICS
    if not path.exists():
        if metas:
            yield problem(path, "is missing, and there are checkpoints", HARMLESS)
        return
    rows = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            rows += [parse_json(line, ROW)] if line.strip() else []
        except ValueError as error:
            yield problem(path, f"line {number} is no row: {error}", HARMLESS)
    kinds = {kind: [r for r in rows if _has(r, kind)] for kind in (TRAIN, EVAL)}
    for kind, own in kinds.items():
        yield from _order(path, kind, [row["step"] for row in own])
    yield from _gaps(path, [row["step"] for row in kinds[TRAIN]], log_every)
    yield from _evaluations(path, kinds[EVAL], metas)
    yield from _skipped(path, kinds[TRAIN])
    yield from _finite(path, kinds)
    last = rows[-1]["step"] if rows else 0
    yield ok(path, f"{len(rows)} rows, up to step {last}")


def _has(row: Mapping, kind: str) -> bool:
    return any(key.startswith(kind) for key in row)


def _order(path, kind: str, steps: list[int]) -> Findings:
    """Each step once, and in order."""
    pairs = list(zip(steps, steps[1:], strict=False))
    twice = [b for a, b in pairs if a == b]
    if twice:
        text = f"has two {kind}... rows of step {_listed(twice)}"
        yield problem(path, text, TWO_WRITERS)
    back = [b for a, b in pairs if b < a]
    if back:
        text = f"goes back to step {_listed(back)} in its {kind}... rows"
        yield problem(path, text, TWO_WRITERS)


def _gaps(path, steps: list[int], every: int) -> Findings:
    """Rows come at each multiple of `every`, which may have been another before."""
    gaps = [b - a for a, b in zip([0, *steps], steps, strict=False)]
    for place, gap in enumerate(gaps):
        begin = steps[place] - gap
        missing = list(range(begin - begin % every + every, steps[place], every))
        if gap <= every or not missing:
            continue
        beside = gaps[max(place - 1, 0) : place] + gaps[place + 1 : place + 2]
        text = f"has no train/... row of step {_listed(missing)}"
        if gap in beside:
            yield note(path, f"{text}; rows were written every {gap} steps there")
        else:
            yield problem(path, text, HARMLESS)


def _evaluations(path, rows: list[dict], metas: list[dict]) -> Findings:
    by_step = {row["step"]: row for row in rows}
    for meta in metas:
        wanted = {
            f"{EVAL}{name}/{key}": value
            for name, own in meta.get("metrics", {}).items()
            for key, value in own.items()
        }
        row = by_step.get(meta["step"])
        if wanted and row is None:
            text = f"has no eval/... row of step {meta['step']}, which was evaluated"
            yield problem(path, text, HARMLESS)
            continue
        other = [k for k, value in wanted.items() if not _same(row.get(k), value)]
        if other:
            yield problem(
                path,
                f"step {meta['step']}: {other[0]} is {row.get(other[0])} and in its "
                f"checkpoint {wanted[other[0]]}",
                "The checkpoint has checksums and is right; the row was changed.",
            )


def _same(shown, value) -> bool:
    """A row has null for what is not finite."""
    if shown is None:
        return value is None or not math.isfinite(value)
    return shown == value


def _skipped(path, rows: list[dict]) -> Findings:
    counts: dict[str, float] = {}
    for key, value in _numbers(rows):
        if key.endswith(SKIPPED) and value:
            counts[key] = counts.get(key, 0) + value
    total = max((row["step"] for row in rows), default=0)
    for key, count in counts.items():
        name = key.removeprefix(TRAIN).removesuffix(SKIPPED)
        text = f"{name}: {count:.0f} of {total} steps were skipped, as not finite"
        if count > SHARE * total:
            yield problem(path, text, SETTINGS)
        else:
            yield note(path, text, "They changed nothing. Many of them: " + SETTINGS)


def _finite(path, kinds: dict[str, list[dict]]) -> Findings:
    evaluated = kinds[EVAL][-1:]
    bad = [key for key, value in _items(evaluated) if not _is_finite(value)]
    if bad:
        text = (
            f"step {evaluated[0]['step']}, the last evaluation: {bad[0]} is not finite"
        )
        yield problem(path, text, SETTINGS)
    earlier = [*kinds[TRAIN], *kinds[EVAL][:-1]]
    lost = {row["step"] for row in earlier if _some_lost(row)}
    if lost:
        text = f"holds numbers that are not finite at step {_listed(sorted(lost))}"
        yield note(path, text, "Every step of such a row was skipped, or overflowed.")


def _some_lost(row: dict) -> bool:
    return any(not _is_finite(value) for _, value in _items([row]))


def _items(rows: list[dict]) -> Iterator[tuple[str, object]]:
    for row in rows:
        yield from ((k, v) for k, v in row.items() if k.startswith((TRAIN, EVAL)))


def _numbers(rows: list[dict]) -> Iterator[tuple[str, float]]:
    return ((k, v) for k, v in _items(rows) if isinstance(v, int | float))


def _is_finite(value) -> bool:
    return value is not None and (not isinstance(value, float) or math.isfinite(value))


def _listed(steps: list[int], most: int = 5) -> str:
    more = len(steps) - most
    text = ", ".join(map(str, steps[:most]))
    return text + (f" and {more} more" if more > 0 else "")
