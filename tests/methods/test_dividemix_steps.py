"""DivideMix in the compiled step: warm-up, division by a note, several devices."""

import jax
import numpy as np
import pytest

from kdjax.methods import dividemix
from kdjax.models.ensemble import ensemble
from tests.networks import linear
from tests.training import problems
from tests.training.problems import Problem, student


def trained(devices, steps):
    """Warm-up of one epoch of four steps, then divided by a note."""
    clean = np.random.default_rng(0).random((problems.COUNT, 2)).astype(np.float32)
    clean[clean < 0.5] = 0
    method = dividemix.build(
        num_classes=problems.CLASSES, steps_per_epoch=4.0, warmup_epochs=1.0
    )
    network = ensemble((linear(problems.CLASSES),) * 2)
    students = {"pair": student(method, network=network, learning_rate=0.01)}
    sample_info = {"pair": {"clean": clean}}
    problem = Problem(devices, students, teacher=False, sample_info=sample_info)
    states, rows = problem.initialise(), []
    for number in range(steps):
        states, metrics = problem.run(states, number, number + 1)
        rows.append(jax.tree.map(float, metrics["pair"]))
    return problem, jax.tree.map(np.array, states["pair"].params), rows


@pytest.fixture(scope="module")
def single():
    return trained(1, 6)


def test_warm_up_and_after_are_one_program_and_finite(single):
    problem, params, rows = single
    assert problem.traces == 1 and problem.compiled._cache_size() <= 1
    assert all(row["skipped"] == 0 and np.isfinite(row["loss"]) for row in rows)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(params))
    for number, row in enumerate(rows):
        climbed = 25 * max(number - 4, 0) / 64
        expected = row["loss/labelled"] + climbed * row["loss/unlabelled"]
        expected += row["loss/uniform"] * (number >= 4)
        assert row["loss"] == pytest.approx(expected, rel=1e-5)
        assert (row["loss/unlabelled"] > 0) == (number >= 4)


def test_eight_devices_agree_with_one(single):
    _, params, rows = trained(8, 6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), params, single[1]
    )
    assert rows[-1]["loss"] == pytest.approx(single[2][-1]["loss"], rel=1e-4)
