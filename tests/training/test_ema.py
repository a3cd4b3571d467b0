"""The average of the weights, against NumPy, and in the step."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.methods import ce
from kdjax.training import ema, sharding
from tests.networks import tiny
from tests.training.problems import CLASSES, Problem, student


@pytest.mark.parametrize("decay", (0.5, 0.9999))
def test_it_is_the_debiased_average_of_all_updates(decay):
    """Whose weights add up to one, so that it is a plain mean for a decay near one."""
    rng = np.random.default_rng(0)
    values = rng.normal(3.0, 1.0, (6, 2, 2))
    stats = rng.normal(-2.0, 1.0, (6, 3))
    average = ema.initial(
        {"w": jnp.ones((2, 2))}, {"mean": jnp.ones(3), "n": jnp.int32(7)}
    )
    for number in range(6):
        params = {"w": jnp.asarray(values[number], jnp.float32)}
        now = {"mean": jnp.asarray(stats[number], jnp.float32), "n": jnp.int32(number)}
        average = ema.update(average, decay, params, now)
    weights = decay ** np.arange(5, -1, -1.0)
    weights /= weights.sum()
    for found, each in (
        (average["params"]["w"], values),
        (average["batch_stats"]["mean"], stats),
    ):
        expected = np.tensordot(weights, each, 1)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert int(average["batch_stats"]["n"]) == 5 and int(average["count"]) == 6


@pytest.fixture(scope="module")
def problem():
    """A student whose weights are averaged beside one whose are not."""
    plain = student(ce.build(), network=tiny(CLASSES))
    averaged = dataclasses.replace(plain, ema_decay=0.5)
    result = Problem(2, {"averaged": averaged, "plain": plain}, teacher=False)
    batch_spec = sharding.place_rows(result.feed.batch_spec(0), result.mesh)
    result.compiled = result.compile_as_users_do(result.compiled, batch_spec)
    return result


def test_a_step_averages_weights_and_statistics_and_trains_as_without(problem):
    states, seen = problem.initialise(), []
    for number in range(3):
        states, _ = problem.run(states, number, number + 1)
        one = states["averaged"]
        seen.append(jax.tree.map(np.array, (one.params, one.batch_stats)))
    expected = jax.tree.map(lambda a, b, c: (a + 2 * b + 4 * c) / 7, *seen)
    found = jax.tree.map(np.array, states["averaged"].evaluated)
    assert_near = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(assert_near, found, expected)
    plain = states["plain"]
    assert plain.ema == {} and plain.evaluated == (plain.params, plain.batch_stats)
    jax.tree.map(np.testing.assert_array_equal, seen[-1], plain.evaluated)


def test_a_skipped_step_is_no_part_of_the_average(problem):
    states = problem.initialise()
    broken = jax.tree.map(lambda x: x * jnp.nan, states["averaged"].params)
    states["averaged"] = dataclasses.replace(states["averaged"], params=broken)
    states, metrics = problem.run(states, 0, 1)
    assert float(metrics["averaged"]["skipped"]) == 1
    assert int(states["averaged"].ema["count"]) == 0
    assert not any(map(np.any, jax.tree.leaves(states["averaged"].ema)))


@pytest.mark.errors
def test_weights_that_cannot_be_averaged_are_refused():
    """In bfloat16 half a step of the last digit is 0.002 of a weight of 1."""
    params = {"w": jnp.ones(3), "v": {"k": jnp.ones(3, jnp.bfloat16)}}
    with pytest.raises(InputError, match=r"'v'.*'k'.* is bfloat16.*of float32"):
        ema.initial(params, {})
