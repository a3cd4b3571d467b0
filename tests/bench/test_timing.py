"""Blocks by a clock that the test turns."""

import pytest

from kdjax.bench import timing


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Slow:
    """Its first call takes 10 s more; a batch takes 1 s, a call what `pace` says."""

    def __init__(self, clock, pace, steps=1):
        self.clock, self.pace, self.steps, self.numbers = clock, pace, steps, []

    def ready(self, number):
        self.clock.now += 1.0
        return number

    def call(self, number):
        assert not self.numbers or number == self.numbers[-1] + 1
        self.numbers.append(number)
        self.clock.now += self.pace(number) + 10.0 * (number == 0)


def test_compilation_blocks_and_waiting():
    clock = Clock()
    program = Slow(clock, lambda number: 3.0)
    timed = timing.measure(program, steps=5, repeats=3, clock=clock)
    assert timed.steps == 5 and timed.seconds == (20.0,) * 3
    assert timed.step_seconds == 4.0
    assert timed.compile_seconds == 10.0
    assert timed.input_wait == 0.25
    assert set(timed.rates(8).values()) == {2.0}
    assert len(program.numbers) == 1 + timing.WARM_CALLS + 3 * 5


def test_the_median_block_counts_and_the_others_are_its_spread():
    clock = Clock()
    pace = dict(enumerate([0, 0, 0, 1, 1, 3, 3, 7, 7]))
    program = Slow(clock, pace.__getitem__)
    timed = timing.measure(program, steps=2, repeats=3, clock=clock)
    assert timed.seconds == (4.0, 8.0, 16.0)
    rates = timed.rates(8)
    assert rates["images_per_second"] == 2.0
    assert rates["images_per_second_low"] == 1.0
    assert rates["images_per_second_high"] == 4.0


def test_a_block_without_a_number_fills_its_time():
    clock = Clock()
    program = Slow(clock, lambda number: -0.9)  # 0.1 s a step, its batch included
    timed = timing.measure(program, steps=0, repeats=1, clock=clock)
    assert timed.steps == pytest.approx(timing.BLOCK_SECONDS / 0.1)
    slow = Slow(Clock(), lambda number: 99.0)
    timed = timing.measure(slow, steps=0, repeats=1, clock=slow.clock)
    assert timed.steps == timing.WARM_CALLS


def test_a_call_of_several_steps_is_counted_as_so_many():
    clock = Clock()
    program = Slow(clock, lambda number: 7.0, steps=16)  # 8 s a call
    timed = timing.measure(program, steps=20, repeats=3, clock=clock)
    assert timed.steps == 32 and timed.seconds == (16.0,) * 3
    assert timed.step_seconds == 0.5 and timed.compile_seconds == 10.0
    assert set(timed.rates(8).values()) == {16.0}
    assert len(program.numbers) == 1 + timing.WARM_CALLS + 3 * 2
