"""What a compiled program sends between its devices, read from its HLO text.

Bytes are those of the results on one device, once for every time that the operation
runs in a step; `hlo.Program.executed` says how loops and branches count.
"""

from typing import NamedTuple

from kdjax.preflight.hlo import Instruction, Program, size

KINDS = (
    *("all-reduce", "all-gather", "reduce-scatter", "all-to-all"),
    *("collective-permute", "collective-broadcast", "ragged-all-to-all"),
)


class Sent(NamedTuple):
    """Of one kind of collective."""

    count: int
    bytes: int


Tally = dict[str, Sent]


def tally(program: Program, steps: int = 1) -> Tally:
    """Kind -> how many collectives a device takes part in in a step, and their bytes.

    `steps` are those of a dispatch.
    """
    counts, bytes_ = {}, {}
    for instruction, times in program.executed(steps):
        for one in (instruction, *program.fused(instruction)):
            if (kind := kind_of(one)) is None:
                continue
            counts[kind] = counts.get(kind, 0.0) + times
            bytes_[kind] = bytes_.get(kind, 0.0) + times * size(one.result)
    return {k: Sent(round(counts[k]), round(bytes_[k])) for k in sorted(counts)}


def kind_of(instruction: Instruction) -> str | None:
    """The kind of collective that it is or starts; None for all else."""
    kind = instruction.opcode.removesuffix("-start")
    return kind if kind in KINDS else None
