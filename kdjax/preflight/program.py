"""The trainer's own train step, of shapes in place of arrays, compiled and measured."""

import functools
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from kdjax.bench.flops import variables_of
from kdjax.models.platform import traced_for
from kdjax.preflight import hlo, memory
from kdjax.preflight.plans import Plan
from kdjax.training import sharding
from kdjax.training.program import steps_per_dispatch, train_program
from kdjax.training.state import initial_state
from kdjax.types import PyTree

LOWERED = {"gpu": "cuda"}  # a device's platform -> JAX's name of what is compiled for


class Compiled(NamedTuple):
    """The compiler's numbers on a step."""

    seconds: float  # to trace and compile
    memory: memory.Memory | None  # None where it did not fit
    refused: memory.Refused | None
    program: hlo.Program | None  # None where it did not fit


class Arguments(NamedTuple):
    """Shapes of what the compiled step takes, in its order."""

    states: PyTree
    teacher: PyTree
    source: PyTree
    batch_spec: PyTree


def steps_of(plan: Plan, mesh: Mesh) -> int:
    """Steps of a dispatch: the trainer's number, or 1 where a batch brings images."""
    return steps_per_dispatch(mesh.devices.flat[0].platform) if plan.resident else 1


def arguments(plan: Plan, batch_size: int, steps: int) -> Arguments:
    """Of a step; batch specs of several steps have an axis for them.

    Call it within `traced_for`: how a teacher is frozen depends on the platform.
    """
    students = plan.experiment.students
    teacher = variables_of(plan.teacher, plan.teacher_shape) if plan.teacher else None
    states = jax.eval_shape(
        lambda images: {
            name: initial_state(s, images, (plan.teacher, teacher))
            for name, s in students.items()
        },
        jax.ShapeDtypeStruct((2, *plan.image_shape), jnp.float32),
    )
    if plan.teacher:
        shape = batch_size // plan.experiment.accumulation_steps, *plan.image_shape
        freeze = functools.partial(plan.teacher.freeze, image_shape=shape)
        teacher = teacher[0], jax.eval_shape(freeze, *teacher)
    sample_info = {
        name: {
            key: jax.ShapeDtypeStruct(np.shape(value), jnp.float32)
            for key, value in student.selection_schedule.start.items()
        }
        for name, student in students.items()
        if student.selection_schedule is not None
    }
    rows = (batch_size,) if steps == 1 else (steps, batch_size)
    number = jax.ShapeDtypeStruct(rows, jnp.int32)
    labels = jax.ShapeDtypeStruct((plan.examples,), jnp.int32)
    source = {"label": labels, "sample_info": sample_info}
    batch_spec = {"index": number, "epoch": number}
    carrier, many = (source, (plan.examples,)) if plan.resident else (batch_spec, rows)
    carrier["image"] = jax.ShapeDtypeStruct((*many, *plan.image_shape), jnp.uint8)
    return Arguments(states, teacher, source, batch_spec)


def parts(plan: Plan, batch_size: int, steps: int, devices: int) -> dict[str, int]:
    """Bytes on one device, without the padding of layouts, before anything computes.

    "ahead" is no argument: while a step computes, a streaming loader sends the next
    one's images. An in-memory loader's batch specs are too small to count twice.
    """
    shapes = arguments(plan, batch_size, steps)
    batch = _bytes(shapes.batch_spec) // devices
    return {
        "state": _bytes(shapes.states),
        "teacher": _bytes(shapes.teacher),
        "data": _bytes(shapes.source),
        "batch": batch,
        "ahead": 0 if plan.resident else batch,
    }


def trace(plan: Plan, mesh: Mesh, batch_size: int) -> jax.stages.Traced:
    """The trainer's step as a jaxpr."""
    steps, experiment = steps_of(plan, mesh), plan.experiment
    program = train_program(
        experiment.students,
        plan.teacher,
        experiment.augment,
        mesh,
        seed=experiment.seed,
        batch_norm=experiment.batch_norm,
        accumulation_steps=experiment.accumulation_steps,
        steps=steps,
    )
    with traced_for(mesh.devices.flat[0].platform):
        shapes = arguments(plan, batch_size, steps)
        return program.trace(*_placed(plan, shapes, mesh, axis=int(steps > 1)))


def lower(plan: Plan, mesh: Mesh, batch_size: int) -> jax.stages.Lowered:
    """The step for the devices of a mesh, which need not exist."""
    traced, platform = trace(plan, mesh, batch_size), mesh.devices.flat[0].platform
    if platform == jax.default_backend():
        return traced.lower()
    return traced.lower(lowering_platforms=(LOWERED.get(platform, platform),))


def compile_step(plan: Plan, mesh: Mesh, batch_size: int) -> Compiled:
    """Compiles the step; one that does not fit is a result, not an error."""
    start = time.perf_counter()
    lowered = lower(plan, mesh, batch_size)
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        refused = memory.refusal(str(error))
        if refused is None:
            raise
        return Compiled(time.perf_counter() - start, None, refused, None)
    seconds = time.perf_counter() - start
    text = hlo.parse(compiled.as_text())
    return Compiled(seconds, memory.of(compiled), None, text)


def _placed(plan: Plan, shapes: Arguments, mesh: Mesh, axis: int) -> Arguments:
    """The shapes where the trainer's arrays lie; tracing looks at that."""
    same, rows = sharding.replicated(mesh), sharding.split(mesh, axis)
    states = sharding.of_states(plan.experiment.students, mesh)
    return sharding.abstract(shapes, Arguments(states, same, same, rows))


def _bytes(tree: PyTree) -> int:
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))
