"""Traces of JAX's profiler: what the operations of the devices took, by name.

Events come from `jax.profiler.ProfileData`. It does not show the programs that ran,
which are in the same file as protocol buffers: of each instruction its opcode and where
in the Python code it is from. The numbers below are those of their fields (xplane.proto
of TSL, hlo.proto of XLA).
"""

import bisect
import collections
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

from jax.profiler import ProfileData

# Their time is that of the operations within, which are counted for themselves.
CONTAINERS = ("while", "conditional")
PROGRAMS = b"/host:metadata"  # the plane with the programs


class Operation(NamedTuple):
    """One instruction of a compiled program, of all devices together."""

    name: str
    origin: str  # such as "jvp(kd)/Conv_0/conv_general_dilated"; "" where not known
    seconds: float
    calls: int


class Instruction(NamedTuple):
    opcode: str = ""
    origin: str = ""


def read_operations(path: pathlib.Path) -> tuple[list[Operation], int]:
    """(operations, the most costly first; devices) of an .xplane.pb file."""
    profile = ProfileData.from_file(str(path))  # it owns what its planes show
    programs = _programs(path.read_bytes())
    devices, seconds, calls = set(), collections.Counter(), collections.Counter()
    for device, line in _lines(list(profile.planes)):
        for program, name, own, nr in _own_seconds(line):
            instruction = programs.get(program, {}).get(name, Instruction())
            devices.add(device if nr is None else nr)
            if instruction.opcode not in CONTAINERS:
                seconds[name, instruction.origin] += own
                calls[name, instruction.origin] += 1
    rows = [Operation(*key, own, calls[key]) for key, own in seconds.most_common()]
    return rows, len(devices)


def _lines(planes) -> Iterator[tuple[str, list[tuple]]]:
    """(device, [(begin, end, program, name, ordinal)]) of each line of operations."""
    accelerators = [plane for plane in planes if plane.name.startswith("/device:")]
    for plane in accelerators or planes:
        # Other lines of an accelerator sum up what these have: those of a TPU's core,
        # and those of a GPU's streams.
        own = "" if not accelerators else "XLA Ops" if "TPU" in plane.name else "Stream"
        lines = [line for line in plane.lines if line.name.startswith(own)]
        modules = [line for line in plane.lines if line.name == "XLA Modules"]
        runs = sorted((e.start_ns, e.name) for line in modules for e in line.events)
        for line in lines:
            yield plane.name, list(_events(line, runs, bool(accelerators)))


def _events(line, runs: list[tuple], is_device: bool) -> Iterator[tuple]:
    for event in line.events:
        stats = dict(event.stats)
        if "hlo_op" not in stats and not is_device:  # a function of the host
            continue
        name = stats.get("hlo_op") or event.name.split(" = ")[0].removeprefix("%")
        program = f"{stats.get('hlo_module')}({stats.get('program_id')})"
        if "hlo_module" not in stats and runs:  # on a TPU: what ran at that time
            at = bisect.bisect_right(runs, (event.start_ns, "\U0010ffff")) - 1
            program = runs[max(at, 0)][1]
        ordinal = None if is_device else stats.get("device_ordinal")
        yield event.start_ns, event.end_ns, program, str(name), ordinal


def _own_seconds(events: list[tuple]) -> Iterator[tuple[str, str, float, int | None]]:
    """(program, name, seconds without the events within, ordinal) of each event."""
    stack: list[list] = []  # [end, own nanoseconds, what to yield with them]
    for begin, end, program, name, nr in sorted(events, key=lambda e: (e[0], -e[1])):
        while stack and stack[-1][0] <= begin:
            yield _closed(stack.pop())
        if stack:
            stack[-1][1] -= min(end, stack[-1][0]) - begin
        stack.append([end, end - begin, (program, name, nr)])
    yield from map(_closed, stack)


def _closed(entry: list) -> tuple[str, str, float, int | None]:
    _, own, (program, name, nr) = entry
    return program, name, own / 1e9, nr


def _programs(data: bytes) -> dict[str, dict[str, Instruction]]:
    """Program, such as "jit_step(4)" -> its instructions by name."""
    programs = {}
    for plane in _all(memoryview(data), 1):
        if bytes(*_all(plane, 2)) != PROGRAMS:
            continue
        for entry in _all(plane, 4):  # the program's name, and its HLO as a stat
            for metadata in _all(entry, 2):
                name = bytes(*_all(metadata, 2)).decode()
                for proto in _deeper(metadata, 5, 6):
                    programs[name] = dict(_instructions(proto))
    return programs


def _instructions(proto: memoryview) -> Iterator[tuple[str, Instruction]]:
    """Of a program. A fusion that does not say its origin has that of its result."""
    rows, origins = [], {}  # the latter of computations
    for computation in _deeper(proto, 1, 3):
        for instruction in _all(computation, 2):
            name, opcode = (bytes(*_all(instruction, n)).decode() for n in (1, 2))
            origin = bytes(*_deeper(instruction, 7, 2)).decode()
            called = [one for ids in _all(instruction, 38) for one in _varints(ids)]
            rows.append((name, opcode, origin, called))
            for number in _all(computation, 5):
                origins[number] = origin or origins.get(number, "")
    for name, opcode, origin, called in rows:
        if opcode == "fusion" and not origin:
            origin = origins.get(called[0], "") if called else ""
        yield name, Instruction(opcode, origin)


def _deeper(message: memoryview, number: int, *rest: int) -> Iterator[memoryview]:
    """The values of a field of a field, and so on."""
    for value in _all(message, number):
        yield from _deeper(value, *rest) if rest else (value,)


def _all(message: memoryview, number: int) -> Iterator[memoryview | int]:
    """The values of a field of a protocol buffer: bytes, or whole numbers."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == 0:
            value, at = _varint(message, at)
        else:
            fixed = {1: 8, 5: 4}.get(key & 7)
            size, at = (fixed, at) if fixed else _varint(message, at)
            value, at = message[at : at + size], at + size
        if key >> 3 == number:
            yield value


def _varints(message: memoryview) -> Iterator[int]:
    at = 0
    while at < len(message):
        value, at = _varint(message, at)
        yield value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
