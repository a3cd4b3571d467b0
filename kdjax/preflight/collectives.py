"""What a compiled program sends between its devices, read from its HLO text.

Bytes are those of the results on one device, once for every time that the operation
runs. A loop of known length counts its body so often, one of unknown length once. Of a
conditional the branch that sends most counts.
"""

import math
import re
from typing import NamedTuple

KINDS = (
    *("all-reduce", "all-gather", "reduce-scatter", "all-to-all"),
    *("collective-permute", "collective-broadcast", "ragged-all-to-all"),
)
# `%name = SHAPE opcode(operands), attributes`; layouts hold parentheses, but none after
# a blank and a word.
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.\-]+ = (.*?) ([a-z][a-z0-9\-]*)\((.*)$")
COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
ARRAY = re.compile(r"\b([a-z]+\d*\w*)\[([\d,]*)\]")
TRIPS = re.compile(r'known_trip_count"?\s*:\s*\{"?n"?\s*:\s*"?(\d+)')
_NAMES = r"=\{?((?:%?[\w.\-]+(?:, )?)+)\}?"
CALLED = re.compile(r"\b(?:calls|to_apply|body|called_computations)" + _NAMES)
BRANCHES = re.compile(r"\b(?:branch_computations|(?:true|false)_computation)" + _NAMES)


class Sent(NamedTuple):
    """Of one kind of collective."""

    count: int
    bytes: int


Tally = dict[str, Sent]


def tally(hlo: str, steps: int = 1) -> Tally:
    """Kind -> how many collectives a device takes part in, and their bytes.

    `hlo` is `compiled.as_text()`; raises ValueError if it has no entry computation.
    Of a program of several `steps` it is a step's part, rounded up.
    """
    computations, entry = _computations(hlo)
    if entry is None:
        raise ValueError("tally: the text has no ENTRY; expected compiled.as_text().")
    total = _tally(entry, computations, {})
    return {k: Sent(*(-(-part // steps) for part in sent)) for k, sent in total.items()}


def size(shape: str) -> int:
    """Bytes of an HLO shape, tuples summed.

    >>> size("(f32[8,2]{1,0:T(8,128)}, bf16[], pred[3]{0})")
    69
    """
    return sum(
        -(-_bits(kind) * math.prod(map(int, filter(None, axes.split(",")))) // 8)
        for kind, axes in ARRAY.findall(shape)
    )


def _bits(kind: str) -> int:
    if kind == "pred":
        return 8
    digits = re.match(r"[a-z]+(\d+)", kind)
    return int(digits.group(1)) if digits else 0  # tokens and such take nothing


def _computations(hlo: str) -> tuple[dict[str, list[tuple[str, str, str]]], str | None]:
    """name -> its (shape, opcode, rest) lines, and the name of the entry."""
    computations, entry, lines = {}, None, []
    for line in hlo.splitlines():
        if head := COMPUTATION.match(line):
            lines = computations[head.group(2)] = []
            entry = head.group(2) if head.group(1) else entry
        elif instruction := INSTRUCTION.match(line):
            lines.append(instruction.groups())
    return computations, entry


def _tally(name: str, computations: dict, tallies: dict[str, Tally]) -> Tally:
    if name not in tallies:
        total: Tally = {}
        for shape, opcode, rest in computations.get(name, ()):
            _add(total, _own(shape, opcode, rest))
            times = 1
            if opcode == "while" and (trips := TRIPS.search(rest)):
                times = int(trips.group(1))
            ended = opcode in ("async-update", "async-done")  # counted at its start
            for inner in () if ended else _names(CALLED, rest):
                _add(total, _tally(inner, computations, tallies), times)
            names = _names(BRANCHES, rest)
            if branches := [_tally(n, computations, tallies) for n in names]:
                most = max(branches, key=lambda b: sum(s.bytes for s in b.values()))
                _add(total, most)
        tallies[name] = total
    return tallies[name]


def _own(shape: str, opcode: str, rest: str) -> Tally:
    """What the instruction itself sends."""
    kind = opcode.removesuffix("-start")
    if kind not in KINDS:
        return {}
    if opcode.endswith("-start") and kind != "all-reduce":
        shape = _result(shape)
    return {kind: Sent(1, size(shape))}


def _result(shape: str) -> str:
    """Of what an asynchronous operation holds, (operands, results, ...), the results.

    >>> _result("(f32[2]{0}, f32[8]{0}, u32[])"), _result("((f32[1]), (f32[4], s8[2]))")
    ('f32[8]{0}', '(f32[4], s8[2])')
    """
    parts, depth, start = [], 0, 1
    for place, letter in enumerate(shape):
        depth += (letter in "([{") - (letter in ")]}")
        if (letter == "," and depth == 1) or (depth == 0 and letter == ")"):
            parts.append(shape[start:place].strip())
            start = place + 1
    return parts[1] if len(parts) > 1 else shape


def _names(pattern: re.Pattern, rest: str) -> list[str]:
    groups = pattern.findall(rest)
    return [name for group in groups for name in re.findall(r"[\w.\-]+", group)]


def _add(total: Tally, more: Tally, times: int = 1) -> None:
    for kind, sent in more.items():
        count, bytes_ = total.get(kind, Sent(0, 0))
        total[kind] = Sent(count + times * sent.count, bytes_ + times * sent.bytes)
