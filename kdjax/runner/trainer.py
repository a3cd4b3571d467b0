"""One training run in its directory: begin or resume, loop, summary."""

import contextlib
import dataclasses
import json
import math
import pathlib

import jax
import numpy as np

from kdjax.checkpoints import Checkpointer
from kdjax.contracts import InputError
from kdjax.distributed import collectives, devices
from kdjax.experiment.build import Experiment
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.reporting.reporter import Reporter, Silent
from kdjax.runner import identities, skipped_images
from kdjax.runner import workdir as workdirs
from kdjax.runner.sample_weights import SampleInfo
from kdjax.runner.steps import Steps
from kdjax.training import loop, sharding
from kdjax.training.evaluator import add_teacher, evaluation_rows, scorer
from kdjax.training.state import TrainState, initial_state
from kdjax.types import PyTree


def train(
    experiment: Experiment, workdir: pathlib.Path, deadline: float = math.inf
) -> None:
    """Runs an experiment in its directory, from its newest checkpoint if any.

    Stops with its state saved, as by a signal, when `time.monotonic()` is `until`.
    """
    devices.check_batch(experiment.batch_size)
    devices.keep_programs()
    collectives.assert_equal("this run", _in_common(experiment))
    workdirs.write_config(workdir, experiment.config)
    mesh = sharding.make_mesh()
    names = tuple(experiment.students)
    checkpointer = Checkpointer(
        workdir / CHECKPOINTS, names, experiment.identity, experiment.keep_all
    )
    states, meta = begin(experiment, checkpointer, mesh)
    if "data" in meta:
        identities.check_resumed(workdir, meta, experiment.identity)
    reporter = _reporter(experiment, workdir, meta["step"])
    told = skipped_images.told(experiment.train, workdir, meta["step"], reporter.say)
    with contextlib.closing(checkpointer), contextlib.closing(reporter), told as unread:
        announce(experiment, meta["step"], reporter)
        variables = _teacher_variables(experiment, mesh)
        sample_info = SampleInfo(experiment, variables, mesh, workdir, meta["step"])
        if not experiment.plan.is_enough(meta.get("metrics")):
            made = Steps(experiment, variables, mesh, sample_info)
            with contextlib.closing(made) as steps:
                loop.run(
                    experiment.plan,
                    states,
                    start=meta["step"],
                    steps=steps,
                    evaluate=evaluation(experiment, variables, mesh),
                    checkpointer=checkpointer,
                    reporter=reporter,
                    images_per_step=experiment.batch_size,
                    deadline=deadline,
                    should_stop=collectives.stopper(),
                )
    results = reporter.last_evaluation or meta["metrics"]
    workdirs.finish(workdir, summary(experiment, results, reporter.seconds, unread))


def _reporter(experiment: Experiment, workdir: pathlib.Path, start: int):
    """The first process tells what happens."""
    return (Reporter if collectives.is_primary() else Silent)(
        workdir,
        start=start,
        total_steps=experiment.plan.total_steps,
        steps_per_epoch=experiment.steps_per_epoch,
        tensorboard=experiment.tensorboard,
    )


def _in_common(experiment: Experiment) -> dict:
    """What all processes must have been given alike."""
    config, identity = experiment.config, experiment.identity
    told = {f"config.{key}": value for key, value in config.items() if key != "data"}
    return told | {f"identity.{key}": value for key, value in identity.items()}


def _teacher_variables(experiment: Experiment, mesh) -> PyTree | None:
    if experiment.teacher is None:
        return None
    return sharding.place_replicated(experiment.teacher.variables, mesh)


def begin(experiment: Experiment, checkpointer: Checkpointer, mesh):
    """The newest checkpoint's (states, meta), or fresh states at step 0."""
    same = sharding.replicated(mesh)

    def initialise():
        images = np.zeros((2, *experiment.train.image.shape[1:]), np.float32)
        return {n: initial_state(s, images) for n, s in experiment.students.items()}

    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=same),
        jax.eval_shape(initialise),
    )
    collectives.assert_equal("these checkpoints", {"steps": checkpointer.steps()})
    restored = checkpointer.restore_latest(abstract, collectives.log)
    if restored:
        sums = {key: restored[1][key] for key in ("step", "checksums")}
        collectives.assert_equal("this checkpoint", sums)
        return restored
    states = sharding.compile_init(initialise, mesh)()
    if experiment.initial:
        states = {
            name: _begin_with(name, state, experiment.initial, mesh)
            for name, state in states.items()
        }
    return states, {"step": 0}


def _begin_with(name: str, state: TrainState, initial: PyTree, mesh) -> TrainState:
    """The state with another run's weights and statistics."""
    own = jax.tree.map(lambda x: tuple(x.shape), (state.params, state.batch_stats))
    given = jax.tree.map(lambda x: tuple(x.shape), initial)
    if own != given:
        raise InputError(
            f"config.initial: that run's network is not the one of {name}: it has "
            f"{len(jax.tree.leaves(initial))} arrays of other names or shapes than "
            "these; expected the same config.model."
        )
    params, batch_stats = sharding.copy_replicated(initial, mesh)
    return dataclasses.replace(state, params=params, batch_stats=batch_stats)


def summary(
    experiment: Experiment, results: dict, seconds: float, unread: dict | None
) -> dict:
    """What a finished run says of itself."""
    students = {
        name: {
            "model": row["model"]["name"],
            "method": row["method"]["name"],
            "metrics": results[name],
        }
        for name, row in experiment.identity["students"].items()
    }
    told = {"seconds": seconds, "students": students} | skipped_images.as_json(unread)
    return told | {"identity": experiment.identity}


def evaluation(experiment: Experiment, variables, mesh):
    """states -> name -> metrics; the teacher's answers are computed once, here."""
    normalise = experiment.augment.evaluate
    rows = experiment.evaluation_batch_size
    batches = evaluation_rows(experiment.test, rows, mesh)
    if experiment.teacher:
        add_teacher(experiment.teacher.network, variables, normalise, batches)
    networks = {name: s.network for name, s in experiment.students.items()}
    score = scorer(networks, normalise, batches)
    score_train = None
    if experiment.scores_train:
        batches = evaluation_rows(experiment.train, rows, mesh)
        score_train = scorer(networks, normalise, batches)

    def evaluate(states):
        variables = {name: (s.params, s.batch_stats) for name, s in states.items()}
        results = score(variables)
        for name, row in (score_train(variables) if score_train else {}).items():
            results[name] |= {"train_top1": row["top1"], "train_loss": row["loss"]}
        return results

    return evaluate


def announce(experiment: Experiment, start: int, reporter: Reporter) -> None:
    """Says what is about to run."""
    data, plan = experiment.identity["data"], experiment.plan
    reporter.say(devices.describe())
    reporter.say(
        f"data: {data['train']['name']}, {len(experiment.train.label):,} training and "
        f"{len(experiment.test.label):,} test images"
    )
    for epoch, side in data["train"].get("crops", {}).get("sizes", ()):
        reporter.say(f"crops: {side}x{side} from epoch {epoch} on")
    if "noise" in data["train"]:
        noise = data["train"]["noise"]
        wrong = 100 * noise["effective_rate"]
        reporter.say(f"labels: {noise['name']} noise, {wrong:.1f} % are wrong")
    if "kept" in data["train"]:
        reporter.say(f"selection: trained on {data['train']['kept']:,} samples")
    if experiment.teacher:
        who = experiment.teacher.identity
        where = who.get("workdir", who.get("network"))
        step = f" at step {who['step']}" if "step" in who else ""
        reporter.say(f"teacher: {where}{step}, digest {who['digest'][:12]}")
        if "adapted" in who:
            reporter.say(f"teacher: asked through {json.dumps(who['adapted'])}")
        for path in who.get("workdir", "").split(",") if "workdir" in who else ():
            if not workdirs.is_done(pathlib.Path(path)):
                reporter.say(f"{path} is not finished; it teaches as it is now")
    if experiment.cache:
        who = experiment.cache.identity
        largest = f", the {who['top_k']} largest" if who["top_k"] else ""
        reporter.say(f"its answers: from {who['path']}, {who['dtype']}{largest}")
    if start:
        reporter.say(f"resuming at step {start} of {plan.total_steps}")
    names = ", ".join(experiment.students)
    reporter.say(f"training in one program: {names}; the first step compiles")
