"""What a training run says of itself, before it begins and when it is done."""

import json

from kdjax import paths
from kdjax.distributed import devices
from kdjax.experiment.build import Experiment
from kdjax.experiment.comparable import published_of
from kdjax.reporting.reporter import Reporter
from kdjax.runner import skipped_images
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
    if start:
        lines.append(f"resuming at step {start} of {experiment.plan.total_steps}")
    names = ", ".join(experiment.students)
    lines.append(f"training in one program: {names}; the first step compiles")
    for line in lines:
        reporter.say(line)


def summary(
    experiment: Experiment, results: dict, seconds: float, skipped: dict | None
) -> dict:
    """What a finished run says of itself."""
    students = {
        name: {key: row[key]["name"] for key in ("model", "method")}
        | {"metrics": results[name]}
        for name, row in experiment.identity["students"].items()
    }
    teacher = experiment.identity["teacher"]
    for name, row in experiment.identity["students"].items():
        if published := published_of(experiment.config, row, teacher):
            students[name]["published"] = published
    return {
        "seconds": seconds,
        "students": students,
        **skipped_images.as_json(skipped),
        "identity": experiment.identity,
    }
