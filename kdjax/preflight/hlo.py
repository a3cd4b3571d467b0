"""The text of a compiled program (HLO): its computations, and what of it is a step.

program = parse(compiled.as_text())
for instruction, times in program.executed(steps=16):
    print(times, instruction.opcode, size(instruction.shape))
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

# `%name = SHAPE opcode(operands), attributes`; layouts hold parentheses, but none after
# a blank and a word.
INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z0-9\-]*)\((.*)$")
COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
ARRAY = re.compile(r"\b([a-z]+\d*\w*)\[([\d,]*)\](?:\{([^}]*)\})?")
ON_CHIP = re.compile(r"S\([1-9]\d*\)")  # a layout's memory space; 0 is main memory
TRIPS = re.compile(r'known_trip_count"?\s*:\s*\{"?n"?\s*:\s*"?(\d+)')
NAME = re.compile(r"%([\w.\-]+)")
_NAMES = r"=\{?((?:%?[\w.\-]+(?:, )?)+)\}?"
# Computations that an instruction runs as they are; a fusion's are parts of one kernel.
CALLED = re.compile(r"\b(?:calls|to_apply|body|called_computations)" + _NAMES)
BRANCHES = re.compile(r"\b(?:branch_computations|(?:true|false)_computation)" + _NAMES)
CALLING = ("while", "call", "async-start")


class Instruction(NamedTuple):
    """One line of a computation."""

    name: str
    shape: str
    opcode: str
    rest: str  # from the first operand on: operands, attributes, metadata
    is_root: bool = False

    @property
    def operands(self) -> list[str]:
        """Names, in order.

        >>> Instruction("a", "f32[]", "add", "%x.1, f32[] %y), metadata={}").operands
        ['x.1', 'y']
        """
        depth = 1
        for place, letter in enumerate(self.rest):
            depth += (letter == "(") - (letter == ")")
            if depth == 0:
                return NAME.findall(self.rest[:place])
        return NAME.findall(self.rest)

    @property
    def result(self) -> str:
        """The shape of what it makes; of what starts, of what it will have made.

        That holds (operands, results, ...), a copy (results, operands, ...), and an
        all-reduce with some compilers its results alone.

        >>> shape = "((f32[1]), (f32[4], s8[2]))"
        >>> Instruction("a", shape, "all-gather-start", "%x)").result
        '(f32[4], s8[2])'
        """
        if not self.opcode.endswith("-start"):
            return self.shape
        parts = _parts(self.shape)
        if self.opcode == "copy-start":
            return parts[0]
        alone = self.opcode == "all-reduce-start" and not self.shape.startswith("((")
        return self.shape if alone or len(parts) < 2 else parts[1]

    @property
    def called(self) -> list[str]:
        """Computations that it names, but for branches."""
        return _names(CALLED, self.rest)

    @property
    def branches(self) -> list[str]:
        return _names(BRANCHES, self.rest)

    @property
    def trips(self) -> int | None:
        """Of a while loop, where the compiler knows how often it runs."""
        match = TRIPS.search(self.rest) if self.opcode == "while" else None
        return int(match.group(1)) if match else None


class Program(NamedTuple):
    """Computations by name, and which of them the program begins with."""

    computations: dict[str, list[Instruction]]
    entry: str

    def step(self, steps: int) -> tuple[str, float]:
        """(the computation that makes steps, how many steps one run of it makes).

        A dispatch of several `steps` is a loop over them, which the compiler may have
        unrolled in part: of the entry's loops it is the one with the longest body.
        """
        loop = self.dispatch(steps)
        if loop is None:
            return self.entry, float(steps)
        return self._body(loop), steps / (loop.trips or steps)

    def dispatch(self, steps: int) -> Instruction | None:
        """The loop over a dispatch's steps; None where one is all of it."""
        loops = [i for i in self.computations[self.entry] if i.opcode == "while"]
        if steps == 1 or not loops:
            return None
        return max(loops, key=lambda i: len(self.computations.get(self._body(i), ())))

    def loops(self, steps: int = 1) -> Iterator[tuple[Instruction, float]]:
        """Loops inside a step, and how often a step begins them."""
        for instruction, times in self.executed(steps):
            if instruction.opcode == "while":
                yield instruction, times

    def executed(self, steps: int = 1) -> Iterator[tuple[Instruction, float]]:
        """Every instruction that runs in a step, and how often a step runs it.

        A loop of known length runs its body so often, one of unknown length once. Of a
        conditional the longest branch counts. A fusion is one instruction.
        """
        name, makes = self.step(steps)
        yield from self._walk(name, 1.0 / makes)

    def fused(self, instruction: Instruction) -> list[Instruction]:
        """What a fusion consists of; nothing for any other instruction."""
        names = instruction.called if instruction.opcode == "fusion" else []
        return [inner for name in names for inner in self.computations.get(name, ())]

    def _walk(self, name: str, times: float) -> Iterator[tuple[Instruction, float]]:
        for instruction in self.computations.get(name, ()):
            yield instruction, times
            if instruction.opcode in CALLING:
                repeated = times * (instruction.trips or 1)
                for inner in instruction.called:
                    yield from self._walk(inner, repeated)
            if branches := instruction.branches:
                longest = max(branches, key=lambda n: len(self.computations.get(n, ())))
                yield from self._walk(longest, times)

    @staticmethod
    def _body(loop: Instruction) -> str:
        match = re.search(r"\bbody=%?([\w.\-]+)", loop.rest)
        return match.group(1) if match else ""


def parse(text: str) -> Program:
    """Reads `compiled.as_text()`; raises ValueError where it has no entry."""
    computations, entry, lines = {}, None, []
    for line in text.splitlines():
        if head := COMPUTATION.match(line):
            lines = computations[head.group(2)] = []
            entry = head.group(2) if head.group(1) else entry
        elif match := INSTRUCTION.match(line):
            root, *parts = match.groups()
            lines.append(Instruction(*parts, is_root=bool(root)))
    if entry is None:
        raise ValueError("hlo: the text has no ENTRY; expected compiled.as_text().")
    return Program(computations, entry)


def size(shape: str, main_memory: bool = False) -> int:
    """Bytes of an HLO shape, tuples summed; only those in main memory, or all.

    >>> size("(f32[8,2]{1,0:T(8,128)}, bf16[], pred[3]{0})")
    69
    >>> size("(f32[8]{0:T(256)S(1)}, f32[2]{0})", main_memory=True)
    8
    """
    return sum(
        -(-_bits(kind) * math.prod(map(int, filter(None, axes.split(",")))) // 8)
        for kind, axes, layout in ARRAY.findall(shape)
        if not (main_memory and ON_CHIP.search(layout))
    )


def _parts(shape: str) -> list[str]:
    """Of a tuple.

    >>> _parts("(f32[2]{0}, f32[8,4]{1,0:T(8,128)}, u32[])")
    ['f32[2]{0}', 'f32[8,4]{1,0:T(8,128)}', 'u32[]']
    """
    parts, depth, start = [], 0, 1
    for place, letter in enumerate(shape):
        depth += (letter in "([{") - (letter in ")]}")
        if (letter == "," and depth == 1) or (depth == 0 and letter == ")"):
            parts.append(shape[start:place].strip())
            start = place + 1
    return parts


def _bits(kind: str) -> int:
    if kind == "pred":
        return 8
    digits = re.match(r"[a-z]+(\d+)", kind)
    return int(digits.group(1)) if digits else 0  # tokens and such take nothing


def _names(pattern: re.Pattern, rest: str) -> list[str]:
    groups = pattern.findall(rest)
    return [name for group in groups for name in re.findall(r"[\w.\-]+", group)]
