"""How much memory programs may use of a device, there or described."""

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from kdjax.bench import capacities
from kdjax.preflight import memory
from kdjax.training import sharding

TOO_MUCH = 1 << 40  # bytes; no chip has as many


def capacity_of(mesh: Mesh) -> int | None:
    """Bytes: what the device itself says, or its compiler, or else its data sheet.

    They differ: a TPU v5e has 16 GiB, of which its compiler hands out 15.75.
    """
    device = mesh.devices.flat[0]
    if device.platform == "cpu":
        return None  # the host's memory, which everything shares
    if device in jax.devices():
        found = (device.memory_stats() or {}).get("bytes_limit")
    else:
        found = _compilers_limit(mesh)
    return found or capacities.find(device.device_kind)


def _compilers_limit(mesh: Mesh) -> int | None:
    """What it says when it refuses a program that is too large; half a second."""
    same = sharding.replicated(mesh)
    bytes_ = jax.ShapeDtypeStruct((TOO_MUCH,), jnp.int8, sharding=same)
    traced = jax.jit(lambda x: x + 1).trace(bytes_)
    try:
        traced.lower(lowering_platforms=(mesh.devices.flat[0].platform,)).compile()
    except jax.errors.JaxRuntimeError as error:
        refused = memory.refusal(str(error))
        return refused.limit if refused else None
    return None
