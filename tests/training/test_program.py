"""Several steps in one dispatch, against as many dispatches of one."""

import re

import jax
import numpy as np
import pytest

from kdjax.training import sharding
from kdjax.training.program import steps_per_dispatch
from tests.networks import linear
from tests.training.problems import CLASSES, Problem, student, students

STEPS = 16


def batch_specs(problem, start):
    rows = [problem.feed.batch_spec(start + i) for i in range(STEPS)]
    stacked = jax.tree.map(lambda *x: np.stack(x), *rows)
    return sharding.place_rows(stacked, problem.mesh, axis=1)


@pytest.mark.parametrize("devices", (1, 8))
def test_a_dispatch_of_many_steps_makes_those_steps_to_the_bit(devices):
    linears = {
        name: student(made.method, network=linear(CLASSES))
        for name, made in students().items()
    }
    problem = Problem(devices, linears)
    rows, row = batch_specs(problem, 0), problem.feed.batch_spec(0)
    fixed, traced = (problem.variables, problem.feed.source), problem.traces
    compiled = problem.compile_as_users_do(problem.program(steps=STEPS), rows)
    assert problem.traces - traced == 1
    assert_no_dynamic_loop(compiled.as_text())
    placed = sharding.place_rows(row, problem.mesh)
    problem.compiled = problem.compile_as_users_do(problem.compiled, placed)
    states, several = compiled(problem.initialise(), *fixed, rows)
    single, expected = problem.initialise(), []
    for number in range(STEPS):
        single, metrics = problem.run(single, number, number + 1)
        expected.append(metrics)
    jax.tree.map(np.testing.assert_array_equal, states, single)
    wanted = jax.tree.map(lambda *steps: np.stack(steps), *expected)
    jax.tree.map(np.testing.assert_array_equal, several, wanted)


def assert_no_dynamic_loop(hlo):
    """Of a GPU's program such a loop would wait for the host before every step."""
    loops = re.findall(r"^.* while\(.*$", hlo, re.MULTILINE)
    trips = [re.search(r'known_trip_count":\{"n":"(\d+)"', loop) for loop in loops]
    assert all(trips) and str(STEPS) in [trip.group(1) for trip in trips]


def test_a_cpu_makes_one_step_at_a_time():
    assert steps_per_dispatch("cpu") == 1
    assert steps_per_dispatch("gpu") == steps_per_dispatch("tpu") == STEPS
