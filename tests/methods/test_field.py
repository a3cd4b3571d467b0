"""Every method of the field: it learns, resumes bit for bit, on any devices."""

import contextlib
import functools

import jax
import numpy as np
import pytest

from kdjax.checkpoints import Checkpointer
from kdjax.training import sharding
from tests.methods.field import (
    CASES,
    losses_of,
    method_of,
    problem_of,
    read_by,
    teacher_of,
)

HALF, ALL = 25, 50
# Those that compare samples of a batch, remember, or draw: where devices may matter.
COUPLED = (
    *("dist", "reviewkd", "luminet", "ctkd", "sp", "cc", "rkd", "pkt", "crd", "mlkd"),
    *("queue_kl", "jacobian", "simkd"),
)
# One of each kind in `make test`, every one in `make test-long`.
SPREAD = ("simkd", "kdcl")
COUPLED_SPREAD = ("crd",)


def spread(names, some):
    return [
        pytest.param(name, marks=() if name in some else pytest.mark.long)
        for name in names
    ]


@functools.cache
def _problem(name):
    return problem_of(method_of(name), teacher=teacher_of(name))


@pytest.mark.parametrize("name", spread(CASES, SPREAD))
def test_it_learns_and_resumes_bit_for_bit(name, tmp_path):
    problem = _problem(name)
    states, first = losses_of(problem, problem.initialise(), 0, HALF)
    abstract = jax.eval_shape(lambda: states)
    abstract = sharding.abstract(abstract, problem.shardings)
    with contextlib.closing(Checkpointer(tmp_path, ("student",), {})) as checkpointer:
        checkpointer.save(HALF, states, None)
        checkpointer.wait()
        restored, _ = checkpointer.restore_latest(abstract, print)
    states, second = losses_of(problem, states, HALF, ALL)
    resumed, again = losses_of(problem, restored, HALF, ALL)
    assert np.isfinite(first).all() and np.isfinite(second).all()
    assert second[-5:].mean() < first[:5].mean(), (first, second)
    np.testing.assert_array_equal(again, second)
    jax.tree.map(np.testing.assert_array_equal, resumed, states)


@pytest.mark.parametrize("name", spread(COUPLED, COUPLED_SPREAD))
def test_eight_devices_are_one(name):
    given = {"devices": 8, "teacher": teacher_of(name)}
    one, eight = _problem(name), problem_of(method_of(name), **given)
    (first, losses), (second, others) = (
        losses_of(problem, problem.initialise(), 0, 2) for problem in (one, eight)
    )
    np.testing.assert_allclose(others, losses, rtol=2e-4)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4),
        *(jax.device_get(state["student"].trained) for state in (first, second)),
    )


@pytest.mark.parametrize("name", CASES)
def test_declared_is_what_the_objective_reads(name):
    """The loss and the next memory depend on the label and the index as declared."""
    method = method_of(name)
    if method.mixture is not None:
        pytest.skip("its labels go through its mixture: see its own test")
    assert read_by(method, teacher_of(name)) == method.reads


@pytest.mark.parametrize("name", CASES)
def test_features_that_it_reads_are_declared(name):
    """Without the others it is the same program, and without one of them an error."""
    method = method_of(name)
    if method.mixture or method.reused_classifier or "image_gradients" in method.needs:
        pytest.skip("it looks at images, or its network at the features")
    features = (method.student_features, method.teacher_features)
    read_by(method, teacher_of(name), features)
    for side, names in enumerate(features):
        for missing in names:
            fewer = [list(some) for some in features]
            fewer[side].remove(missing)
            with pytest.raises((KeyError, ValueError)):
                read_by(method, teacher_of(name), fewer)


def test_a_connector_has_its_name_alone():
    """A run takes over those of another method by name: FT's paraphraser is meant."""
    names = [
        (connector, name) for name in CASES for connector in method_of(name).connectors
    ]
    shared = {c for c, name in names if any(c == d and name != m for d, m in names)}
    assert shared == {"paraphraser"}
