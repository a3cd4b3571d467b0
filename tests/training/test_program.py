"""Several steps in one dispatch, against as many dispatches of one."""

import jax
import numpy as np
import pytest

from kdjax.training import sharding
from kdjax.training.program import steps_per_dispatch
from tests.networks import linear
from tests.training.problems import CLASSES, Problem, student, students

MOST = 4


def batch_specs(problem, start, count):
    rows = [problem.feed.batch_spec(start + i) for i in range(count)]
    rows += rows[-1:] * (MOST - count)
    stacked = jax.tree.map(lambda *x: np.stack(x), *rows)
    return sharding.place_rows(stacked, problem.mesh, axis=1)


@pytest.mark.parametrize("devices", (1, 8))
def test_so_many_steps_are_those_steps(devices):
    """Also odd numbers of them, all by one program, whatever lies behind the last."""
    linears = {
        name: student(made.method, network=linear(CLASSES))
        for name, made in students().items()
    }
    problem = Problem(devices, linears)
    many = problem.program(steps=MOST)
    traced, states, done = problem.traces, problem.initialise(), 0
    for count in (4, 1, 3):
        rows = batch_specs(problem, done, count)
        fixed = (problem.variables, problem.feed.source)
        states, several = many(states, *fixed, rows, count)
        done += count
    # Once for the shapes of metrics, once for the loop.
    assert problem.traces - traced == 2
    single, expected = problem.initialise(), []
    for number in range(done):
        single, metrics = problem.run(single, number, number + 1)
        expected.append(metrics)
    close = {"rtol": 1e-5, "atol": 1e-6}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **close), states, single)
    for name, row in several.items():
        for key, values in row.items():
            want = [np.asarray(metrics[name][key]) for metrics in expected[-3:]]
            np.testing.assert_allclose(values[:3], want, **close)


def test_a_cpu_makes_one_step_at_a_time():
    assert steps_per_dispatch("cpu") == 1
    assert steps_per_dispatch("gpu") > 1 and steps_per_dispatch("tpu") > 1
