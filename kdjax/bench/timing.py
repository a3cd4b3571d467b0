"""Seconds of a program: what its first call takes longer, and blocks after it."""

import math
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import jax

from kdjax.types import PyTree

BLOCK_SECONDS = 2.0  # the length of a block where no number of steps is given
MOST_STEPS = 2000
WARM_CALLS = 2
Clock = Callable[[], float]


class Program:
    """A call that makes some steps, its state, and the batch specs that it takes.

    `call` is (state, batch_specs) -> state and does not wait; `ready` gives the
    batch_specs of a call's number, on the devices; a call makes so many `steps`.
    """

    def __init__(
        self,
        call: Callable,
        state: PyTree,
        ready: Callable[[int], PyTree],
        steps: int = 1,
    ):
        self._call, self._state, self.ready, self.steps = call, state, ready, steps

    def call(self, batch_specs: PyTree) -> PyTree:
        """Returns the new state, which may be waited for."""
        self._state = self._call(self._state, batch_specs)
        return self._state


class Timing(NamedTuple):
    """Blocks of `steps` steps, in seconds."""

    steps: int
    seconds: tuple[float, ...]  # of each block
    waited: tuple[float, ...]  # of which until the batch specs were ready
    compile_seconds: float = 0.0

    @property
    def step_seconds(self) -> float:
        """The median block's."""
        return statistics.median(self.seconds) / self.steps

    @property
    def input_wait(self) -> float:
        """Share of all time, from 0 to 1."""
        return sum(self.waited) / sum(self.seconds)

    def rates(self, batch_size: int) -> dict[str, float]:
        """Images/s over the blocks, by their keys in a row."""
        images, median = self.steps * batch_size, statistics.median(self.seconds)
        return {
            "images_per_second": images / median,
            "images_per_second_low": images / max(self.seconds),
            "images_per_second_high": images / min(self.seconds),
        }


def measure(
    program: Program, *, steps: int, repeats: int, clock: Clock = time.perf_counter
) -> Timing:
    """Times a program after its compilation and a few calls to warm up.

    A block has so many `steps`, or the next number that its calls make; 0: as many as
    fill BLOCK_SECONDS.
    """
    first, _ = block(program, 0, 1, clock)
    warm, _ = block(program, 1, WARM_CALLS, clock)
    filling = round(BLOCK_SECONDS * WARM_CALLS / warm)
    most = max(WARM_CALLS, MOST_STEPS // program.steps)
    calls = math.ceil(steps / program.steps) or max(WARM_CALLS, min(most, filling))
    timing = blocks(program, 1 + WARM_CALLS, calls, repeats, clock)
    usual = timing.step_seconds * program.steps
    return timing._replace(compile_seconds=max(0.0, first - usual))


def blocks(
    program: Program, start: int, calls: int, repeats: int, clock: Clock
) -> Timing:
    """Times blocks that follow each other, from call number `start` on."""
    starts = range(start, start + repeats * calls, calls)
    times = [block(program, number, calls, clock) for number in starts]
    return Timing(calls * program.steps, *zip(*times, strict=True))


def block(
    program: Program, start: int, calls: int, clock: Clock = time.perf_counter
) -> tuple[float, float]:
    """(seconds of so many calls, of which the loop waited for batch specs).

    It begins with an idle device and ends when the last result is computed.
    """
    waited, state, block_start = 0.0, None, clock()
    for number in range(start, start + calls):
        wait_start = clock()
        batch_specs = program.ready(number)
        waited += clock() - wait_start
        state = program.call(batch_specs)
    jax.block_until_ready(state)
    return clock() - block_start, waited
