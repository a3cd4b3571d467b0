"""Described NVIDIA GPUs, as devices that programs can be compiled for."""

import importlib.metadata
import os
from typing import NamedTuple

import jax
from jax.experimental import topologies

from kdjax.contracts import InputError
from kdjax.distributed import xla_flags

A_HOST = 8  # GPUs of one kind that a host has


class Gpu(NamedTuple):
    """What XLA wants to know of a kind of GPU."""

    name: str  # as JAX calls the device
    capability: int  # the major compute capability
    processors: int  # streaming multiprocessors
    float32_units: int  # of one
    shared: int  # bytes of its shared memory, and of those that a block may have
    block_shared: int
    level_two: int  # bytes of the cache
    gigahertz: float
    bandwidth: float  # bytes/s of the memory
    memory: int  # bytes


# NVIDIA's data sheets and the table of compute capabilities in the CUDA programming
# guide; the sizes of memory and cache are what the devices report, as
# xla/backends/gpu/target_config/specs of OpenXLA has them.
GPUS = {
    "h200": Gpu(
        *("NVIDIA H200", 9, 132, 128, 233472, 232448, 50 * 2**20),
        *(1.98, 4.8e12, 151397597184),
    ),
    "h100": Gpu(
        *("NVIDIA H100 80GB HBM3", 9, 132, 128, 233472, 232448, 50 * 2**20),
        *(1.98, 3.35232e12, 84942979072),
    ),
    "a100": Gpu(
        *("NVIDIA A100-SXM4-80GB", 8, 108, 64, 167936, 166912, 40 * 2**20),
        *(1.41, 2.03904e12, 85100068864),
    ),
}
EXAMPLES = ", ".join(f"{kind}:8" for kind in GPUS)
PATTERN = rf"({'|'.join(GPUS)}):([1-9]\d*)"
# There is no GPU: neither its driver can be asked, nor kernels be timed and chosen.
ENVIRONMENT = {"JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1"}
UNTIMED = "--xla_gpu_autotune_level=0"


def describe(kind: str, count: int) -> list:
    """So many devices of a kind. Programs compile for them and never run.

    Call it before the first computation. Raises InputError where JAX's plugin for CUDA
    is not installed, or the hosts would not be full.
    """
    if count > A_HOST and count % A_HOST:
        near = -(-count // A_HOST) * A_HOST
        raise InputError(
            f"--topology={kind}:{count}: a host has {A_HOST} of them; expected 1 to "
            f"{A_HOST} or a multiple of {A_HOST}, such as {kind}:{near}."
        )
    _prepare()
    hosts, of_host = -(-count // A_HOST), min(count, A_HOST)
    return topologies.get_topology_desc(
        platform="cuda",
        target_config=target(GPUS[kind]),
        topology=f"1x{hosts}x{of_host}",
    ).devices


def target(gpu: Gpu) -> str:
    """The text of a GpuTargetConfigProto; limits of blocks are those of all kinds."""
    return f"""
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: {gpu.block_shared}
  shared_memory_per_core: {gpu.shared}
  threads_per_core_limit: 2048
  core_count: {gpu.processors}
  fpus_per_core: {gpu.float32_units}
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: {gpu.bandwidth:.0f}
  l2_cache_size: {gpu.level_two}
  clock_rate_ghz: {gpu.gigahertz}
  device_memory_size: {gpu.memory}
  cuda_compute_capability {{ major: {gpu.capability} }}
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 }}
runtime_version {{ major: 13 }}
device_description_str: "{gpu.name}"
"""


def _prepare() -> None:
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    if not any("cuda" in plugin.name for plugin in plugins):
        raise InputError(
            "--topology of GPUs needs JAX's plugin for CUDA with its compiler, and it "
            "is not installed; expected pip install 'jax[cuda13]>=0.11.2' (5 GB). No "
            "GPU is needed."
        )
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    xla_flags.add((UNTIMED,))
    jax.config.update("jax_platforms", "cpu")
