"""Seconds of a program: what its first step takes longer, and blocks after it."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import jax

from kdjax.types import PyTree

BLOCK_SECONDS = 2.0  # the length of a block where no number of steps is given
MOST_STEPS = 2000
WARM_STEPS = 2
Clock = Callable[[], float]


class Program:
    """A step, its state, and the batch specs that it takes.

    `step` is (state, batch_spec) -> state and does not wait; `ready` gives the
    batch_spec of a step's number, on the devices.
    """

    def __init__(self, step: Callable, state: PyTree, ready: Callable[[int], PyTree]):
        self._step, self._state, self.ready = step, state, ready

    def step(self, batch_spec: PyTree) -> PyTree:
        """Returns the new state, which may be waited for."""
        self._state = self._step(self._state, batch_spec)
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
    """Times a program after its compilation and a few steps to warm up.

    A block has so many `steps`; 0: as many as fill BLOCK_SECONDS.
    """
    first, _ = block(program, 0, 1, clock)
    warm, _ = block(program, 1, WARM_STEPS, clock)
    filling = round(BLOCK_SECONDS * WARM_STEPS / warm)
    steps = steps or max(WARM_STEPS, min(MOST_STEPS, filling))
    timing = blocks(program, 1 + WARM_STEPS, steps, repeats, clock)
    return timing._replace(compile_seconds=max(0.0, first - timing.step_seconds))


def blocks(
    program: Program, start: int, steps: int, repeats: int, clock: Clock
) -> Timing:
    """Times blocks that follow each other, from step number `start` on."""
    starts = range(start, start + repeats * steps, steps)
    times = [block(program, number, steps, clock) for number in starts]
    return Timing(steps, *zip(*times, strict=True))


def block(
    program: Program, start: int, steps: int, clock: Clock = time.perf_counter
) -> tuple[float, float]:
    """(seconds of `steps` steps, of which the loop waited for batch specs).

    It begins with an idle device and ends when the last result is computed.
    """
    waited, state, block_start = 0.0, None, clock()
    for number in range(start, start + steps):
        wait_start = clock()
        batch_spec = program.ready(number)
        waited += clock() - wait_start
        state = program.step(batch_spec)
    jax.block_until_ready(state)
    return clock() - block_start, waited
