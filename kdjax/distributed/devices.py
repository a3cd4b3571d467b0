"""Chooses devices before JAX starts: on CPU, one virtual device per core."""

import collections
import ctypes
import importlib.metadata
import importlib.util
import math
import os
import pathlib
import platform
import sys

import jax

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.data.prefetch import cores
from kdjax.distributed import xla_flags

PROGRAMS = "~/.cache/kdjax/programs"
# Of glibc's malloc.h, each with the value that keeps memory: blocks above 32 MiB do not
# come from mmap one by one, freed memory is not returned to the system, and all threads
# share one arena, as the others cannot grow beyond 64 MiB.
MALLOC = {"M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, -1), "M_ARENA_MAX": (-8, 1)}


def configure(requested: int | None, batch_size: int, processes: int = 1) -> int:
    """Sets XLA's flags and the number of virtual CPU devices, before JAX starts.

    Devices with one thread each share the batch, and one device with a thread a core
    shares each operation: that takes 1.1 to 1.2 times as long on two cores (jax 0.10).

    `requested` is how many; None: the most cores that divide the batch, which all
    `processes` share. Returns the number, without effect where there is an accelerator.
    """
    if requested is not None and requested < 1:
        raise InputError(
            f"--devices is {requested}; expected 1 or more, or none: one on each core."
        )
    count = requested or max(
        n for n in range(1, cores() + 1) if batch_size % (n * processes) == 0 or n == 1
    )
    xla_flags.add(xla_flags.CPU_FLAGS)
    xla_flags.add_for_bfloat16()
    xla_flags.add_for_gpus()
    jax.config.update("jax_num_cpu_devices", count)
    if _is_cpu_only():
        keep_memory()
    if processes > 1:
        # Every process must have as many devices: each feeds an equal part of a batch.
        devices = collections.Counter(d.process_index for d in jax.devices())
        if len(set(devices.values())) > 1:
            counts = (f"process {i} has {n}" for i, n in sorted(devices.items()))
            raise InputError(
                f"{', '.join(counts)} devices; expected as many in each process: "
                "choose hosts of one kind, or on CPUs --devices=N."
            )
    return count


def _is_cpu_only() -> bool:
    """Before JAX starts: by what is requested, or which plugins are installed."""
    if jax.config.jax_platforms:
        return jax.config.jax_platforms == "cpu"
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    return not plugins and importlib.util.find_spec("libtpu") is None


def keep_memory() -> bool:
    """Lets a step on a CPU write into the memory that the step before has freed.

    To be called before JAX starts its threads. XLA's CPU backend allocates all of a
    step's activations anew. glibc takes blocks of that size from the system, which
    clears every page: 47,000 page faults and a seventh of the time of a step of
    WRN-16-2 (batch 64 a core, jax 0.10). Returns whether it did: with glibc, where the
    user sets nothing of malloc in $MALLOC_... or $GLIBC_TUNABLES.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if any(k.startswith("MALLOC_") for k in os.environ) or "malloc" in tunables:
        return False
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    if not hasattr(library, "gnu_get_libc_version"):  # musl has no such settings
        return False
    return all([library.mallopt(*setting) == 1 for setting in MALLOC.values()])


def keep_programs(directory: str | pathlib.Path = PROGRAMS) -> None:
    """Caches compiled programs for the next start, on accelerators.

    Programs for a CPU fit one machine only. A directory that is set already, as by
    $JAX_COMPILATION_CACHE_DIR, stays. A new one is writable for this user alone.
    """
    if jax.devices()[0].platform == "cpu" or jax.config.jax_compilation_cache_dir:
        return
    directory = paths.local(directory, "the cache of programs")
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        print(f"compiled programs are not kept: {error}", file=sys.stderr)
        return
    jax.config.update("jax_compilation_cache_dir", str(directory))


def describe() -> str:
    """One sentence on what this run computes with."""
    devices, processes = jax.devices(), jax.process_count()
    is_cpu = processes == 1 and devices[0].platform == "cpu"
    if is_cpu and xla_flags.SINGLE_THREAD not in os.environ.get("XLA_FLAGS", ""):
        return f"devices: {len(devices)} CPU device(s), as JAX was started"
    if is_cpu:
        per = "one per core" if len(devices) == cores() else f"on {cores()} cores"
        return (
            f"devices: {len(devices)} virtual CPU device(s), {per}, one thread each "
            f"({xla_flags.SINGLE_THREAD}); choose another number with --devices=N"
        )
    kinds = ", ".join(sorted({device.device_kind for device in devices}))
    each = f", {jax.local_device_count()} in each of {processes} processes"
    flags = xla_flags.describe_gpus() if devices[0].platform == "gpu" else ""
    return f"devices: {len(devices)} x {kinds}{each if processes > 1 else ''}{flags}"


def processor() -> str:
    """The processor's name, as the system has it."""
    info = pathlib.Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def check_batch(
    batch_size: int,
    name: str = "config.batch_size",
    count: int | None = None,
    microbatches: int = 1,
) -> None:
    """Raises InputError where the devices, `count` or all, do not divide the batch.

    Or, of a step that accumulates gradients, each of its `microbatches`.
    """
    count = count or jax.device_count()
    unit = count * microbatches
    if batch_size % unit:
        near = math.ceil(batch_size / unit) * unit
        each = f" for each of {microbatches} microbatches" if microbatches > 1 else ""
        raise InputError(
            f"{name} is {batch_size} and there are {count} devices{each}; "
            f"expected a multiple of {unit}, such as {near}."
        )
