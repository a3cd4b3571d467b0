"""One training run in its directory: start or resume, loop, summary."""

import contextlib
import math
import pathlib

import jax
import numpy as np

from kdjax import signals
from kdjax.checkpoints import Checkpointer
from kdjax.distributed import collectives, devices
from kdjax.experiment.build import Experiment
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.reporting.reporter import Reporter, Silent
from kdjax.reporting.results import SUMMARY
from kdjax.runner import provenance, skipped_images, summary
from kdjax.runner.sample_weights import SampleInfo
from kdjax.runner.steps import Steps
from kdjax.runner.workdir import write_config, write_record
from kdjax.training import loop, sharding
from kdjax.training.evaluator import add_teacher, evaluation_rows, scorer
from kdjax.training.goodput import Goodput, sentence
from kdjax.training.state import initial_state


def train(
    experiment: Experiment,
    workdir: pathlib.Path,
    deadline: float = math.inf,
    profile: tuple[int, int] | None = None,
    changed: dict[str, list] | None = None,
) -> None:
    """Runs an experiment in its directory, from its newest checkpoint if any.

    Stops with its state saved, as by a signal, when `time.monotonic()` is `deadline`.
    The steps of `profile`, (first, last), are traced. `changed` are keys of the config,
    each [was, is now], that are other than before.
    """
    goodput, mesh = Goodput(), sharding.make_mesh()
    checkpointer, states, meta = _start(experiment, workdir, mesh, changed)
    start, skips = meta["step"], meta.get("skipped_steps", {})
    reporter = _reporter(experiment, workdir, meta, goodput)
    collected = skipped_images.collect(experiment.train, workdir, start, reporter.say)
    closing = contextlib.closing
    files = contextlib.ExitStack()
    record_skipped = summary.recorder(experiment, workdir, start, files)
    with _closing(checkpointer), closing(reporter), files, collected as skipped:
        summary.announce(experiment, start, reporter)
        variables = experiment.teacher and sharding.place_replicated(
            experiment.teacher.variables, mesh
        )
        sample_info = SampleInfo(experiment, variables, mesh, workdir, start)
        if not experiment.plan.is_enough(meta.get("metrics")):
            steps = Steps(experiment, variables, mesh, sample_info)
            tracing = _traced(steps, profile, experiment, workdir, reporter.say)
            with closing(steps), tracing as steps:
                states = loop.run(
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
                    saved=meta,
                    skipped=skips,
                    record_skipped=record_skipped,
                )
        results = reporter.last_evaluation or meta["metrics"]
        summary.say_skipped(experiment, skips, reporter)
        summary.check_end(results, states)
        spent = goodput.summary()
        reporter.say(sentence(spent))
    record = summary.summary(experiment, results, reporter.seconds, skipped, skips)
    record["time"] = spent
    if selections := sample_info.report():
        record["selections"] = selections
    write_record(workdir / SUMMARY, record)


def _start(experiment: Experiment, workdir: pathlib.Path, mesh, changed):
    """(checkpointer, states, meta of the checkpoint that they are from), checked."""
    microbatches = experiment.accumulation_steps
    devices.check_batch(experiment.batch_size, microbatches=microbatches)
    devices.keep_programs()
    config, identity = experiment.config, experiment.identity
    shared = {f"config.{key}": value for key, value in config.items() if key != "data"}
    shared |= {f"identity.{key}": value for key, value in identity.items()}
    collectives.assert_equal("this run", shared)
    names, keep_all = tuple(experiment.students), experiment.keep_all
    meta = identity | {"config": config}  # for a config.json that is damaged
    checkpointer = Checkpointer(workdir / CHECKPOINTS, names, meta, keep_all)
    states, meta = begin(experiment, checkpointer, mesh, changed)
    if meta["step"]:
        signals.resumable()
    if "data" in meta:
        provenance.check_resumed(workdir, meta, identity)
    if changed:
        from kdjax.runner import changes

        changes.record(workdir, changed, meta["step"])
    write_config(workdir, config)  # not before it is certain that the run can go on
    return checkpointer, states, meta


@contextlib.contextmanager
def _closing(checkpointer: Checkpointer):
    """Ends the saves that are under way.

    Not where one of several processes failed: a save ends when all have come, for whom
    Orbax waits until JAX gives them up, and that takes a hundred seconds.
    """
    try:
        yield
    except BaseException as error:
        if collectives.processes() == 1 or isinstance(error, collectives.COMMON):
            checkpointer.close()
        raise
    checkpointer.close()


def _traced(steps, profile, experiment: Experiment, workdir, say):
    """The steps, those of `profile` traced where there is one."""
    if not profile:
        return contextlib.nullcontext(steps)
    from kdjax.runner.profile import check_profile, traced

    check_profile(profile, experiment.plan.total_steps)
    return traced(steps, profile, workdir, say)


def _reporter(experiment: Experiment, workdir: pathlib.Path, meta: dict, goodput):
    """Of process 0 alone; the others report nothing."""
    return (Reporter if collectives.is_primary() else Silent)(
        workdir,
        start=meta["step"],
        progress=meta.get("progress"),
        total_steps=experiment.plan.total_steps,
        steps_per_epoch=experiment.steps_per_epoch,
        tensorboard=experiment.tensorboard,
        goodput=goodput,
    )


def begin(experiment: Experiment, checkpointer: Checkpointer, mesh, changed=None):
    """The newest checkpoint's (states, meta), or fresh states at step 0."""
    students, teacher = experiment.students, experiment.teacher
    pair = teacher and (teacher.network, teacher.variables)
    shardings = sharding.of_states(students, mesh)

    def initialise():
        images = np.zeros((2, *experiment.train.image.shape[1:]), np.float32)
        return {n: initial_state(s, images, pair) for n, s in students.items()}

    abstract = sharding.abstract(jax.eval_shape(initialise), shardings)
    collectives.assert_equal("these checkpoints", {"steps": checkpointer.steps()})
    if changed and checkpointer.steps():
        from kdjax.runner import changes

        changes.check_tree(checkpointer.directory, abstract, changed)
    restored = checkpointer.restore_latest(abstract, collectives.log)
    if restored:
        sums = {key: restored[1][key] for key in ("step", "checksums")}
        collectives.assert_equal("this checkpoint", sums)
        return restored
    states = sharding.compile_init(initialise, mesh, shardings)()
    initial = experiment.initial
    if initial:
        from kdjax.runner.initial import begin_with

        states = {n: begin_with(n, s, initial, mesh) for n, s in states.items()}
    return states, {"step": 0}


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
            summary.check_teacher(experiment, batches)
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
