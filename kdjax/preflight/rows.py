"""One preflight as a row of numbers, and what they mean."""

import importlib.metadata

import jax
from jax.sharding import Mesh

import kdjax
from kdjax.bench import flops, roofline
from kdjax.preflight import advice, limits, plans, program, search
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
    "fits": "whether it fits a device's memory; null where nobody knows that",
    "capacity": "bytes that programs may use of a device; null where nobody knows",
    "state": "bytes of weights, statistics, momentum and what methods remember",
    "teacher": "bytes of its weights and statistics",
    "data": "bytes of labels, notes and resident images, all of them on each device",
    "batch": "bytes of what comes with a dispatch, a device's share",
    "ahead": "bytes of a streamed feed's next batch, sent while this one computes",
    "padding": "bytes that the layouts of the arguments add, or less what is unused",
    "temporaries": "bytes of activations and gradients",
    "outputs": "bytes of results that no argument makes room for",
    "code": "bytes of the program",
    "total": "bytes on a device; of a refused program as far as its compiler said",
    "flops_per_image": "model FLOPs by dtype: teacher forward, 3 student forwards",
    "flops_per_step": "model FLOPs of one step on one device",
    "collectives": "kind -> count and bytes of their results on a device, a step",
    "largest_batch": "the largest that was compiled and fits, or null: not searched",
    "smallest_too_large": "the smallest that was compiled and does not, or null",
    "probes": "compilations of that search",
    "advice": "what to change, where it does not fit",
    "versions": "of kdjax, jax, jaxlib and, for TPUs, libtpu",
}
# What a device holds; None where the compiler refused and did not say.
PARTS = (
    *("state", "teacher", "data", "batch", "ahead"),
    *("padding", "temporaries", "outputs", "code"),
)


def measure(
    plan: Plan,
    mesh: Mesh,
    batch_size: int,
    *,
    memory: int | None,
    probes: int,
    flags: advice.Flags,
) -> dict:
    """Compiles a step, searches for the largest batch; the keys are those of KEYS.

    Args:
      plan: what is trained.
      mesh: of the devices, or of described ones.
      batch_size: over all devices, which divide it.
      memory: bytes of a device; None: by what is known of it.
      probes: compilations of the search at most; 0 for none.
      flags: that change what does not fit.
    """
    capacity = memory or limits.capacity_of(mesh)
    row = _compiled(plan, mesh, batch_size, capacity)
    work = _work(plan)
    row |= _told(work, batch_size / mesh.size)
    found = None
    if probes and row["fits"] is not None:

        def needs(rows: int) -> tuple[bool, int | None]:
            other = _compiled(plan, mesh, rows * mesh.size, capacity)
            # Where nobody knows the memory, what the compiler takes fits.
            return other["fits"] is not False, other["total"]

        first = (row["fits"], row["total"])
        found = search.largest(needs, batch_size // mesh.size, first, capacity, probes)
    row |= {
        "largest_batch": found.fits * mesh.size if found else None,
        "smallest_too_large": found.fails * mesh.size
        if found and found.fails
        else None,
        "probes": found.probes if found else 0,
        "versions": versions(mesh.devices.flat[0].platform),
    }
    row["advice"] = []
    if row["fits"] is False:
        kinds = {part: counted.flops for part, counted in work.items()}
        row["advice"] = advice.of(row, len(plan.students), kinds, flags)
    return {key: row[key] for key in KEYS}


def versions(platform: str) -> dict[str, str]:
    """Versions of what the numbers depend on."""
    names = ("jax", "jaxlib", *(("libtpu",) if platform == "tpu" else ()))
    found = {name: importlib.metadata.version(name) for name in names}
    return {"kdjax": kdjax.__version__} | found


def _compiled(plan: Plan, mesh: Mesh, batch_size: int, capacity: int | None) -> dict:
    """What the compiler says of a step, and whether a device has as much."""
    steps = program.steps_of(plan, mesh)
    compiled = program.compile_step(plan, mesh, batch_size)
    row = program.parts(plan, batch_size, steps, mesh.size)
    row |= _bytes(compiled, row)
    if compiled.refused:
        fits = False
    else:
        fits = None if capacity is None else row["total"] <= capacity
    told = {kind: sent._asdict() for kind, sent in compiled.collectives.items()}
    return row | {
        "device": mesh.devices.flat[0].device_kind,
        "devices": mesh.size,
        "batch_size": batch_size,
        "image_shape": list(plan.image_shape),
        "rows": batch_size // mesh.size,
        "steps": steps,
        "feed": "resident" if plan.resident else "streamed",
        "compile_seconds": compiled.seconds,
        "fits": fits,
        "capacity": (compiled.refused and compiled.refused.limit) or capacity,
        "collectives": told,
    }


def _bytes(compiled: program.Compiled, given: dict) -> dict:
    """What the program adds to the parts that it is given."""
    row = dict.fromkeys(("padding", "temporaries", "outputs", "code", "total"))
    seen, ahead = compiled.memory, given["ahead"]
    if seen:
        return {
            "padding": seen.arguments + ahead - sum(given.values()),
            "temporaries": seen.temporaries,
            "outputs": seen.outputs - seen.reused,
            "code": seen.code,
            "total": seen.total + ahead,
        }
    refused = compiled.refused
    if refused.used:
        row["total"] = refused.used + ahead
    elif refused.temporaries:
        row["temporaries"] = refused.temporaries
        row["total"] = refused.temporaries + sum(given.values())
    return row


def _work(plan: Plan) -> dict[str, flops.Work]:
    """Model FLOPs of an image: of the teacher's forward and three of each student's."""

    def forward(network, shape):
        image = jax.ShapeDtypeStruct((1, *shape), "float32")
        return flops.count(network.train, *plans.variables(network, shape), image)

    students = flops.NOTHING
    for student in plan.students.values():
        students += roof_work(forward(student.network, plan.image_shape))
    teacher = flops.NOTHING
    if plan.teacher:
        teacher = forward(plan.teacher, plan.teacher_shape)
    return {"students": students, "teacher": teacher}


def _told(work: dict[str, flops.Work], images: float) -> dict:
    """As numbers of a row, of so many images of a step on a device."""
    both = sum(work.values(), flops.NOTHING)
    return {"flops_per_image": both.flops, "flops_per_step": both.total * images}


def roof_work(forward: flops.Work) -> flops.Work:
    """Forward, gradients of inputs and gradients of weights, as `roof` counts them."""
    asked = roofline.load(None, forward, students=1)
    return flops.Work(asked.flops, forward.convolved_bytes)
