"""The train program: the step of all students, jitted for the devices of a mesh.

The one place that makes it. `train` and `bench` call it with arrays, `compile` with
shapes: `program.trace(states, teacher_variables, source, batch_spec)`, then `.lower()`.

    program = train_program(students, teacher, augment, mesh, seed=0)
    teacher_variables = freeze_teacher(teacher, variables, (128, 32, 32, 3), mesh)
    feed = loader.make_loader(split, mesh, seed=0, batch_size=128)
    batch_spec = sharding.place_rows(feed.batch_spec(0), mesh)
    states, metrics = program(states, teacher_variables, feed.source, batch_spec)
"""

import functools
from collections.abc import Callable

import jax
from jax.sharding import Mesh

from kdjax.data.loaders.batch import gather_batch
from kdjax.data.transforms.augment import Augment
from kdjax.models.network import Network
from kdjax.training import sharding
from kdjax.training.state import Student
from kdjax.training.step import make_train_step
from kdjax.types import Outputs, PyTree

STEPS = 16


def steps_per_dispatch(platform: str) -> int:
    """How many steps a run makes in one dispatch on "cpu", "gpu" or "tpu".

    A small network's step is over before the next one is dispatched. One on CPU: within
    a loop XLA's CPU backend has no fast kernel gradient of a convolution, and a step of
    WRN-28-4 to WRN-16-2 takes 49 s, not 1.6 s (jax 0.10, 2 cores, batch 128).
    """
    return 1 if platform == "cpu" else STEPS


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
    """Jits `program(states, teacher_variables, source, batch_spec)`.

    It returns (states, metrics) and donates the states. With several `steps` every
    array of `batch_spec`, and of the metrics, has a leading axis of so many.

    Args:
      teacher: None without one, and where a cache has its outputs.
      seed: of crops and flips.
      batch_norm: whose moments, "global" or "device"; see `sharding.normalised`.
      steps: of one dispatch, all of which are made.
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
    return jax.jit(
        many_steps(step) if steps > 1 else step,
        in_shardings=(states, same, same, rows),
        out_shardings=(states, same),
        donate_argnums=0,
    )


def freeze_teacher(
    teacher: Network, variables: tuple[PyTree, PyTree], image_shape, mesh: Mesh
) -> tuple[PyTree, PyTree]:
    """The variables with which a teacher computes nothing of its weights alone.

    Batch norms are folded into kernels, and kernels are in the dtype and the order of
    the device: once, not in every step. `image_shape` is [batch, height, width,
    channels] of the images of a step.
    """
    freeze = functools.partial(teacher.freeze, image_shape=image_shape)
    params, batch_stats = variables
    frozen = jax.jit(freeze, out_shardings=sharding.replicated(mesh))
    return params, frozen(params, batch_stats)


def many_steps(step: Callable) -> Callable:
    """Makes `steps(states, teacher_variables, source, batch_specs)` of a step.

    As many as the leading axis of `batch_specs` has rows. A scan, because the compiler
    knows its number of iterations: before each one of a loop that ends at a number on
    the device, a GPU's host would wait for that number.
    """

    def steps(states, teacher_variables, source, batch_specs):
        def body(states, batch_spec):
            return step(states, teacher_variables, source, batch_spec)

        return jax.lax.scan(body, states, batch_specs)

    return steps
