"""One training run in its directory: start or resume, loop, summary."""

import collections
import contextlib
import functools
import math
import pathlib

import jax
import numpy as np

from kdjax import signals
from kdjax.checkpoints import Checkpointer
from kdjax.data.loaders import loader
from kdjax.distributed import collectives, devices
from kdjax.experiment import schema
from kdjax.experiment.build import Experiment
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.reporting.reporter import Reporter, Silent
from kdjax.reporting.results import SUMMARY
from kdjax.runner import skipped_images, summary
from kdjax.runner.evaluation import Evaluation
from kdjax.runner.sample_weights import SampleInfo
from kdjax.runner.workdir import write_config, write_record
from kdjax.training import loop, sharding
from kdjax.training.goodput import Goodput, sentence
from kdjax.training.program import (
    freeze_teacher,
    steps_per_dispatch,
    train_program,
)
from kdjax.training.schedules import rates_at
from kdjax.training.state import initial_state
from kdjax.types import PyTree


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
    goodput, mesh, teacher = Goodput(), sharding.make_mesh(), experiment.teacher
    checkpointer, states, meta = _start(experiment, workdir, mesh, changed)
    start, skips = meta["step"], meta.get("skipped_steps", {})
    reporter = _reporter(experiment, workdir, meta, goodput)
    collected = skipped_images.collect(experiment.train, workdir, start, reporter.say)
    listing, closing = summary.listing(experiment, workdir, start), contextlib.closing
    with _closing(checkpointer), closing(reporter), listing as listed, collected as bad:
        summary.announce(experiment, start, reporter)
        variables = teacher and sharding.place_replicated(teacher.variables, mesh)
        sample_info = SampleInfo(experiment, variables, mesh, workdir, start)
        if not experiment.plan.is_enough(meta.get("metrics")):
            steps = Steps(experiment, variables, mesh, sample_info)
            tracing = _traced(steps, profile, experiment, workdir, reporter.say)
            with closing(steps), tracing as steps:
                evaluate = Evaluation(experiment, variables, mesh)
                states = loop.run(
                    experiment.plan,
                    states,
                    start=start,
                    steps=steps,
                    evaluate=evaluate,
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
                    record_skipped=listed,
                )
                _show_disagreement(experiment, evaluate, states, reporter)
        results = reporter.last_evaluation or meta["metrics"]
        summary.check_end(experiment, results, states, skips, reporter)
        spent = _report_end(experiment, results, goodput, reporter)
    record = summary.summary(experiment, results, reporter.seconds, spent, bad, skips)
    write_record(workdir / SUMMARY, record | sample_info.report())


def _start(experiment: Experiment, workdir: pathlib.Path, mesh, changed):
    """(checkpointer, states, meta of the checkpoint that they are from), checked."""
    if experiment.config["trackers"]:
        from kdjax.reporting import trackers

        collectives.broadcast(lambda: trackers.check(experiment.config["trackers"]))
    microbatches = experiment.accumulation_steps
    devices.check_batch(experiment.batch_size, microbatches=microbatches)
    devices.keep_programs()
    config, identity = experiment.config, experiment.identity
    shared = {f"config.{key}": value for key, value in config.items() if key != "data"}
    shared |= schema.data_of_all_hosts(config)
    shared |= {f"identity.{key}": value for key, value in identity.items()}
    collectives.assert_equal("this run", shared)
    names, keep_all = tuple(experiment.students), experiment.keep_all
    meta = identity | {"config": config}  # for a config.json that is damaged
    checkpointer = Checkpointer(workdir / CHECKPOINTS, names, meta, keep_all)
    states, meta = begin(experiment, checkpointer, mesh, changed)
    if meta["step"]:
        signals.resumable()
    if "data" in meta:  # of a checkpoint
        from kdjax.runner import provenance

        provenance.check_resumed(workdir, meta, identity)
    if changed:
        from kdjax.runner import changes

        total = experiment.plan.total_steps
        changes.check_end(workdir, changed, meta["step"], total)
        changes.record(workdir, changed, meta["step"])
        if changed.keys() - set(changes.LENGTHS):
            # Of the steps that were not logged yet: what another loss had is no part
            # of a mean.
            meta.get("progress", {}).pop("steps", None)
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
    trackers = None
    if experiment.config["trackers"]:
        from kdjax.runner import tracking

        trackers = tracking.opener(experiment, workdir)
    return (Reporter if collectives.is_primary() else Silent)(
        workdir,
        start=meta["step"],
        progress=meta.get("progress"),
        evaluated="metrics" in meta,
        total_steps=experiment.plan.total_steps,
        steps_per_epoch=experiment.steps_per_epoch,
        tensorboard=experiment.tensorboard,
        trackers=trackers,
        rates=rates_at(experiment.rates),
        goodput=goodput,
    )


def _show_disagreement(experiment: Experiment, evaluate, states, reporter) -> None:
    if experiment.config["evaluation"]["images"] and experiment.teacher:
        from kdjax.runner import tracking

        tracking.disagreement(experiment, evaluate, states, reporter)


def _report_end(experiment: Experiment, results: dict, goodput: Goodput, reporter):
    """Says what the time went to, which is returned; trackers get the last scores."""
    spent = goodput.summary()
    reporter.say(sentence(spent))
    values = {key: spent[key] for key in ("seconds", "goodput_percent")}
    values |= {f"{n}/{k}": x for n, row in results.items() for k, x in row.items()}
    values = {f"summary/{key}": value for key, value in values.items()}
    reporter.summary(experiment.plan.total_steps, values)
    return spent


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
        sums = {key: restored[1].get(key) for key in ("step", "checksums")}
        collectives.assert_equal("this checkpoint", sums)
        return restored
    states = sharding.compile_init(initialise, mesh, shardings)()
    initial = experiment.initial
    if initial:
        from kdjax.runner.initial import begin_with

        states = {
            n: begin_with(n, students[n], s, initial, mesh) for n, s in states.items()
        }
    return states, {"step": 0}


class Steps:
    """The train program and its input, as the loop wants them."""

    def __init__(self, experiment, variables, mesh, sample_info, most=None):
        """Places the images; compiles nothing yet.

        `variables` are the teacher's, on the devices; `most` steps are in a dispatch,
        or one where so many are not to be made.
        """
        self.mesh, self.sample_info, self.cache = mesh, sample_info, experiment.cache
        streamed = loader.is_streamed(experiment.train)
        if streamed:
            most = 1  # a batch_spec brings all images of a step
        self.most = most or steps_per_dispatch(mesh.devices.flat[0].platform)
        # While one step computes, the next is made ready. Of a streamed set its images
        # are decoded and sent, and no more of them are on the devices; of others two
        # may wait, and no more: a signal that is to save the state waits for them all.
        self._under_way, self._ahead = collections.deque(), 1 if streamed else 2
        # With a cache the program has no teacher in it, and no weights of one.
        teacher = experiment.teacher if self.cache is None else None
        rows = experiment.batch_size // experiment.accumulation_steps
        shape = rows, *experiment.train.image.shape[1:]
        self.variables = teacher and freeze_teacher(
            teacher.network, variables, shape, mesh
        )
        make = functools.partial(
            train_program,
            experiment.students,
            teacher.network if teacher else None,
            experiment.augment,
            mesh,
            seed=experiment.seed,
            batch_norm=experiment.batch_norm,
            decode=self.cache.decode if self.cache else None,
            accumulation_steps=experiment.accumulation_steps,
        )
        self.programs = {steps: make(steps=steps) for steps in {1, self.most}}
        sizes = {"seed": experiment.seed, "batch_size": experiment.batch_size}
        self.feed = loader.make_loader(experiment.train, mesh, **sizes)

    def ready(self, number: int, most: int) -> tuple[int, PyTree]:
        """(how many steps come next, their batch_specs on the devices)."""
        # What is left over comes first: both programs compile as the run begins.
        ahead = most % self.most or self.most
        if ahead < self.most or self.sample_info.same_for(number, ahead) < self.most:
            ahead = 1
        if ahead == 1:
            batch_spec, parts = self._batch_spec(number), self.feed.parts
            return 1, sharding.place_rows(batch_spec, self.mesh, parts=parts)
        batch_specs = [self._batch_spec(number + i) for i in range(ahead)]
        stacked = jax.tree.map(lambda *rows: np.stack(rows), *batch_specs)
        return ahead, sharding.place_rows(stacked, self.mesh, axis=1)

    def run(self, states, number: int, count: int, batch_specs):
        """(states, metrics) after those steps."""
        info = self.sample_info.before(number, states)
        source = self.feed.source | {"sample_info": info}
        program = self.programs[count]
        result = program(states, self.variables, source, batch_specs)
        self._under_way.append(result[1])
        if len(self._under_way) > self._ahead:
            jax.block_until_ready(self._under_way.popleft())
        return result

    def close(self) -> None:
        """Ends what decodes ahead."""
        self.feed.close()

    def _batch_spec(self, number: int) -> dict:
        batch_spec = self.feed.batch_spec(number)
        if self.cache:
            outputs = self.cache.rows(batch_spec["index"], batch_spec["epoch"])
            batch_spec = batch_spec | {"teacher_outputs": outputs}
        return batch_spec
