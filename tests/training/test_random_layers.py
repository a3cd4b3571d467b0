"""Dropout in the step: its keys are of seed and step, on any number of devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.data.loaders.batch import gather_batch
from kdjax.methods import ce, kd
from tests import reference
from tests.networks import dropping
from tests.training import problems
from tests.training.problems import CLASSES, Problem, student


def problem_of(devices, **changes):
    methods = {
        "ce": student(ce.build(), seed=5, network=dropping(CLASSES)),
        "kd": student(kd.build(alpha=0.9, temperature=4.0), network=dropping(CLASSES)),
    }
    problem = Problem(devices, methods)
    if changes:
        problem.compiled = problem.program(**changes)
    return problem


def host(tree):
    return jax.tree.map(np.array, tree)


@pytest.fixture(scope="module")
def single():
    problem = problem_of(1)
    states, metrics = problem.run(problem.initialise(), 0, 6)
    return problem, host(states), host(metrics)


@pytest.mark.parametrize("number", [0, 3])
def test_a_step_drops_what_seed_and_step_say(single, number):
    problem = single[0]
    states, _ = problem.run(problem.initialise(), 0, number)
    before = host(states["ce"])
    batch_spec = jax.tree.map(jnp.asarray, problem.feed.batch_spec(number))
    batch = gather_batch(problem.feed.source, batch_spec)
    images = problems.AUGMENT.train(batch, 1)
    key = jax.random.fold_in(jax.random.key(5, impl="threefry2x32"), number)
    network = problem.students["ce"].network
    labels = reference.one_hot(np.asarray(batch.label), CLASSES)

    def loss(outputs):
        return reference.cross_entropy(np.float64(outputs.logits), labels).mean()

    params = before.params, before.batch_stats
    dropped = loss(network.train(*params, images, jax.random.split(key, 3)[0])[0])
    whole = loss(network.evaluate(*params, images))
    _, metrics = problem.run(states, number, number + 1)
    assert float(metrics["ce"]["loss"]) == pytest.approx(dropped, rel=1e-5)
    assert abs(whole - dropped) > 1e-2


def test_eight_devices_agree_with_one(single):
    eight = problem_of(8)
    states, metrics = eight.run(eight.initialise(), 0, 6)
    for actual, expected in ((states, single[1]), (metrics, single[2])):
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, atol=2e-5, rtol=1e-4),
            host(actual),
            expected,
        )


@pytest.mark.parametrize(
    ("devices", "changes"), [(1, {}), (8, {}), (8, {"batch_norm": "device"})]
)
def test_two_and_four_steps_equal_six_bitwise(devices, changes):
    problem = problem_of(devices, **changes)
    whole, _ = problem.run(problem.initialise(), 0, 6)
    whole = host(whole)
    half, _ = problem.run(problem.initialise(), 0, 2)
    # Through host memory and back, as a restored checkpoint comes.
    placed = jax.tree.map(lambda x: jax.device_put(np.array(x), x.sharding), half)
    again, _ = problem.run(placed, 2, 6)
    jax.tree.map(np.testing.assert_array_equal, host(again), whole)


def test_devices_with_batch_norms_of_their_own_drop_other_pixels(single):
    """Each draws for its rows alone, so the numbers are not those of one device."""
    problem = problem_of(8, batch_norm="device")
    _, metrics = problem.run(problem.initialise(), 0, 6)
    for name, row in host(metrics).items():
        assert np.isfinite(row["loss"]) and row["skipped"] == 0
        assert abs(row["loss"] - single[2][name]["loss"]) > 1e-4
