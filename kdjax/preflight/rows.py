"""One preflight as a row of numbers, what they mean, and what to change."""

import importlib.metadata

import jax
from jax.sharding import Mesh

import kdjax
from kdjax.bench import capacities, flops, roof
from kdjax.preflight import plans, program, search
from kdjax.preflight.memory import told
from kdjax.preflight.plans import Plan

KEYS = {
    "device": "as JAX calls it",
    "devices": "how many",
    "batch_size": "images of a step, over all devices",
    "rows": "images of a step on one device",
    "steps": "of a dispatch",
    "resident": "whether all images lie on each device, or come with each batch",
    "compile_seconds": "to trace and compile that step",
    "fits": "whether it fits a device's memory; null where nobody knows that",
    "capacity": "bytes of a device: by its data sheet, itself or --memory; or null",
    "limit": "bytes that the compiler lets a program use, where it refused this one",
    "state": "bytes of weights, statistics, momentum and what methods remember",
    "teacher": "bytes of its weights and statistics",
    "resident_images": "bytes of images, labels and notes that lie on a device",
    "batch": "bytes of what comes with a dispatch, a device's share",
    "padding": "bytes that the layouts of the arguments add, or less what is unused",
    "temporaries": "bytes of activations and gradients",
    "outputs": "bytes of results that no argument makes room for",
    "code": "bytes of the program",
    "total": "bytes on a device; of a program that was refused what its compiler said",
    "flops_per_image": "model FLOPs by dtype: teacher forward, 3 student forwards",
    "flops_per_step": "model FLOPs of one step on one device",
    "collectives": "kind -> count and bytes of their results on a device, a step",
    "largest_batch": "the largest that was compiled and fits, or null: not searched",
    "smallest_too_large": "the smallest that was compiled and does not, or null",
    "probes": "compilations of that search",
    "advice": "what to change, where it does not fit",
    "versions": "of kdjax, jax, jaxlib and, for TPUs, libtpu",
}


def measure(
    plan: Plan, mesh: Mesh, batch_size: int, *, memory: int | None, probes: int
) -> dict:
    """Compiles a step, searches for the largest batch; the keys are those of KEYS.

    Args:
      plan: what is trained.
      mesh: of the devices, or of described ones.
      batch_size: over all devices, which divide it.
      memory: bytes of a device; None: by its data sheet, or as it says itself.
      probes: compilations of the search at most; 0 for none.
    """
    capacity = memory or capacity_of(mesh)
    compiled = program.compile_step(plan, mesh, batch_size)
    fits = fits_in(compiled, capacity)
    row = _sizes(plan, mesh, batch_size, compiled)
    row |= {"fits": fits, "capacity": capacity} | _work(plan, mesh, batch_size)
    found = None
    if probes and fits is not None:

        def compiles(rows: int) -> bool:
            other = program.compile_step(plan, mesh, rows * mesh.size)
            # Where nobody knows the memory, what the compiler takes fits.
            return fits_in(other, capacity) is not False

        found = search.largest(compiles, batch_size // mesh.size, fits, probes)
    row |= {
        "largest_batch": found.fits * mesh.size if found else None,
        "smallest_too_large": found.fails * mesh.size
        if found and found.fails
        else None,
        "probes": found.probes if found else 0,
    }
    row["advice"] = advice(row, plan) if fits is False else []
    return {key: row[key] for key in KEYS}


def capacity_of(mesh: Mesh) -> int | None:
    """Bytes that programs may use of a device that is there, or its data sheet's."""
    device = mesh.devices.flat[0]
    if device.platform == "gpu":
        limit = (device.memory_stats() or {}).get("bytes_limit")
        if limit:
            return limit
    return capacities.find(device.device_kind)


def fits_in(compiled: program.Compiled, capacity: int | None) -> bool | None:
    """The compiler's word, and for a device whose memory is known, the sum."""
    if compiled.memory is None:
        return False
    return None if capacity is None else compiled.memory.total <= capacity


def advice(row: dict, plan: Plan) -> list[str]:
    """What makes a step smaller, by what it consists of."""
    found = []
    limit = row["limit"] or row["capacity"]
    if row["total"] and limit:
        found.append(f"it is {told(row['total'] - limit)} too large for a device")
    if row["largest_batch"]:
        found.append(f"--batch_size={row['largest_batch']} fits on these devices")
    if row["resident_images"] > (limit or 0) / 4:
        found.append(
            f"the images take {told(row['resident_images'])} on every device; a set "
            "that is streamed takes its batches only"
        )
    if "float32" in row["flops_per_image"]:
        found.append("activations of --config.model.dtype=bfloat16 are half as large")
    if len(plan.students) > 1:
        found.append(f"{len(plan.students)} students share the step; fewer fit easier")
    fixed = row["state"] + row["teacher"] + row["resident_images"]
    if limit and fixed < limit:
        found.append("twice the devices halve the rows of each at the same batch")
    return found


def versions(platform: str) -> dict[str, str]:
    """Versions of what the numbers depend on."""
    names = ("jax", "jaxlib", *(("libtpu",) if platform == "tpu" else ()))
    found = {name: importlib.metadata.version(name) for name in names}
    return {"kdjax": kdjax.__version__} | found


def _sizes(plan: Plan, mesh: Mesh, batch_size: int, compiled) -> dict:
    steps = program.steps_of(plan, mesh)
    parts = program.parts(program.arguments(plan, batch_size, steps), mesh.size)
    device, seen, refused = mesh.devices.flat[0], compiled.memory, compiled.refused
    collectives = {kind: sent._asdict() for kind, sent in compiled.collectives.items()}
    return parts | {
        "device": device.device_kind,
        "devices": mesh.size,
        "batch_size": batch_size,
        "rows": batch_size // mesh.size,
        "steps": steps,
        "resident": plan.resident,
        "compile_seconds": compiled.seconds,
        "limit": refused.limit if refused else None,
        "padding": seen.arguments - sum(parts.values()) if seen else None,
        "temporaries": seen.temporaries if seen else None,
        "outputs": seen.outputs - seen.reused if seen else None,
        "code": seen.code if seen else None,
        "total": seen.total if seen else refused.used,
        "collectives": collectives,
        "versions": versions(device.platform),
    }


def _work(plan: Plan, mesh: Mesh, batch_size: int) -> dict:
    """Model FLOPs: of the teacher's forward and three of each student's."""
    image = jax.ShapeDtypeStruct((1, *plan.image_shape), "float32")

    def forward(network):
        return flops.count(
            network.train, *plans.variables(network, plan.image_shape), image
        )

    work = forward(plan.teacher) if plan.teacher else flops.NOTHING
    for student in plan.students.values():
        work += roof_work(forward(student.network))
    return {
        "flops_per_image": work.flops,
        "flops_per_step": work.total * batch_size / mesh.size,
    }


def roof_work(forward: flops.Work) -> flops.Work:
    """Forward, gradients of inputs and gradients of weights, as `roof` counts them."""
    asked = roof.load(None, forward, students=1)
    return flops.Work(asked.flops, forward.convolved_bytes)
