"""The trainer's own train step, of shapes in place of arrays, compiled and measured."""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from kdjax.models import winograd
from kdjax.preflight import memory
from kdjax.preflight.collectives import Tally, tally
from kdjax.preflight.plans import Plan, variables
from kdjax.training import sharding
from kdjax.training.program import steps_per_dispatch, train_program
from kdjax.training.state import initial_state
from kdjax.types import PyTree


class Compiled(NamedTuple):
    """What the compiler says of a step."""

    seconds: float  # to trace and compile
    memory: memory.Memory | None  # None where it did not fit
    refused: memory.Refused | None
    collectives: Tally


class Arguments(NamedTuple):
    """Shapes of what the compiled step takes, in its order."""

    states: PyTree
    teacher: PyTree
    source: PyTree
    batch_spec: PyTree


def steps_of(plan: Plan, mesh: Mesh) -> int:
    """Steps of a dispatch: the trainer's number, or 1 where a batch brings images."""
    platform = mesh.devices.flat[0].platform
    return steps_per_dispatch(platform) if plan.resident else 1


def arguments(plan: Plan, batch_size: int, steps: int) -> Arguments:
    """What a step is compiled for; tickets of several steps have an axis for them."""
    states = jax.eval_shape(
        lambda images: {n: initial_state(s, images) for n, s in plan.students.items()},
        jax.ShapeDtypeStruct((2, *plan.image_shape), jnp.float32),
    )
    teacher = variables(plan.teacher, plan.teacher_shape) if plan.teacher else None
    sample_info = {
        name: {
            key: jax.ShapeDtypeStruct(np.shape(note), jnp.float32)
            for key, note in student.selection_schedule.start.items()
        }
        for name, student in plan.students.items()
        if student.selection_schedule is not None
    }
    rows = (batch_size,) if steps == 1 else (steps, batch_size)
    number = jax.ShapeDtypeStruct(rows, jnp.int32)
    labels = jax.ShapeDtypeStruct((plan.examples,), jnp.int32)
    source = {"label": labels, "sample_info": sample_info}
    batch_spec = {"index": number, "epoch": number}
    carrier, many = (source, (plan.examples,)) if plan.resident else (batch_spec, rows)
    pixels = (*many, *plan.image_shape)
    carrier["image"] = jax.ShapeDtypeStruct(pixels, jnp.uint8)
    return Arguments(states, teacher, source, batch_spec)


def parts(plan: Plan, batch_size: int, steps: int, devices: int) -> dict[str, int]:
    """Bytes on one device, without the padding of layouts, before anything computes.

    "ahead" is no argument: while a step computes, a streamed feed sends the next one's
    pictures. The numbers of a resident feed's tickets are too few to count twice.
    """
    given = arguments(plan, batch_size, steps)
    batch = _bytes(given.batch_spec) // devices
    return {
        "state": _bytes(given.states),
        "teacher": _bytes(given.teacher),
        "data": _bytes(given.source),
        "batch": batch,
        "ahead": 0 if plan.resident else batch,
    }


def lower(plan: Plan, mesh: Mesh, batch_size: int) -> jax.stages.Lowered:
    """The step for the devices of a mesh, which need not exist."""
    traced = trace(plan, mesh, batch_size)
    if mesh.devices.flat[0].platform == "tpu":
        return traced.lower(lowering_platforms=("tpu",))
    return traced.lower()


def trace(plan: Plan, mesh: Mesh, batch_size: int) -> jax.stages.Traced:
    """The trainer's step as a jaxpr."""
    steps, platform = steps_of(plan, mesh), mesh.devices.flat[0].platform
    given = _placed(arguments(plan, batch_size, steps), mesh, axis=int(steps > 1))
    program = train_program(
        plan.students,
        plan.teacher,
        plan.augment,
        mesh,
        seed=plan.seed,
        batch_norm=plan.batch_norm,
        steps=steps,
    )
    if steps > 1:
        count = jax.ShapeDtypeStruct((), jnp.int32, weak_type=True)
        given = (*given, count)
    with winograd.traced_for(platform):
        return program.trace(*given)


def compile_step(plan: Plan, mesh: Mesh, batch_size: int) -> Compiled:
    """Compiles the step; one that does not fit is an answer, not an error."""
    begun = time.perf_counter()
    lowered = lower(plan, mesh, batch_size)
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        refused = memory.refusal(str(error))
        if refused is None:
            raise
        return Compiled(time.perf_counter() - begun, None, refused, {})
    seconds = time.perf_counter() - begun
    return Compiled(seconds, memory.of(compiled), None, tally(compiled.as_text()))


def _placed(given: Arguments, mesh: Mesh, axis: int) -> Arguments:
    """The shapes where the trainer's arrays lie; tracing looks at that."""
    rows = sharding.split(mesh, axis)
    places = Arguments(*[sharding.replicated(mesh)] * 3, batch_spec=rows)
    return Arguments(
        *(
            jax.tree.map(
                lambda x, place=place: jax.ShapeDtypeStruct(
                    x.shape, x.dtype, sharding=place
                ),
                tree,
            )
            for tree, place in zip(given, places, strict=True)
        )
    )


def _bytes(tree: PyTree) -> int:
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))
