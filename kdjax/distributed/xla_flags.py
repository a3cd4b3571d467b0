"""XLA's flags that kdjax sets, where the user has not, before JAX starts."""

import importlib.metadata
import os
import pathlib

import jax

from kdjax.contracts import InputError, versions

VARIABLE = "XLA_FLAGS"
SINGLE_THREAD = "--xla_cpu_multi_thread_eigen=false"
# A starved machine is slow and not stuck: XLA would end the process, 40 seconds after
# the first of its devices has come to a collective.
CPU_FLAGS = (
    SINGLE_THREAD,
    "--xla_cpu_collective_call_warn_stuck_timeout_seconds=600",
    "--xla_cpu_collective_call_terminate_timeout_seconds=86400",
)
# Starts the sums of gradients over GPUs early and waits for them late, so that they
# overlap the backward pass. NVIDIA's images set it too; jaxlib 0.11.2 has it by itself.
GPU_FLAGS = ("--xla_gpu_enable_latency_hiding_scheduler=true",)
# oneDNN's convolutions use a processor's units for bfloat16, which XLA's own do not: a
# step of WRN-28-4 -> WRN-16-2 in bfloat16 takes 0.6 of the time. Older jaxlibs know the
# flag and do nothing; programs in float32 are the same with it.
BFLOAT16_FLAGS = ("--xla_cpu_experimental_onednn_custom_call=true",)
BFLOAT16_UNITS = {"avx512_bf16", "amx_bf16"}  # as Linux calls them
# XLA ends a process that sets a flag it does not know. A test starts jaxlib with these.
KNOWN_BELOW = (0, 13)  # jaxlib
GPU_PLATFORMS = ("cuda", "rocm", "gpu")


def add(flags: tuple[str, ...]) -> None:
    """Appends flags to $XLA_FLAGS, but those whose names are in it already."""
    present = _present()
    ours = [f for f in flags if f.strip("-").partition("=")[0] not in present]
    os.environ[VARIABLE] = " ".join([present, *ours]).strip()


def _present() -> str:
    """What $XLA_FLAGS holds; as XLA does, the words of a file where it names one."""
    text = os.environ.get(VARIABLE, "").strip()
    if not text or text.startswith("-"):
        return text
    try:
        return " ".join(pathlib.Path(text).read_text().split())
    except OSError as error:
        raise InputError(
            f"${VARIABLE} is {text!r}: {error}; expected flags that begin with --, or "
            "a file of them."
        ) from error


def add_for_gpus() -> None:
    """Adds GPU_FLAGS where JAX may start on GPUs, in a jaxlib that knows them."""
    if _jaxlib() < KNOWN_BELOW and may_use_gpus():
        add(GPU_FLAGS)


def add_for_bfloat16() -> None:
    """Adds BFLOAT16_FLAGS where the processor has such units, and jaxlib uses them."""
    if (0, 12) <= _jaxlib() < KNOWN_BELOW and has_bfloat16_units():
        add(BFLOAT16_FLAGS)


def has_bfloat16_units(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """False too where the processor does not say, as on what is not Linux."""
    try:
        words = pathlib.Path(cpuinfo).read_text().split()
    except OSError:
        return False
    return not BFLOAT16_UNITS.isdisjoint(words)


def _jaxlib() -> tuple[int, int]:
    major, minor = versions("jaxlib")["jaxlib"].split(".")[:2]
    return int(major), int(minor)


def may_use_gpus() -> bool:
    """Before JAX starts: by what is requested, or which plugins are installed."""
    platforms = jax.config.jax_platforms
    if platforms:
        return not set(platforms.split(",")).isdisjoint(GPU_PLATFORMS)
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    return any(kind in p.name for p in plugins for kind in GPU_PLATFORMS)


def describe_gpus() -> str:
    """A clause on which of GPU_FLAGS are set, for the line that names the devices."""
    set_here = [f for f in GPU_FLAGS if f in os.environ.get(VARIABLE, "").split()]
    return f"; {VARIABLE} {' '.join(set_here)}" if set_here else ""
