import jax
import numpy as np
import optax
import pytest

from kdjax.supervision import signals
from kdjax.supervision.pipeline import Supervisor, fixed, scheduled, supervise
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER


def signals_at(step):
    return signals(GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS, step=step)


def at(step, rule):
    return supervise(Supervisor(temperature=rule), (), signals_at(step))[0]


@pytest.mark.parametrize("value", [4, 0.5, np.float32(3), float("inf")])
def test_fixed_is_the_same_for_every_sample_and_step(value):
    for step in (0, 1000):
        temperature = at(step, fixed(value)).temperature
        assert temperature.dtype == np.float32
        np.testing.assert_array_equal(temperature, np.full(3, value))


@pytest.mark.errors
def test_a_schedule_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"scheduled: temperature has shape \(2,\)"):
        at(0, scheduled(lambda step: np.float32([1, 2])))


def test_scheduled_follows_the_step():
    rule = scheduled(optax.exponential_decay(8.0, 100, 0.5))
    for step, expected in [(0, 8.0), (100, 4.0), (200, 2.0)]:
        s = at(step, rule)
        np.testing.assert_allclose(s.temperature, np.full(3, expected), rtol=1e-6)


def test_a_schedule_below_zero_is_nan_inside_jit():
    rules = Supervisor(temperature=scheduled(optax.linear_schedule(1.0, -1.0, 2)))
    temperature = jax.jit(lambda s: supervise(rules, (), s)[0].temperature)
    assert np.isnan(temperature(signals_at(2))).all()
    assert temperature(signals_at(0)).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.errors
def test_a_schedule_below_zero_is_refused_outside_jit():
    with pytest.raises(ValueError, match="scheduled: temperature is -1"):
        at(2, scheduled(optax.linear_schedule(1.0, -1.0, 2)))


@pytest.mark.errors
@pytest.mark.parametrize("value", [0, -1.0, np.nan, -np.inf])
def test_fixed_refuses_what_is_not_above_zero(value):
    with pytest.raises(ValueError, match="fixed: temperature is .*above 0 or infinity"):
        fixed(value)


@pytest.mark.errors
def test_fixed_refuses_more_than_one_number():
    with pytest.raises(ValueError, match=r"fixed: temperature has shape \(2,\)"):
        fixed(np.float32([1, 2]))
