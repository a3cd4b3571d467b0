"""python -m kdjax train: trains a teacher, or students against one teacher.

  python -m kdjax train --config=FILE[:ARG] --workdir=DIR [--config.a.b=value ...]

The same command resumes a run that was stopped, and does nothing for a finished one.
"""

import pathlib
import sys

import jax
import numpy as np

from kdjax import commands
from kdjax.build.experiment import Experiment, build_experiment
from kdjax.build.networks import CHECKPOINTS
from kdjax.build.sections import resolved
from kdjax.checkpoints import Checkpointer
from kdjax.commands import arguments, devices, workdirs
from kdjax.commands.scoring import add_teacher, evaluation_rows, scorer
from kdjax.data import resident
from kdjax.reporting.reporter import Reporter
from kdjax.reporting.results import read_results
from kdjax.reporting.table import print_table
from kdjax.training import loop, sharding
from kdjax.training.state import initial_state
from kdjax.training.step import make_train_step


def main(argv: list[str]) -> int:
    parser = commands.parser("train", __doc__)
    parser.add_argument("--config", required=True, help="Python file with get_config")
    parser.add_argument("--workdir", required=True, help="where the run lives")
    parser.add_argument("--data_dir", help="TFDS data; default $TFDS_DATA_DIR")
    parser.add_argument("--devices", type=int, help="virtual devices, on CPU only")
    rest, overrides = arguments.split_overrides(argv)
    options = parser.parse_args(rest)
    config = arguments.load_config(options.config, overrides)
    if options.data_dir:
        data_dir = str(pathlib.Path(options.data_dir).expanduser().resolve())
        arguments.set_override(config, "data.data_dir", data_dir)
    workdir = pathlib.Path(options.workdir).expanduser().resolve()
    batch_size = config.get("batch_size", 0)
    devices.configure_cpu(options.devices, batch_size if batch_size else 1)
    with workdirs.locked(workdir):
        workdirs.check_config(workdir, resolved(config))
        if workdirs.is_done(workdir):
            print(f"{workdir} is finished; nothing to do.", file=sys.stderr)
        else:
            train(build_experiment(config), workdir)
        print_table(read_results(workdir))
    return 0


def train(experiment: Experiment, workdir: pathlib.Path) -> None:
    """Runs an experiment in its directory, from its newest checkpoint if any."""
    devices.check_batch(experiment.batch_size)
    workdirs.write_config(workdir, experiment.config)
    mesh = sharding.make_mesh()
    names = tuple(experiment.students)
    keeper = Checkpointer(workdir / CHECKPOINTS, names, experiment.identity)
    states, meta = begin(experiment, keeper, mesh)
    if "data" in meta:
        workdirs.check_identity(workdir, meta, experiment.identity)
    teller = Reporter(
        workdir,
        start=meta["step"],
        total_steps=experiment.plan.total_steps,
        steps_per_epoch=experiment.steps_per_epoch,
        tensorboard=experiment.tensorboard,
    )
    try:
        announce(experiment, meta["step"], teller)
        variables = None
        if experiment.teacher:
            variables = sharding.place_replicated(experiment.teacher.variables, mesh)
        loop.run(
            experiment.plan,
            states,
            start=meta["step"],
            step=train_step(experiment, variables, mesh),
            evaluate=evaluation(experiment, variables, mesh),
            keeper=keeper,
            teller=teller,
            images_per_step=experiment.batch_size,
        )
    finally:
        teller.close()
        keeper.close()
    results = teller.last_evaluation or meta["metrics"]
    workdirs.finish(workdir, summary(experiment, results, teller.seconds))


def begin(experiment: Experiment, keeper: Checkpointer, mesh):
    """The newest checkpoint's (states, meta), or fresh states at step 0."""
    same = sharding.replicated(mesh)

    def initialise():
        images = np.zeros((2, *experiment.train.image.shape[1:]), np.float32)
        return {n: initial_state(s, images) for n, s in experiment.students.items()}

    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=same),
        jax.eval_shape(initialise),
    )
    restored = keeper.restore_latest(
        abstract, lambda text: print(text, file=sys.stderr)
    )
    return restored or (sharding.compile_init(initialise, mesh)(), {"step": 0})


def summary(experiment: Experiment, results: dict, seconds: float) -> dict:
    """What a finished run says of itself."""
    students = {
        name: {
            "model": row["model"]["name"],
            "method": row["method"]["name"],
            "metrics": results[name],
        }
        for name, row in experiment.identity["students"].items()
    }
    told = {"seconds": seconds, "students": students}
    return told | {"identity": experiment.identity}


def train_step(experiment: Experiment, variables, mesh):
    """The compiled step as the loop wants it: (states, number) -> (states, metrics)."""
    teacher = experiment.teacher
    step = sharding.compile_train_step(
        make_train_step(
            experiment.students,
            teacher.network if teacher else None,
            resident.materialise,
            lambda batch: experiment.augment.train(batch, experiment.seed),
        ),
        mesh,
    )
    feed = resident.place(
        experiment.train, mesh, seed=experiment.seed, batch_size=experiment.batch_size
    )

    def run(states, number):
        ticket = sharding.place_rows(feed.ticket(number), mesh)
        return step(states, variables, feed.source, ticket)

    return run


def evaluation(experiment: Experiment, variables, mesh):
    """states -> name -> metrics; the teacher's answers are computed once, here."""
    normalise = experiment.augment.evaluate
    rows = experiment.evaluation_batch_size
    batches = evaluation_rows(experiment.test, rows, mesh)
    if experiment.teacher:
        add_teacher(experiment.teacher.network, variables, normalise, batches, mesh)
    networks = {name: s.network for name, s in experiment.students.items()}
    score = scorer(networks, normalise, batches, mesh)
    return lambda states: score(
        {name: (s.params, s.batch_stats) for name, s in states.items()}
    )


def announce(experiment: Experiment, start: int, teller: Reporter) -> None:
    """Says what is about to run."""
    data, plan = experiment.identity["data"], experiment.plan
    teller.say(devices.describe())
    teller.say(
        f"data: {data['train']['name']}, {len(experiment.train.label):,} training and "
        f"{len(experiment.test.label):,} test images"
    )
    if experiment.teacher:
        who = experiment.teacher.identity
        where = who.get("workdir", who.get("network"))
        step = f" at step {who['step']}" if "step" in who else ""
        teller.say(f"teacher: {where}{step}, digest {who['digest'][:12]}")
        if "workdir" in who and not workdirs.is_done(pathlib.Path(where)):
            teller.say("the teacher's own run is not finished; it teaches as it is now")
    if start:
        teller.say(f"resuming at step {start} of {plan.total_steps}")
    names = ", ".join(experiment.students)
    teller.say(f"training in one program: {names}; the first step compiles")
