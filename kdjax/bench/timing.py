"""Seconds of a program: what its first step takes longer, and blocks after it."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax

BLOCK_SECONDS = 2.0  # the length of a block where nobody names a number of steps
MOST_STEPS = 2000
WARM_STEPS = 2


class Program(Protocol):
    """Something that can be stepped."""

    def ready(self, number: int): ...  # the next ticket, on the devices
    def step(self, batch_spec): ...  # dispatches one step; returns what to wait for


class Timing(NamedTuple):
    """Blocks of `steps` steps, in seconds."""

    compile_seconds: float
    steps: int
    seconds: tuple[float, ...]  # of each block
    waited: tuple[float, ...]  # of which until the tickets were there

    @property
    def step_seconds(self) -> float:
        """The median block's."""
        return statistics.median(self.seconds) / self.steps

    @property
    def input_wait(self) -> float:
        """Share of all time, from 0 to 1."""
        return sum(self.waited) / sum(self.seconds)

    def rates(self, images: int) -> tuple[float, float, float]:
        """Images/s at so many a step: (median, lowest, highest) over the blocks."""
        done = self.steps * images
        seconds = statistics.median(self.seconds), max(self.seconds), min(self.seconds)
        return tuple(done / s for s in seconds)


def measure(
    program: Program,
    *,
    steps: int,
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Times a program after its compilation and a few steps to warm up.

    A block begins with an idle device and ends when its last result is there.

    Args:
      program: what to run.
      steps: of a block; 0 takes what fills BLOCK_SECONDS.
      repeats: blocks.
      clock: for tests.
    """
    number, first = 1, block(program, 0, 1, clock)[0]
    warm = block(program, number, WARM_STEPS, clock)[0] / WARM_STEPS
    number += WARM_STEPS
    steps = steps or max(WARM_STEPS, min(MOST_STEPS, round(BLOCK_SECONDS / warm)))
    blocks = []
    for _ in range(repeats):
        blocks.append(block(program, number, steps, clock))
        number += steps
    seconds, waited = zip(*blocks, strict=True)
    timing = Timing(0.0, steps, seconds, waited)
    return timing._replace(compile_seconds=max(0.0, first - timing.step_seconds))


def block(
    program: Program,
    start: int,
    steps: int,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, float]:
    """(seconds of `steps` steps, of which the loop waited for tickets)."""
    waited, result = 0.0, None
    begun = clock()
    for number in range(start, start + steps):
        asked = clock()
        batch_spec = program.ready(number)
        waited += clock() - asked
        result = program.step(batch_spec)
    jax.block_until_ready(result)
    return clock() - begun, waited
