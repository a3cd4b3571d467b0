"""What the kernels of a compiled step read and write, by kind, and the largest of them.

Bytes are those of a kernel's operands and results: what passes the device's memory
where no cache helps. Of an operand that a kernel only slices or gathers from, the rows
that it takes count; of a result that it only writes into, what it writes. What the
compiler keeps on the chip (a TPU's vector memory) does not count.
"""

import re
from typing import NamedTuple

from kdjax.preflight.collectives import tally
from kdjax.preflight.hlo import Instruction, Program, size

LARGEST = 10
# They run nothing of their own: names for parts of memory, and the ends of what began.
FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"),
    *("while", "call", "conditional", "async-start", "opt-barrier"),
    *("partition-id", "replica-id"),
}
ENDS = ("-done", "-update")
TAKES_ROWS = ("dynamic-slice", "slice", "gather")
TARGET = re.compile(r'custom_call_target="([^"]+)"')
SOURCE = re.compile(r'op_name="([^"]*)"')
CYCLES = re.compile(r'estimated_cycles"?\s*:\s*"?(\d+)')


class Kernel(NamedTuple):
    """One instruction that computes or moves something."""

    kind: str  # opcode, the stem of a fusion's name, or a custom call's target
    shape: str  # of its results
    source: str  # the operation in Python's words
    times: float  # how often a step runs it
    bytes: int  # of one run


class Sum(NamedTuple):
    """Of all kernels of a kind in a step."""

    count: int
    bytes: int


def summary(program: Program | None, steps: int) -> dict:
    """A step's kernels, bytes, collectives and cycles; None where it was refused."""
    if program is None:
        keys = ("kernels", "bytes_per_step", "bytes_by_kind", "largest", "cycles")
        keys += ("loops", "dispatch_trips")
        return dict.fromkeys(keys) | {"collectives": {}}
    dispatch = program.dispatch(steps)
    run = kernels(program, steps)
    kinds, sent = by_kind(run), tally(program, steps)
    largest = sorted(run, key=lambda k: k.bytes * k.times, reverse=True)[:LARGEST]
    return {
        "collectives": {kind: one._asdict() for kind, one in sent.items()},
        "kernels": sum(one.count for one in kinds.values()),
        "bytes_per_step": sum(one.bytes for one in kinds.values()),
        "bytes_by_kind": {kind: one._asdict() for kind, one in kinds.items()},
        "largest": [kernel._asdict() for kernel in largest],
        "cycles": cycles(program, steps),
        "loops": [
            {"trips": loop.trips, "times": times, "source": _first(SOURCE, loop.rest)}
            for loop, times in program.loops(steps)
        ],
        "dispatch_trips": dispatch and dispatch.trips,
    }


def kernels(program: Program, steps: int = 1) -> list[Kernel]:
    """Those of a step, in the program's order; `steps` are those of a dispatch."""
    shapes = {
        instruction.name: instruction.shape
        for computation in program.computations.values()
        for instruction in computation
    }
    return [
        Kernel(
            kind=_kind(instruction),
            shape=instruction.shape,
            source=_first(SOURCE, instruction.rest),
            times=times,
            bytes=_moved(program, instruction, shapes),
        )
        for instruction, times in program.executed(steps)
        if not _is_free(instruction)
    ]


def by_kind(run: list[Kernel]) -> dict[str, Sum]:
    """Kind -> its sum, the one that moves most bytes first."""
    counts, bytes_ = {}, {}
    for kernel in run:
        counts[kernel.kind] = counts.get(kernel.kind, 0.0) + kernel.times
        moved = kernel.times * kernel.bytes
        bytes_[kernel.kind] = bytes_.get(kernel.kind, 0.0) + moved
    order = sorted(counts, key=bytes_.get, reverse=True)
    return {kind: Sum(round(counts[kind]), round(bytes_[kind])) for kind in order}


def cycles(program: Program, steps: int = 1) -> float | None:
    """A step's, by the compiler's own estimates; None where it writes none (GPUs)."""
    estimates = [
        times * int(match.group(1))
        for instruction, times in program.executed(steps)
        if (match := CYCLES.search(instruction.rest))
    ]
    return sum(estimates) if estimates else None


def _is_free(instruction: Instruction) -> bool:
    if instruction.opcode == "custom-call":  # a TPU's, to name a part of its memory
        return _kind(instruction) == "AllocateBuffer"
    return instruction.opcode in FREE or instruction.opcode.endswith(ENDS)


def _kind(instruction: Instruction) -> str:
    """The stem of a fusion's name says what it is: "loop_add_fusion.7".

    >>> _kind(Instruction("wrapped_add.12", "f32[]", "fusion", "%x)"))
    'fusion wrapped_add'
    """
    opcode = instruction.opcode.removesuffix("-start")
    if opcode == "fusion":
        stem = re.sub(r"(\.(\d+|clone|remat\d*))+$", "", instruction.name)
        return f"fusion {stem.removesuffix('fusion').strip('_')}".strip()
    if opcode == "custom-call":
        return _first(TARGET, instruction.rest) or opcode
    return opcode


def _first(pattern: re.Pattern, text: str) -> str:
    match = pattern.search(text)
    return match.group(1) if match else ""


def _moved(program: Program, instruction: Instruction, shapes: dict[str, str]) -> int:
    """Bytes of one run."""
    operands = [size(shapes.get(n, ""), True) for n in instruction.operands]
    result = size(instruction.result, True)
    if instruction.opcode.removesuffix("-start") in TAKES_ROWS:
        read = min(operands[0], size(instruction.result))
        return read + sum(operands[1:]) + result
    if instruction.opcode == "dynamic-update-slice":
        return sum(operands[1:]) + operands[1]
    inside = program.fused(instruction)
    if not inside:
        return sum(operands) + result
    return _read(inside, operands) + _written(inside, result)


def _read(inside: list[Instruction], operands: list[int]) -> int:
    """Of a fusion's operands; of those that it only takes rows of, the rows."""
    total = 0
    for parameter in (i for i in inside if i.opcode == "parameter"):
        number = int(re.match(r"\d+", parameter.rest).group())
        whole = operands[number] if number < len(operands) else 0
        total += min(whole, _rows_of(parameter.name, inside, whole))
    return total


def _rows_of(name: str, inside: list[Instruction], whole: int) -> int:
    """Bytes that a fusion reads of one of its operands, followed through bitcasts."""
    total = 0
    for user in inside:
        places = [n for n, operand in enumerate(user.operands) if operand == name]
        if not places:
            continue
        if user.opcode == "bitcast":
            total += _rows_of(user.name, inside, whole)
        elif places == [0] and user.opcode in TAKES_ROWS:
            total += size(user.shape)
        elif places == [0] and user.opcode == "dynamic-update-slice":
            total += 0  # it is written into, where it lies
        else:
            return whole
    return total


def _written(inside: list[Instruction], result: int) -> int:
    """Of a fusion's results; of one that it writes into, the part that is new."""
    root = next((i for i in inside if i.is_root), None)
    by_name = {i.name: i for i in inside}
    while root is not None and root.opcode == "bitcast":
        root = by_name.get(root.operands[0])
    if root is None or root.opcode != "dynamic-update-slice":
        return result
    new = by_name.get(root.operands[1])
    return min(result, size(new.shape)) if new else result
