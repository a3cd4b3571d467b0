"""What a training says of itself before its first step."""

import json
import pathlib

from kdjax.distributed import devices
from kdjax.experiment.build import Experiment
from kdjax.reporting.reporter import Reporter
from kdjax.runner.workdir import is_done


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
    lines += _of_teacher(experiment.teacher.identity) if experiment.teacher else []
    if experiment.cache:
        cache = experiment.cache.identity
        largest = f", the {cache['top_k']} largest" if cache["top_k"] else ""
        source = f"{cache['path']}, {cache['dtype']}{largest}"
        lines.append(f"teacher outputs: from {source}")
    if start:
        lines.append(f"resuming at step {start} of {experiment.plan.total_steps}")
    names = ", ".join(experiment.students)
    lines.append(f"training in one program: {names}; the first step compiles")
    for line in lines:
        reporter.say(line)


def _of_teacher(identity: dict) -> list[str]:
    where = identity.get("workdir", identity.get("network"))
    step = f" at step {identity['step']}" if "step" in identity else ""
    lines = [f"teacher: {where}{step}, digest {identity['digest'][:12]}"]
    if "adapted" in identity:
        lines.append(f"teacher: adapted by {json.dumps(identity['adapted'])}")
    for path in identity["workdir"].split(",") if "workdir" in identity else ():
        if not is_done(pathlib.Path(path)):
            lines.append(f"teacher: {path} is not finished; its present state is used")
    return lines
