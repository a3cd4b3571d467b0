"""One preflight as a row of numbers, and what they mean."""

from jax.sharding import Mesh

from kdjax.bench import flops
from kdjax.contracts import versions
from kdjax.models.platform import traced_for
from kdjax.preflight import advice, estimates, program, search, traffic
from kdjax.preflight.memory import capacity_of
from kdjax.preflight.plans import Plan

KEYS = {
    "device": "as JAX calls it",
    "devices": "how many",
    "batch_size": "images of a step, over all devices",
    "image_shape": "of a training image; of the largest crops where several follow",
    "rows": "images of a step on one device",
    "steps": "of a dispatch",
    "feed": "resident: all images lie on each device; streamed: a batch brings its own",
    "compile_seconds": "to trace and compile that step",
    "fits": "whether it fits a device's memory; null where that is not known",
    "capacity": "bytes that programs may use of a device; null where not known",
    "state": "bytes of weights, statistics, momentum and methods' memories",
    "teacher": "bytes of its weights, as they are and folded, and statistics",
    "data": "bytes of labels, sample weights and resident images, all on each device",
    "batch": "bytes of what comes with a dispatch, a device's share",
    "ahead": "bytes of a streaming loader's next batch, sent while this one computes",
    "padding": "bytes that the layouts of the arguments add",
    "temporaries": "bytes of activations and gradients",
    "outputs": "bytes of results that no argument makes room for",
    "code": "bytes of the program",
    "total": "bytes on a device; of a refused program as far as its compiler says",
    "flops_per_image": "model FLOPs by dtype: teacher forward, 3 student forwards",
    "flops_per_step": "model FLOPs of one step on one device",
    "collectives": "kind -> count and bytes of their results on a device, a step",
    "kernels": "that a device runs in a step, collectives included",
    "bytes_per_step": "of the operands and results of these kernels",
    "bytes_per_image": "that, for each image of the device",
    "bytes_by_kind": "kind of kernel -> count and bytes, a step",
    "largest": "ten kernels that move most: kind, bytes, times a step, shape, source",
    "loops": "inside a step: trips (null: not written), times a step, source",
    "dispatch_trips": "turns of the loop over a dispatch's steps, or null; a GPU waits "
    "for its host at each turn of a loop without it",
    "cycles": "of a step, as a TPU's compiler estimates them; null for other devices",
    "seconds_of_cycles": "that, by the chip's clock: an estimate; null: not known",
    "seconds_of_bytes": "bytes_per_step at the peak of the memory: the byte roof",
    "seconds_of_flops": "flops_per_step at the peak of the arithmetic: its roof",
    "largest_batch": "the largest that was compiled and fits, or null: not searched",
    "smallest_too_large": "the smallest that was compiled and does not, or null",
    "probes": "compilations of that search",
    "advice": "what to change, where it does not fit",
    "versions": "of kdjax, jax, jaxlib and the device's compiler",
}
COMPILERS = {"tpu": ["libtpu"], "gpu": ["jax-cuda13-plugin", "jax-cuda12-plugin"]}
# What a device holds, with its names on the page; None where the compiler refused and
# gave no number.
PARTS = {
    "state": "students' state",
    "teacher": "teacher",
    "data": "labels, resident images",
    "batch": "batch",
    "ahead": "next batch, sent ahead",
    "padding": "padding of layouts",
    "temporaries": "activations",
    "outputs": "outputs",
    "code": "program",
}


def measure(
    plan: Plan, mesh: Mesh, *, memory: int | None, probes: int, flags: advice.Flags
) -> dict:
    """Compiles a step, searches for the largest batch; the keys are those of KEYS.

    `mesh` may be of described devices. `memory` is bytes of one; None: its own or its
    kind's. The search compiles `probes` steps at most; `flags` are for the advice.
    """
    capacity, batch_size = memory or capacity_of(mesh), plan.experiment.batch_size
    row = _compiled(plan, mesh, batch_size, capacity)
    work = work_of(plan)
    total = sum(work.values(), flops.NOTHING)
    row["flops_per_image"] = total.flops
    row["flops_per_step"] = total.total * row["rows"]
    row |= estimates.of_step(row, total.times(row["rows"]))
    bracket = search.Bracket(None, None, 0)
    # The search is in rows of a microbatch on a device.
    unit = mesh.size * plan.experiment.accumulation_steps
    if probes and row["fits"] is not None:

        def needs(rows: int) -> tuple[bool, int | None]:
            other = _compiled(plan, mesh, rows * unit, capacity)
            # Where the memory is not known, what the compiler takes fits.
            return other["fits"] is not False, other["total"]

        first = (row["fits"], row["total"])
        rows = batch_size // unit
        bracket = search.largest(needs, rows, first, capacity, probes)
    fits, fails = (n and n * unit for n in (bracket.fits, bracket.fails))
    row |= {"largest_batch": fits, "smallest_too_large": fails}
    row |= {"probes": bracket.probes, "advice": []}
    if row["fits"] is False:
        dtypes = {part: counted.flops for part, counted in work.items()}
        students = len(plan.experiment.students)
        parts = plan.experiment.accumulation_steps
        row["advice"] = advice.advice_for(row, students, dtypes, flags, parts)
    compiler = COMPILERS.get(mesh.devices.flat[0].platform, ())
    row["versions"] = versions("jax", "jaxlib", *compiler)
    return {key: row[key] for key in KEYS}


def work_of(plan: Plan) -> dict[str, flops.Work]:
    """Model FLOPs of an image: of the teacher's forward and three of each student's."""
    students, teacher = flops.NOTHING, flops.NOTHING
    for student in plan.experiment.students.values():
        students += flops.of_image(student.network, plan.image_shape).times(3.0)
    if plan.teacher:
        teacher = flops.of_image(plan.teacher, plan.teacher_shape)
    return {"students": students, "teacher": teacher}


def _compiled(plan: Plan, mesh: Mesh, batch_size: int, capacity: int | None) -> dict:
    """The compiler's numbers on a step, and whether a device has as much."""
    steps = program.steps_of(plan, mesh)
    compiled = program.compile_step(plan, mesh, batch_size)
    with traced_for(mesh.devices.flat[0].platform):
        row = program.parts(plan, batch_size, steps, mesh.size)
    row |= _bytes(compiled, row)
    if compiled.refused:
        fits, capacity = False, compiled.refused.limit or capacity
    else:
        fits = None if capacity is None else row["total"] <= capacity
    return (
        row
        | traffic.summary(compiled.program, steps)
        | {
            "device": mesh.devices.flat[0].device_kind,
            "devices": mesh.size,
            "batch_size": batch_size,
            "image_shape": list(plan.image_shape),
            "rows": batch_size // mesh.size,
            "steps": steps,
            "feed": "resident" if plan.resident else "streamed",
            "compile_seconds": compiled.seconds,
            "fits": fits,
            "capacity": capacity,
        }
    )


def _bytes(compiled: program.Compiled, parts: dict) -> dict:
    """What the program adds to the parts that it is given."""
    memory, refused, ahead = compiled.memory, compiled.refused, parts["ahead"]
    if memory:
        # What no step reads, as weights that are folded, lies on the device as well.
        unused = max(0, sum(parts.values()) - memory.arguments - ahead)
        return {
            "padding": memory.arguments + unused + ahead - sum(parts.values()),
            "temporaries": memory.temporaries,
            "outputs": memory.outputs - memory.reused,
            "code": memory.code,
            "total": memory.total + unused + ahead,
        }
    row = dict.fromkeys(("padding", "temporaries", "outputs", "code", "total"))
    if refused.used:
        row["total"] = refused.used + ahead
    elif refused.temporaries:
        row["temporaries"] = refused.temporaries
        row["total"] = refused.temporaries + sum(parts.values())
    return row
