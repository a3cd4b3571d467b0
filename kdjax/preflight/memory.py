"""Bytes of a compiled program, of a device, and in a compiler's refusal."""

import os
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from kdjax.bench import peaks
from kdjax.training import sharding

GPU_SHARE = 0.75  # of a GPU's memory, which JAX allocates for all programs
TOO_MUCH = 1 << 40  # bytes; no chip has as many
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
NUMBER = r"([\d.]+)([KMGT]?)i?B?"
REFUSED = re.compile(rf"Used {NUMBER} of {NUMBER} hbm", re.IGNORECASE)
# Before it lays anything out, of what is clearly too much.
AT_ONCE = re.compile(
    rf"HLO temporaries \({NUMBER}\) exceeds available HBM \({NUMBER}\)"
)


class Memory(NamedTuple):
    """Of one device, in bytes, as the compiler lays the program out."""

    arguments: int  # states, teacher, images and batch
    outputs: int  # the next states and the metrics
    reused: int  # of the arguments, which the outputs are written to
    temporaries: int  # activations and gradients
    code: int

    @property
    def total(self) -> int:
        new = self.outputs - self.reused
        return self.arguments + new + self.temporaries + self.code


class Refused(NamedTuple):
    """A compiler's numbers on a program that does not fit; None where it gives none."""

    used: int | None  # by all of the program
    limit: int | None
    temporaries: int | None = None  # by activations and gradients alone


def of(compiled) -> Memory:
    """The memory of a `jax.stages.Compiled`."""
    analysis = compiled.memory_analysis()
    return Memory(
        arguments=analysis.argument_size_in_bytes,
        outputs=analysis.output_size_in_bytes,
        reused=analysis.alias_size_in_bytes,
        temporaries=analysis.temp_size_in_bytes,
        code=analysis.generated_code_size_in_bytes,
    )


def refusal(message: str) -> Refused | None:
    """Reads a compiler's error; None where it is not about memory.

    >>> refusal("RESOURCE_EXHAUSTED: Used 20.50G of 15.75G hbm. Exceeded by 4.75G.")
    Refused(used=22011707392, limit=16911433728, temporaries=None)
    """
    if "RESOURCE_EXHAUSTED" not in message and "Ran out of memory" not in message:
        return None
    for pattern in (REFUSED, AT_ONCE):
        if match := pattern.search(message):
            needed, unit, limit, limit_unit = match.groups()
            needed, limit = _bytes(needed, unit), _bytes(limit, limit_unit)
            whole = pattern is REFUSED
            return Refused(*((needed, limit) if whole else (None, limit, needed)))
    return Refused(None, None)


def capacity_of(mesh: Mesh) -> int | None:
    """Bytes of a device for programs: of itself, its compiler, or its data sheet."""
    device = mesh.devices.flat[0]
    if device.platform == "cpu":
        return None  # the host's memory, which everything shares
    peak = peaks.find(device.device_kind)
    if device in jax.devices():
        limit = (device.memory_stats() or {}).get("bytes_limit")
    elif device.platform == "gpu":  # its compiler takes any program
        share = float(os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION", GPU_SHARE))
        limit = round(share * peak.memory) if peak else None
    else:
        limit = _compilers_limit(mesh)
    return limit or (peak.memory if peak else None)


def size_text(count: float) -> str:
    """Bytes for people.

    >>> size_text(3 * 2**30), size_text(1536), size_text(12)
    ('3.00 GiB', '1.50 KiB', '12 B')
    """
    for unit, size in reversed(UNITS.items()):
        if unit and abs(count) >= size:
            return f"{count / size:,.2f} {unit}iB"
    return f"{count:.0f} B"


def _bytes(number: str, unit: str) -> int:
    return round(float(number) * UNITS[unit.upper()])


def _compilers_limit(mesh: Mesh) -> int | None:
    """The one in its refusal of a program that is too large; half a second."""
    same = sharding.replicated(mesh)
    bytes_ = jax.ShapeDtypeStruct((TOO_MUCH,), jnp.int8, sharding=same)
    traced = jax.jit(lambda x: x + 1).trace(bytes_)
    try:
        traced.lower(lowering_platforms=(mesh.devices.flat[0].platform,)).compile()
    except jax.errors.JaxRuntimeError as error:
        refused = refusal(str(error))
        return refused.limit if refused else None
    return None
