"""The programs that are timed: the trainer's own step on images made in memory."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from kdjax.bench import flops, roofline
from kdjax.bench.feeds import SEED, Feed
from kdjax.bench.problem import Problem, usual_padding
from kdjax.bench.timing import Program
from kdjax.data.loaders.batch import gather_batch
from kdjax.data.transforms.augment import Augment
from kdjax.methods import kd
from kdjax.models.network import Network
from kdjax.training import sharding
from kdjax.training.optimizers import sgd
from kdjax.training.program import steps_per_dispatch, train_program
from kdjax.training.schedules import constant_schedule
from kdjax.training.state import Student, initial_state
from kdjax.types import Outputs

MODES = ("live", "cached", "streamed", "input")


def start(
    problem: Problem, mode: str, students: int, mesh: Mesh, steps: int = 1
) -> Program:
    """Builds one program of so many students; nothing of its step is compiled yet.

    `mode` is "live": the teacher computes in every step; "cached": its logits come with
    the batch; "streamed": live, and the images come with the batch from the host; or
    "input": images are gathered and augmented, and no network runs. A call makes so
    many `steps`.
    """
    feed = Feed(problem, mode, mesh, steps)
    if mode == "input":
        prepare = input_program(problem, mesh, steps)
        return Program(lambda _, spec: prepare(feed.source, spec), None, feed, steps)
    grid, cached = temperature_grid(problem.student, students), mode == "cached"
    images = np.zeros((2, *problem.image_shape), np.float32)

    def init():
        states = {name: initial_state(s, images) for name, s in grid.items()}
        if cached:
            return states, None
        params, batch_stats = problem.teacher.init(jax.random.key(SEED), images)
        shape = problem.batch_size, *problem.image_shape
        return states, (params, problem.teacher.freeze(params, batch_stats, shape))

    states, variables = sharding.compile_init(init, mesh)()
    program = program_of(problem, grid, mesh, mode, steps)
    under_way = collections.deque()

    def call(states, batch_specs):
        states, metrics = program(states, variables, feed.source, batch_specs)
        if mode == "streamed":  # as in training, two batches are on the devices at most
            under_way.append(metrics)
            if len(under_way) > 1:
                jax.block_until_ready(under_way.popleft())
        return states

    return Program(call, states, feed, steps)


def dispatch_of(mode: str, platform: str) -> int:
    """Steps that training makes in one dispatch; one where a batch brings images."""
    return 1 if mode == "streamed" else steps_per_dispatch(platform)


def program_of(
    problem: Problem,
    students: dict[str, Student],
    mesh: Mesh,
    mode: str = "live",
    steps: int = 1,
):
    """The trainer's program; "cached": logits in place of the teacher's forward."""
    cached = mode == "cached"
    return train_program(
        students,
        None if cached else problem.teacher,
        augment(problem, mode),
        mesh,
        seed=SEED,
        steps=steps,
        decode=(lambda logits: Outputs(logits, {})) if cached else None,
    )


def input_program(problem: Problem, mesh: Mesh, steps: int = 1):
    """Jits (source, batch_specs) -> the last step's augmented images; no network."""

    def prepare(source, batch_spec):
        batch = gather_batch(source, batch_spec)
        return augment(problem).train(batch, SEED)

    def prepare_all(source, batch_specs):
        def body(_, batch_spec):
            return prepare(source, batch_spec), None

        first = jax.tree.map(lambda rows: rows[0], batch_specs)
        shape = jax.eval_shape(prepare, source, first)
        empty = jnp.zeros(shape.shape, shape.dtype)
        return jax.lax.scan(body, empty, batch_specs)[0]

    same, rows = sharding.replicated(mesh), sharding.split(mesh)
    specs = sharding.split(mesh, axis=int(steps > 1))
    function = prepare_all if steps > 1 else prepare
    return jax.jit(function, in_shardings=(same, specs), out_shardings=rows)


def load(problem: Problem, mode: str, students: int) -> flops.Work:
    """What a step of that program takes of the device, for each image."""
    if mode == "input":
        return flops.NOTHING
    teacher, student = (
        flops.of_image(network, problem.image_shape, problem.batch_size)
        for network in (problem.teacher, problem.student)
    )
    return roofline.load(None if mode == "cached" else teacher, student, students)


def temperature_grid(network: Network, students: int) -> dict[str, Student]:
    """KD at so many temperatures, from 1 to 20; a single student takes 4."""
    temperatures = np.geomspace(1.0, 20.0, students) if students > 1 else (4.0,)
    optimizer = sgd(schedule=constant_schedule(learning_rate=0.01))
    return {
        f"tau-{temperature:.4g}": Student(
            network=network,
            method=kd.build(alpha=0.9, temperature=float(temperature)),
            optimizer=optimizer,
            seed=seed,
        )
        for seed, temperature in enumerate(temperatures)
    }


def augment(problem: Problem, mode: str = "live") -> Augment:
    """Crop, flip and normalise, as on CIFAR; streamed images are cropped already."""
    padding = 0 if mode == "streamed" else usual_padding(problem.image_size)
    return Augment(mean=(0.5,) * 3, std=(0.25,) * 3, padding=padding, flip=True)
