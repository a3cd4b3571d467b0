"""What a training run says of itself, before it begins and when it is done."""

import contextlib
import datetime
import functools
import json
import math
import pathlib
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator

import jax
import numpy as np

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.distributed import collectives, devices
from kdjax.experiment.build import Experiment
from kdjax.experiment.data import prepared_source
from kdjax.reporting.reporter import Reporter
from kdjax.runner import skipped_images
from kdjax.runner.workdir import is_done
from kdjax.training.evaluator import Batches
from kdjax.training.loop import NonFinite
from kdjax.training.update import unusable_rows

SKIPPED_STEPS = "skipped_steps.jsonl"


def announce(experiment: Experiment, start: int, reporter: Reporter) -> None:
    """Says what is about to run, from step `start` on."""
    data = experiment.identity["data"]["train"]
    train, test = len(experiment.train.label), len(experiment.test.label)
    lines = [
        devices.describe(),
        f"data: {data['name']}, {train:,} training and {test:,} test images",
    ]
    for epoch, side in data.get("crops", {}).get("sizes", ()):
        lines.append(f"crops: {side}x{side} from epoch {epoch} on")
    if "noise" in data:
        wrong = 100 * data["noise"]["effective_rate"]
        lines.append(f"labels: {data['noise']['name']} noise, {wrong:.1f} % are wrong")
    if "kept" in data:
        lines.append(f"selection: trained on {data['kept']:,} samples")
    if experiment.teacher:
        teacher = experiment.teacher.identity
        where = teacher.get("workdir", teacher.get("network"))
        step = f" at step {teacher['step']}" if "step" in teacher else ""
        lines.append(f"teacher: {where}{step}, digest {teacher['digest'][:12]}")
        if "adapted" in teacher:
            lines.append(f"teacher: adapted by {json.dumps(teacher['adapted'])}")
        for path in teacher["workdir"].split(",") if "workdir" in teacher else ():
            if not is_done(paths.parse(path, "config.teacher.workdir")):
                text = f"teacher: {path} is not finished; its present state is used"
                lines.append(text)
    if experiment.cache:
        cache = experiment.cache.identity
        largest = f", the {cache['top_k']} largest" if cache["top_k"] else ""
        source = f"{cache['path']}, {cache['dtype']}{largest}"
        lines.append(f"teacher outputs: from {source}")
    if experiment.initial and not start:
        lines += initial_lines(experiment)
    if start:
        lines.append(f"resuming at step {start} of {experiment.plan.total_steps}")
    names = ", ".join(experiment.students)
    lines.append(f"training in one program: {names}; the first step compiles")
    for line in lines:
        reporter.say(line)


def initial_lines(experiment: Experiment) -> list[str]:
    """What training begins with, and what becomes of the last layer."""
    initial, shape = experiment.initial, experiment.identity["data"]["image_shape"]
    lines = list(dict.fromkeys(head.sentence for head in initial.heads.values()))
    if not experiment.config["data"]["mean"]:
        moments = experiment.identity["data"]["normalisation"]
        mean, std = (
            ", ".join(f"{x:.4g}" for x in moments[key]) for key in ("mean", "std")
        )
        text = f"images are normalised as for those weights: mean {mean}; std {std}"
        lines.append(f"initial: {text}")
    if shared := ", ".join(initial.connectors):
        lines.append(f"initial: connectors {shared} from {initial.identity['workdir']}")
    was = initial.trained_on["image_shape"]
    if was != shape:
        sizes = ("x".join(map(str, one[:2])) for one in (was, shape))
        lines.append(
            "initial: trained on images of {}, and these are {}".format(*sizes)
        )
    return lines


def check_teacher(experiment: Experiment, batches: Batches) -> None:
    """Refuses a teacher whose answers on the test images are not finite."""
    wrong = total = 0
    for batch in batches.rows:
        logits = np.asarray(batch["teacher_logits"], np.float32)
        wrong += int(np.sum(unusable_rows(logits, np) & batch["valid"]))
        total += int(np.sum(batch["valid"]))
    wrong, total = np.sum(collectives.all_gather([wrong, total]), 0)
    if wrong:
        teacher = experiment.teacher.identity
        where = teacher.get("workdir", teacher.get("network"))
        raise InputError(
            f"config.teacher: {where} answers {wrong} of {total} test images with NaN "
            "or infinity; expected finite logits. A network that diverged teaches "
            "nothing: choose another teacher, or an earlier config.teacher.checkpoint."
        )


@contextlib.contextmanager
def listing(
    experiment: Experiment, workdir: pathlib.Path, start: int
) -> Iterator[Callable[[int, dict[str, str]], str]]:
    """Yields `record_skipped` of the loop; its file is opened for the first row.

    At once where there is one: its rows after step `start` will be made again.
    """
    with contextlib.ExitStack() as files:

        @functools.cache
        def opened():
            from kdjax.runner.skipped_steps import SkippedSteps

            steps = SkippedSteps(experiment, workdir, start)
            return files.enter_context(contextlib.closing(steps))

        if collectives.is_primary() and (workdir / SKIPPED_STEPS).exists():
            opened()
        yield lambda step, reasons: opened().record(step, reasons)


def check_end(
    experiment: Experiment,
    results: dict,
    states: dict,
    skipped_steps: dict,
    reporter: Reporter,
) -> None:
    """Says what was skipped; NonFinite where a network or a score is nonsense."""
    for name, row in skipped_steps.items():
        from kdjax.training.guards import sentence

        reporter.say(sentence(name, row, experiment.plan.total_steps))
    check_scores(results)
    for name, state in states.items():
        weights = map(np.asarray, jax.tree.leaves(state.evaluated))
        if not all(np.isfinite(leaf).all() for leaf in weights):
            raise _nonsense(name, "a weight")


def check_scores(results: dict) -> None:
    """Raises NonFinite where a student's last evaluation is nonsense."""
    for name, row in results.items():
        for key, value in row.items():
            if value is None or not math.isfinite(value):
                raise _nonsense(name, f"a {key} in the last evaluation")


def _nonsense(name: str, what: str) -> NonFinite:
    text = (
        f"train: {name} ends with {what} that is not finite: it has learnt nothing "
        "that can be used, so this run does not count as finished. Lower "
        "config.schedule.learning_rate, set config.optimizer.clip_norm, or look at the "
        "data, in a new --workdir."
    )
    return NonFinite(text, student=name)


def summary(
    experiment: Experiment,
    results: dict,
    seconds: float,
    time: dict,
    skipped: dict | None,
    skipped_steps: dict,
) -> dict:
    """What a finished run says of itself."""
    students = {
        name: {key: row[key]["name"] for key in ("model", "method")}
        | {"metrics": results[name]}
        for name, row in experiment.identity["students"].items()
    }
    teacher = experiment.identity["teacher"]
    if experiment.config["published"]["top1"]:
        from kdjax.experiment.comparable import published_of

        for name, row in experiment.identity["students"].items():
            if published := published_of(experiment.config, row, teacher):
                students[name]["published"] = published
    for name, row in skipped_steps.items():
        share = 100 * row["steps"] / experiment.plan.total_steps
        counted = {"steps": row["steps"], "percent": share, "reasons": row["reasons"]}
        students[name]["skipped_steps"] = counted
    source = prepared_source(experiment.config["data"])
    return {
        "seconds": seconds,
        "students": students,
        **({"prepared": source} if source else {}),
        **skipped_images.as_json(skipped),
        "identity": experiment.identity,
        "time": time,
        "provenance": provenance(),
    }


def provenance() -> dict:
    """When, where and by which command a run was finished, for its report.

    "command" is None of a run from Python, "commit" where the working directory is in
    no clone.
    """
    used = jax.devices()
    kinds = ", ".join(sorted({device.device_kind for device in used}))
    if used[0].platform == "cpu":
        kinds = f"CPU device, {platform.machine()}, {devices.cores()} core(s)"
    program = pathlib.Path(sys.argv[0])
    start = {"kdjax": ["kdjax"], "__main__": ["python", "-m", "kdjax"]}
    start = start.get(program.stem) if "kdjax" in str(program) else None
    return {
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join([*start, *sys.argv[1:]]) if start else None,
        "device": f"{len(used)} x {kinds}",
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    """Of the clone in which the command was started."""
    git = ["git", "rev-parse", "--verify", "HEAD"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(git, capture_output=True, timeout=10, check=True)
        return done.stdout.decode().strip()
    return None
