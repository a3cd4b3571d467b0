"""Bytes of a compiled program on one device, and what the compiler refuses."""

import re
from typing import NamedTuple

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
        return (
            self.arguments + self.outputs - self.reused + self.temporaries + self.code
        )


class Refused(NamedTuple):
    """What the compiler said of a program that does not fit; None: it did not say."""

    used: int | None  # by all of the program
    limit: int | None
    temporaries: int | None = None  # by activations and gradients alone


def of(compiled) -> Memory:
    """The memory of a `jax.stages.Compiled`."""
    found = compiled.memory_analysis()
    return Memory(
        arguments=found.argument_size_in_bytes,
        outputs=found.output_size_in_bytes,
        reused=found.alias_size_in_bytes,
        temporaries=found.temp_size_in_bytes,
        code=found.generated_code_size_in_bytes,
    )


def refusal(message: str) -> Refused | None:
    """Reads a compiler's error; None where it is not about memory.

    >>> refusal("RESOURCE_EXHAUSTED: Used 20.50G of 15.75G hbm. Exceeded by 4.75G.")
    Refused(used=22011707392, limit=16911433728, temporaries=None)
    """
    about = "RESOURCE_EXHAUSTED" in message or "Ran out of memory" in message
    if not about:
        return None
    for pattern in (REFUSED, AT_ONCE):
        found = pattern.search(message)
        if found:
            needed, unit, limit, limit_unit = found.groups()
            needed, limit = _bytes(needed, unit), _bytes(limit, limit_unit)
            whole = pattern is REFUSED
            return Refused(*((needed, limit) if whole else (None, limit, needed)))
    return Refused(None, None)


def _bytes(number: str, unit: str) -> int:
    return round(float(number) * UNITS[unit.upper()])


def told(count: float) -> str:
    """For people.

    >>> told(3 * 2**30), told(1536), told(12)
    ('3.00 GiB', '1.50 KiB', '12 B')
    """
    for unit, size in reversed(UNITS.items()):
        if unit and abs(count) >= size:
            return f"{count / size:,.2f} {unit}iB"
    return f"{count:.0f} B"
