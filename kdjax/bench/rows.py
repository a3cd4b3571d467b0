"""Measured programs as rows of numbers, and what the numbers mean."""

import sys
from collections.abc import Callable, Iterable

import jax
from jax.sharding import Mesh

from kdjax import signals
from kdjax.bench import peaks, programs, timing
from kdjax.bench.flops import Work
from kdjax.bench.problem import Problem
from kdjax.bench.roofline import shares
from kdjax.contracts import InputError, json_text, versions

INTERRUPTED = 130
KEYS = {
    "pair": "teacher and student",
    "mode": "live, cached, streamed or input",
    "students": "trained side by side in one program; 0 where only input runs",
    "dispatch": "steps that the host sends to the devices at a time",
    "batch_size": "images of a step, over all devices",
    "image_size": "pixels of a side",
    "classes": "of the made-up labels",
    "device": "as JAX calls it",
    "devices": "how many",
    "versions": "of kdjax, jax and jaxlib",
    "compile_seconds": "of the first call: tracing, and compiling or reading a program",
    "steps": "of a block",
    "repeats": "blocks",
    "images_per_second": "of the median block",
    "images_per_second_low": "of the slowest block",
    "images_per_second_high": "of the fastest block",
    "student_images_per_second": "images/s times students",
    "input_wait": "share of the time in which the loop waited for its next batch",
    "flops_per_image": "model FLOPs by dtype: teacher forward, 3 student forwards",
    "flops_per_second": "model FLOP/s that were achieved",
    "flop_utilisation": "of the devices' peak, or null where that is not known",
    "bytes_per_image": "memory traffic by the model of kdjax/bench/roofline.py",
    "bytes_per_second": "by that model",
    "memory_utilisation": "of the devices' peak, or null where that is not known",
}


def measure_each(
    cases: Iterable[tuple[str, Callable[[], dict]]],
    print_table: Callable[[list[dict]], None],
    as_json: bool,
) -> int:
    """Measures (name, function) pairs in order and returns the command's exit code.

    Rows are printed as JSON, each at once, or as a table, also after an interruption.
    """
    rows, code = [], 0
    for name, measure_case in cases:
        print(name, file=sys.stderr)
        try:
            rows.append(measure_case())
        except KeyboardInterrupt:
            result = "this is what was measured" if rows else "nothing was measured yet"
            print(f"interrupted; {result}", file=sys.stderr)
            code = signals.ending() or INTERRUPTED
            break
        if as_json:
            print(json_text(rows[-1]), flush=True)
    if rows and not as_json:
        print_table(rows)
    return code


def measure(
    pair: str,
    problem: Problem,
    mode: str,
    students: int,
    dispatch: int | None,
    mesh: Mesh,
    *,
    steps: int,
    repeats: int,
) -> dict:
    """Builds, compiles and times one program; the keys are those of KEYS.

    A dispatch of None is the one that training has on these devices.

    Raises InputError if the program does not fit the device's memory.
    """
    load = programs.load(problem, mode, students)
    device = mesh.devices.flat[0]
    dispatch = dispatch or programs.dispatch_of(mode, device.platform)
    try:
        program = programs.start(problem, mode, students, mesh, dispatch)
        timed = timing.measure(program, steps=steps, repeats=repeats)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise InputError(
            f"{mode} with {students} students does not fit the memory of "
            f"{device.device_kind}; expected fewer --students or a "
            "smaller --batch_size."
        ) from error
    return {
        "pair": pair,
        "mode": mode,
        "students": students,
        "dispatch": dispatch,
        "batch_size": problem.batch_size,
        "image_size": problem.image_size,
        "classes": problem.classes,
    } | _speed(problem.batch_size, students, load, timed, mesh)


def _speed(
    batch_size: int, students: int, load: Work, timed: timing.Timing, mesh: Mesh
) -> dict:
    """What follows from a timing on the devices of a mesh."""
    kind = mesh.devices.flat[0].device_kind
    rates = timed.rates(batch_size)
    rate = rates["images_per_second"]
    arithmetic, memory = shares(load, rate, peaks.find(kind), mesh.size)
    return {
        "device": kind,
        "devices": mesh.size,
        "versions": versions("jax", "jaxlib"),
        "compile_seconds": timed.compile_seconds,
        "steps": timed.steps,
        "repeats": len(timed.seconds),
        **rates,
        "student_images_per_second": rate * students,
        "input_wait": timed.input_wait,
        "flops_per_image": load.flops,
        "flops_per_second": rate * load.total,
        "flop_utilisation": arithmetic,
        "bytes_per_image": load.bytes,
        "bytes_per_second": rate * load.bytes,
        "memory_utilisation": memory,
    }
