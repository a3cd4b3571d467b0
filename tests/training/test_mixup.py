"""A step on mixtures: what is seen, on one device and on eight, in one go or two."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.data.loaders.batch import gather_batch
from kdjax.data.transforms import mixup
from kdjax.methods import kd, mse
from tests import reference
from tests.networks import linear
from tests.training import problems
from tests.training.problems import CLASSES, Problem, student

MIXED = dataclasses.replace(problems.AUGMENT, mixup=1.0)


def problem_of(devices, batch_size=16):
    matching = {
        "kd": student(kd.build(alpha=1.0, temperature=1.0)),
        "mse": student(mse.build(), seed=3, network=linear(CLASSES)),
    }
    return Problem(devices, matching, batch_size=batch_size, augment=MIXED)


def host(tree):
    return jax.tree.map(np.array, tree)


@pytest.fixture(scope="module")
def single():
    problem = problem_of(1)
    states, metrics = problem.run(problem.initialise(), 0, 6)
    return problem, host(states), host(metrics)


def test_teacher_and_students_see_the_same_mixtures(single):
    """The first losses, of answers to a mixture that NumPy made."""
    problem = single[0]
    states = host(problem.initialise())
    batch_spec = jax.tree.map(jnp.asarray, problem.feed.batch_spec(0))
    batch = gather_batch(problem.feed.source, batch_spec)
    crops = np.float64(problems.AUGMENT.train(batch, 1))
    share = mixup.draw_shares(1, batch.epoch, batch.index, alpha=1.0)
    share = np.float64(share)[:, None, None, None]
    before = crops[np.arange(-1, len(crops) - 1)]
    images = jnp.asarray(share * crops + (1.0 - share) * before, jnp.float32)
    teacher = problem.teacher.evaluate(*problem.variables, images).logits
    teacher_outputs = np.asarray(teacher, np.float64)

    def logits(name):
        state = states[name]
        network = problem.students[name].network
        outputs, _ = network.train(state.params, state.batch_stats, images)
        return np.asarray(outputs.logits, np.float64)

    _, metrics = problem.run(problem.initialise(), 0, 1)
    found = {name: float(row["loss"]) for name, row in metrics.items()}
    soft = reference.kl_divergence(logits("kd"), teacher_outputs, 1.0)[0].mean()
    assert found["kd"] == pytest.approx(soft, rel=1e-5)
    squares = ((logits("mse") - teacher_outputs) ** 2).mean()
    assert found["mse"] == pytest.approx(squares, rel=1e-5)


def test_it_is_compiled_once(single):
    assert single[0].traces == 1
    assert single[0].compiled._cache_size() <= 1  # 0 once it is crowded out


def test_eight_devices_agree_with_one(single):
    eight = problem_of(8)
    states, metrics = eight.run(eight.initialise(), 0, 6)
    assert eight.traces == 1
    for found, expected in ((states, single[1]), (metrics, single[2])):
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, atol=2e-5, rtol=1e-4),
            host(found),
            expected,
        )


def test_two_and_four_steps_equal_six_bitwise(single):
    problem = problem_of(1)
    half, _ = problem.run(problem.initialise(), 0, 2)
    # Through host memory and back, as a restored checkpoint comes.
    placed = jax.tree.map(lambda x: jax.device_put(np.array(x), x.sharding), half)
    again, _ = problem.run(placed, 2, 6)
    jax.tree.map(np.testing.assert_array_equal, host(again), single[1])
