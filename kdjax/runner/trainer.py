"""One training run in its directory: start or resume, loop, summary."""

import contextlib
import json
import math
import pathlib

import jax
import numpy as np

from kdjax import paths
from kdjax.checkpoints import Checkpointer
from kdjax.distributed import collectives, devices
from kdjax.experiment.build import Experiment
from kdjax.experiment.comparable import published_of
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.reporting.reporter import Reporter, Silent
from kdjax.reporting.results import SUMMARY
from kdjax.runner import provenance, skipped_images
from kdjax.runner.initial import begin_with
from kdjax.runner.profile import check_profile, traced
from kdjax.runner.sample_weights import SampleInfo
from kdjax.runner.steps import Steps
from kdjax.runner.workdir import is_done, write_config, write_json
from kdjax.training import loop, sharding
from kdjax.training.evaluator import add_teacher, evaluation_rows, scorer
from kdjax.training.goodput import Goodput, sentence
from kdjax.training.state import initial_state


def train(
    experiment: Experiment,
    workdir: pathlib.Path,
    deadline: float = math.inf,
    profile: tuple[int, int] | None = None,
) -> None:
    """Runs an experiment in its directory, from its newest checkpoint if any.

    Stops with its state saved, as by a signal, when `time.monotonic()` is `deadline`.
    The steps of `profile`, (first, last), are traced.
    """
    goodput, mesh = Goodput(), sharding.make_mesh()
    check_profile(profile, experiment.plan.total_steps)
    checkpointer, states, meta = _start(experiment, workdir, mesh)
    start = meta["step"]
    reporter = _reporter(experiment, workdir, start, goodput)
    collected = skipped_images.collect(experiment.train, workdir, start, reporter.say)
    closing = contextlib.closing
    with closing(checkpointer), closing(reporter), collected as skipped:
        _announce(experiment, start, reporter)
        variables = experiment.teacher and sharding.place_replicated(
            experiment.teacher.variables, mesh
        )
        sample_info = SampleInfo(experiment, variables, mesh, workdir, start)
        if not experiment.plan.is_enough(meta.get("metrics")):
            steps = Steps(experiment, variables, mesh, sample_info)
            tracing = traced(steps, profile, workdir, reporter.say)
            with closing(steps), tracing as steps:
                loop.run(
                    experiment.plan,
                    states,
                    start=start,
                    steps=steps,
                    evaluate=evaluation(experiment, variables, mesh),
                    checkpointer=checkpointer,
                    reporter=reporter,
                    images_per_step=experiment.batch_size,
                    deadline=deadline,
                    should_stop=collectives.stopper(),
                    gather=collectives.gather,
                    agree=lambda own: collectives.broadcast(lambda: own),
                    goodput=goodput,
                )
        spent = goodput.summary()
        reporter.say(sentence(spent))
    results = reporter.last_evaluation or meta["metrics"]
    record = summary(experiment, results, reporter.seconds, skipped)
    record["time"] = spent
    if selections := sample_info.report():
        record["selections"] = selections
    write_json(workdir / SUMMARY, record)


def _start(experiment: Experiment, workdir: pathlib.Path, mesh):
    """(checkpointer, states, meta of the checkpoint that they are from), checked."""
    microbatches = experiment.accumulation_steps
    devices.check_batch(experiment.batch_size, microbatches=microbatches)
    devices.keep_programs()
    config, identity = experiment.config, experiment.identity
    shared = {f"config.{key}": value for key, value in config.items() if key != "data"}
    shared |= {f"identity.{key}": value for key, value in identity.items()}
    collectives.assert_equal("this run", shared)
    write_config(workdir, config)
    names, keep_all = tuple(experiment.students), experiment.keep_all
    checkpointer = Checkpointer(workdir / CHECKPOINTS, names, identity, keep_all)
    states, meta = begin(experiment, checkpointer, mesh)
    if "data" in meta:
        provenance.check_resumed(workdir, meta, identity)
    return checkpointer, states, meta


def _reporter(experiment: Experiment, workdir: pathlib.Path, start: int, goodput):
    """Of process 0 alone; the others report nothing."""
    return (Reporter if collectives.is_primary() else Silent)(
        workdir,
        start=start,
        total_steps=experiment.plan.total_steps,
        steps_per_epoch=experiment.steps_per_epoch,
        tensorboard=experiment.tensorboard,
        goodput=goodput,
    )


def _announce(experiment: Experiment, start: int, reporter: Reporter) -> None:
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


def begin(experiment: Experiment, checkpointer: Checkpointer, mesh):
    """The newest checkpoint's (states, meta), or fresh states at step 0."""
    students, teacher = experiment.students, experiment.teacher
    pair = teacher and (teacher.network, teacher.variables)
    shardings = sharding.of_states(students, mesh)

    def initialise():
        images = np.zeros((2, *experiment.train.image.shape[1:]), np.float32)
        return {n: initial_state(s, images, pair) for n, s in students.items()}

    abstract = sharding.abstract(jax.eval_shape(initialise), shardings)
    collectives.assert_equal("these checkpoints", {"steps": checkpointer.steps()})
    restored = checkpointer.restore_latest(abstract, collectives.log)
    if restored:
        sums = {key: restored[1][key] for key in ("step", "checksums")}
        collectives.assert_equal("this checkpoint", sums)
        return restored
    states = sharding.compile_init(initialise, mesh, shardings)()
    initial = experiment.initial
    if initial:
        states = {n: begin_with(n, s, initial, mesh) for n, s in states.items()}
    return states, {"step": 0}


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


def evaluation(experiment: Experiment, variables, mesh):
    """states -> name -> metrics; the teacher's outputs are computed once, here.

    Where weights are averaged, the metrics are the average's, and "raw_top1" and
    "raw_loss" those of the weights that the optimizer trains.
    """
    normalise, students = experiment.augment.evaluate, experiment.students
    networks = {name: s.network for name, s in students.items()}
    averaged = {name: f"{name}/raw" for name, s in students.items() if s.ema_decay}
    raw = {key: networks[name] for name, key in averaged.items()}

    def scorer_of(networks, split, teacher=None):
        batches = evaluation_rows(split, experiment.evaluation_batch_size, mesh)
        if teacher:
            add_teacher(teacher.network, variables, normalise, batches)
        return scorer(networks, normalise, batches)

    score = scorer_of(networks | raw, experiment.test, experiment.teacher)
    score_train = None
    if experiment.scores_train:
        score_train = scorer_of(networks, experiment.train)

    def evaluate(states):
        variables = {name: state.evaluated for name, state in states.items()}
        trained = {
            key: (states[name].params, states[name].batch_stats)
            for name, key in averaged.items()
        }
        results = score(variables | trained)
        for name, key in averaged.items():
            row = results.pop(key)
            results[name] |= {"raw_top1": row["top1"], "raw_loss": row["loss"]}
        for name, row in (score_train(variables) if score_train else {}).items():
            results[name] |= {"train_top1": row["top1"], "train_loss": row["loss"]}
        return results

    return evaluate
