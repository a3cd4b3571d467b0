"""The train program: the step of all students, jitted for the devices of a mesh.

The one place that makes it. `train` and `bench` call it with arrays, `compile` with
shapes: `program.trace(states, teacher_variables, source, batch_spec)`, then `.lower()`.

    program = train_program(students, teacher, augment, mesh, seed=0)
    feed = loader.make_loader(split, mesh, seed=0, batch_size=128)
    batch_spec = sharding.place_rows(feed.batch_spec(0), mesh)
    states, metrics = program(states, teacher_variables, feed.source, batch_spec)
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from kdjax.data.loaders.batch import gather_batch
from kdjax.data.transforms.augment import Augment
from kdjax.models.network import Network
from kdjax.training import sharding
from kdjax.training.state import Student
from kdjax.training.step import make_train_step
from kdjax.types import Outputs, PyTree

MOST = 16


def steps_per_dispatch(platform: str) -> int:
    """How many steps a program makes at most on "cpu", "gpu" or "tpu".

    A small network's step is over before the next one is dispatched. One on CPU: within
    a loop XLA's CPU backend has no fast kernel gradient of a convolution, and a step of
    WRN-28-4 to WRN-16-2 takes 49 s, not 1.6 s (jax 0.10, 2 cores, batch 128).
    """
    return 1 if platform == "cpu" else MOST


def train_program(
    students: dict[str, Student],
    teacher: Network | None,
    augment: Augment,
    mesh: Mesh,
    *,
    seed: int,
    batch_norm: str = "global",
    steps: int = 1,
    decode: Callable[[PyTree], Outputs] | None = None,
    accumulation_steps: int = 1,
):
    """Jits `program(states, teacher_variables, source, batch_spec[, count])`.

    It returns (states, metrics) and donates the states. With several `steps` every
    array of `batch_spec` has a leading axis of so many, and `count` says how many of
    them are made; see `many_steps`.

    Args:
      teacher: None without one, and where a cache has its outputs.
      seed: of crops and flips.
      batch_norm: whose moments, "global" or "device"; see `sharding.normalised`.
      steps: of one dispatch at most.
      decode: makes the teacher's outputs of what a cache puts into `batch_spec`.
      accumulation_steps: microbatches that a step's batch is divided into, a loop but
        on CPU.
    """
    mixed = augment.is_mixed
    step = make_train_step(
        sharding.normalised(students, batch_norm, mesh),
        teacher,
        functools.partial(gather_batch, decode=decode),
        lambda batch, view, kind: augment.train(batch, seed, view, kind),
        (lambda batch: augment.train_mixed(batch, seed)) if mixed else None,
        accumulation_steps,
        # Within a loop a kernel gradient on CPU is slow; see `steps_per_dispatch`.
        unrolled=mesh.devices.flat[0].platform == "cpu",
    )
    states = sharding.of_states(students, mesh)
    same, rows = sharding.replicated(mesh), sharding.split(mesh, axis=int(steps > 1))
    counts = (same,) if steps > 1 else ()
    return jax.jit(
        many_steps(step, steps) if steps > 1 else step,
        in_shardings=(states, same, same, rows, *counts),
        out_shardings=(states, same),
        donate_argnums=0,
    )


def many_steps(step: Callable, most: int) -> Callable:
    """Makes `steps(states, teacher_variables, source, batch_specs, count)` of a step.

    One program for any count up to `most`, so a run's odd ends compile nothing. It
    makes the steps of the first `count` batch specs, in order. Arrays of `batch_specs`
    and metrics have a leading axis of `most`, of which the first `count` count.
    """

    def steps(states, teacher_variables, source, batch_specs, count):
        def step_number(number, states):
            batch_spec = jax.tree.map(lambda rows: rows[number], batch_specs)
            return step(states, teacher_variables, source, batch_spec)

        def body(number, carry):
            states, metrics = carry
            states, new = step_number(number, states)
            put = jax.tree.map(lambda all, x: all.at[number].set(x), metrics, new)
            return states, put

        # The shapes of a step's metrics are known from the step alone.
        _, shapes = jax.eval_shape(lambda states: step_number(0, states), states)
        empty = jax.tree.map(lambda x: jnp.zeros((most, *x.shape), x.dtype), shapes)
        return jax.lax.fori_loop(0, count, body, (states, empty))

    return steps
