"""One measured program as a row of numbers, and what the numbers mean."""

import importlib.metadata

import jax
from jax.sharding import Mesh

import kdjax
from kdjax.bench import peaks, programs, timing
from kdjax.bench.roofline import Load, shares
from kdjax.contracts import InputError

KEYS = {
    "pair": "teacher and student",
    "mode": "live, cached or input",
    "students": "trained side by side in one program; 0 where only input runs",
    "batch_size": "images of a step, over all devices",
    "image_size": "pixels of a side",
    "classes": "of the made-up labels",
    "device": "as JAX calls it",
    "devices": "how many",
    "versions": "of kdjax, jax and jaxlib",
    "compile_seconds": "of the first step: tracing, compilation and loading",
    "steps": "of a block",
    "repeats": "blocks",
    "images_per_second": "of the median block",
    "images_per_second_low": "of the slowest block",
    "images_per_second_high": "of the fastest block",
    "student_images_per_second": "images/s times students",
    "input_wait": "share of the time in which the loop waited for its next ticket",
    "flops_per_image": "model FLOPs by dtype: teacher forward, 3 student forwards",
    "flops_per_second": "model FLOP/s that were achieved",
    "flop_utilisation": "of the devices' peak, or null where that is not known",
    "bytes_per_image": "memory traffic by the model of kdjax/bench/roofline.py",
    "bytes_per_second": "by that model",
    "memory_utilisation": "of the devices' peak, or null where that is not known",
}


def measure(
    pair: str,
    problem: programs.Problem,
    mode: str,
    students: int,
    mesh: Mesh,
    *,
    steps: int,
    repeats: int,
) -> dict:
    """Builds, compiles and times one program; the keys are those of KEYS.

    Raises:
      InputError: the program does not fit the device's memory.
    """
    asked = programs.load(problem, mode, students)
    try:
        program = programs.start(problem, mode, students, mesh)
        timed = timing.measure(program, steps=steps, repeats=repeats)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise InputError(
            f"{mode} with {students} students does not fit the memory of "
            f"{mesh.devices.flat[0].device_kind}; expected fewer --students or a "
            "smaller --batch_size."
        ) from error
    return {"pair": pair} | row(problem, mode, students, asked, timed, mesh)


def row(
    problem: programs.Problem,
    mode: str,
    students: int,
    asked: Load,
    timed: timing.Timing,
    mesh: Mesh,
) -> dict:
    """The numbers of a timing on the devices of a mesh."""
    kind = mesh.devices.flat[0].device_kind
    rate, low, high = timed.rates(problem.batch_size)
    arithmetic, memory = shares(asked, rate, peaks.find(kind), mesh.size)
    return {
        "mode": mode,
        "students": students,
        "batch_size": problem.batch_size,
        "image_size": problem.image_size,
        "classes": problem.classes,
        "device": kind,
        "devices": mesh.size,
        "versions": versions(),
        "compile_seconds": timed.compile_seconds,
        "steps": timed.steps,
        "repeats": len(timed.seconds),
        "images_per_second": rate,
        "images_per_second_low": low,
        "images_per_second_high": high,
        "student_images_per_second": rate * students,
        "input_wait": timed.input_wait,
        "flops_per_image": asked.flops,
        "flops_per_second": rate * asked.total,
        "flop_utilisation": arithmetic,
        "bytes_per_image": asked.bytes,
        "bytes_per_second": rate * asked.bytes,
        "memory_utilisation": memory,
    }


def versions() -> dict[str, str]:
    """Versions of what the speed depends on."""
    names = ("jax", "jaxlib")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"kdjax": kdjax.__version__} | found
