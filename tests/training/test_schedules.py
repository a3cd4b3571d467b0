"""Schedules at their corners, and against their formulas in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.training import schedules

RATE = {"learning_rate": 0.4, "total_steps": 100, "steps_per_epoch": 10.0}


def values(schedule, steps):
    return [float(jax.jit(schedule)(jnp.int32(step))) for step in steps]


def test_rates_are_those_of_their_schedules():
    halves = schedules.step_schedule(**RATE, milestones=(3,), factor=0.5)
    cosine = schedules.cosine_schedule(**RATE)
    at = schedules.rates_at({"learning_rate": halves, "learning_rate/head": cosine})
    for step, steps in ((0, 0.4), (30, 0.2)):
        wave = 0.2 * (1 + np.cos(np.pi * step / 100))
        found = at(step)
        assert list(found) == ["learning_rate", "learning_rate/head"]
        np.testing.assert_allclose(list(found.values()), [steps, wave], rtol=1e-6)


def test_step_schedule_drops_after_whole_epochs():
    schedule = schedules.step_schedule(**RATE, milestones=(3, 6), factor=0.1)
    np.testing.assert_allclose(
        values(schedule, (0, 29, 30, 59, 60, 99)), [0.4, 0.4, 0.04, 0.04, 0.004, 0.004]
    )


def test_step_schedule_rounds_milestones_of_uneven_epochs():
    # 50,000 images in batches of 64: epoch 150 ends inside batch 117,187.
    rate = RATE | {"steps_per_epoch": 781.25}
    schedule = schedules.step_schedule(**rate, milestones=(150,), factor=0.1)
    np.testing.assert_allclose(values(schedule, (117187, 117188)), [0.4, 0.04])


def test_cosine_schedule_is_half_way_down_in_the_middle():
    schedule = schedules.cosine_schedule(**RATE, final_fraction=0.1)
    np.testing.assert_allclose(
        values(schedule, (0, 50, 100, 200)), [0.4, 0.22, 0.04, 0.04], rtol=1e-6
    )


def test_warmup_climbs_evenly_and_then_leaves_the_schedule_alone():
    schedule = schedules.constant_schedule(**RATE, warmup_epochs=0.4)
    np.testing.assert_allclose(values(schedule, range(5)), [0.1, 0.2, 0.3, 0.4, 0.4])


def test_the_line_is_flat_until_its_start_and_ends_at_zero():
    schedule = schedules.linear_schedule(
        learning_rate=0.4, total_steps=20, steps_per_epoch=2.0, start_epoch=4.0
    )
    found = [float(schedule(jnp.int32(step))) for step in (0, 7, 8, 11, 14, 20, 25)]
    np.testing.assert_allclose(found, [0.4, 0.4, 0.4, 0.3, 0.2, 0, 0], atol=1e-7)


def test_a_polynomial_falls_from_the_end_of_the_warmup_to_the_last_step():
    """MLPerf's for LARS: rate (1 - done)^2, after a linear warm-up."""
    schedule = schedules.polynomial_schedule(
        **RATE, power=2.0, warmup_epochs=2.0, final_fraction=0.01
    )
    steps = np.array([0, 9, 19, 20, 60, 99, 100, 130])
    done = np.clip((steps - 20) / 80, 0, 1)
    expected = 0.4 * (0.01 + 0.99 * (1 - done) ** 2)
    expected *= np.minimum(1, (steps + 1) / 20)
    np.testing.assert_allclose(values(schedule, steps), expected, rtol=1e-5)


def test_one_cycle_climbs_to_its_peak_and_falls_below_its_start():
    """PyTorch's OneCycleLR with cosines, whose peak is one step earlier."""
    schedule = schedules.one_cycle_schedule(
        learning_rate=0.4, total_steps=100, div_factor=10.0, final_div_factor=100.0
    )

    def cosine(start, end, share):
        return end + (start - end) * (1 + np.cos(np.pi * share)) / 2

    steps = np.arange(0, 105, 5)
    up, down = cosine(0.04, 0.4, steps / 30), cosine(0.4, 4e-4, (steps - 30) / 70)
    expected = np.where(steps < 30, up, np.where(steps < 100, down, 4e-4))
    with jax.numpy_dtype_promotion("standard"):  # Optax mixes types
        found = values(schedule, steps)
    np.testing.assert_allclose(found, expected, rtol=2e-4)


@pytest.mark.parametrize("name", ["div_factor", "final_div_factor", "pct_start"])
def test_one_cycle_refuses_what_it_cannot_divide_by(name):
    with pytest.raises(ValueError, match=f"one_cycle: {name} is -1"):
        schedules.one_cycle_schedule(learning_rate=1.0, total_steps=9, **{name: -1.0})
