"""The equations, the memory as a loop over samples, and the memory of a real step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.methods import METHODS, elr
from kdjax.types import MemoryInputs, Outputs
from tests import reference
from tests.networks import linear
from tests.objectives import objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT
from tests.training import problems
from tests.training.problems import Problem, student

quick = settings(max_examples=15, deadline=None, derandomize=True)
HARD = reference.cross_entropy(GOLDEN_STUDENT, reference.one_hot(GOLDEN_LABELS, 4))


def build(beta=0.7, weight=3.0, num_examples=3, num_classes=4):
    return METHODS["elr"].build(
        num_examples=num_examples, num_classes=num_classes, beta=beta, weight=weight
    )


def renew(method, table, logits, index):
    index = jnp.asarray(index, jnp.int32)
    outputs = Outputs(jnp.asarray(logits), {})
    inputs = MemoryInputs(outputs, None, jnp.zeros_like(index), index, jnp.int32(0))
    return method.memory.update(table, inputs)


@pytest.mark.parametrize("beta, weight", [(0.7, 3.0), (0.9, 1.0), (0.9, 7.0)])
def test_objective_and_gradient_match_the_equation(beta, weight):
    """From an empty memory t = (1 - beta) p / sum(p), a constant to the gradient."""
    method = build(beta, weight)
    _, probabilities = reference.early_learning(GOLDEN_STUDENT, 0)
    remembered = (1 - beta) * probabilities

    def exact(student):
        pull, _ = reference.early_learning(student, remembered)
        labels = reference.one_hot(GOLDEN_LABELS, 4)
        return (reference.cross_entropy(student, labels) + weight * pull).mean()

    loss = jax.value_and_grad(lambda s: objective(method, s, None, GOLDEN_LABELS))
    value, gradient = loss(GOLDEN_STUDENT)
    np.testing.assert_allclose(value, exact(GOLDEN_STUDENT), rtol=1e-5, atol=1e-6)
    wide = GOLDEN_STUDENT.astype(np.float64)
    steps = 1e-6 * np.eye(12).reshape(12, 3, 4)
    slope = [(exact(wide + e) - exact(wide - e)) / 2e-6 for e in steps]
    np.testing.assert_allclose(gradient, np.reshape(slope, (3, 4)), atol=1e-5)


@quick
@given(st.integers(0, 9999), st.floats(0, 1, width=32))
def test_the_memory_is_a_moving_mean_of_each_sample(seed, beta):
    """Eight batches against a loop over samples; rows sum to 1 - beta^visits."""
    draw = np.random.default_rng(seed)
    method = build(beta=beta, num_examples=7, num_classes=3)
    table, exact, visits = method.memory.init(), np.zeros((7, 3)), np.zeros(7)
    for _ in range(8):
        index = draw.permutation(7)[:4]
        logits = np.float32(4 * draw.normal(size=(4, 3)))
        _, probabilities = reference.early_learning(logits, 0)
        for i, p in zip(index, probabilities, strict=True):
            exact[i] = beta * exact[i] + (1 - beta) * p
            visits[i] += 1
        remembered, table = renew(method, table, logits, index)
        np.testing.assert_allclose(table, exact, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(remembered, table[index])  # after the update
    np.testing.assert_allclose(table.sum(-1), 1 - beta**visits, atol=1e-5)


@quick
@given(st.permutations(range(5)), st.integers(0, 99))
def test_the_order_of_the_batch_does_not_matter(order, seed):
    draw, order = np.random.default_rng(seed), np.array(order)
    method, index = build(num_examples=9), draw.permutation(9)[:5]
    table = jnp.asarray(np.float32(draw.random((9, 4)) / 4))
    logits = np.float32(3 * draw.normal(size=(5, 4)))
    probabilities, after = renew(method, table, logits, index)
    other, other_after = renew(method, table, logits[order], index[order])
    np.testing.assert_array_equal(probabilities[order], other)
    np.testing.assert_array_equal(after, other_after)


def test_a_sample_twice_in_a_batch_remembers_the_later():
    logits = np.float32([[3, 0, 0], [0, 5, 0], [0, 0, 4], [1, 1, 0]])
    method = build(num_examples=6, num_classes=3)
    old = jnp.asarray(np.float32(np.arange(18).reshape(6, 3) / 100))
    probabilities, table = renew(method, old, logits, [4, 2, 4, 0])
    _, exact = reference.early_learning(logits, 0)
    expected = np.array(old, np.float64)
    for i, place in ((4, 2), (2, 1), (0, 3)):
        expected[i] = 0.7 * expected[i] + 0.3 * exact[place]
    np.testing.assert_allclose(table, expected, rtol=1e-5)
    np.testing.assert_allclose(probabilities, expected[[4, 2, 4, 0]], rtol=1e-5)


def test_the_mean_is_over_the_selected():
    _, probabilities = reference.early_learning(GOLDEN_STUDENT, 0)
    pull, _ = reference.early_learning(GOLDEN_STUDENT, 0.3 * probabilities)
    selection = np.float32([0, 1, 1])
    value = objective(build(), GOLDEN_STUDENT, None, GOLDEN_LABELS, selection)
    np.testing.assert_allclose(value, (HARD + 3 * pull)[1:].mean(), rtol=1e-5)


@pytest.fixture(scope="module")
def trained():
    """18 samples in batches of 16: step 1 crosses the border of an epoch."""
    method = build(num_examples=18, num_classes=problems.CLASSES)
    students = {"elr": student(method, network=linear(problems.CLASSES))}
    problem = Problem(1, students, teacher=False, data=problems.split(18))
    states, tables, metrics = problem.initialise(), [], None
    for number in range(3):
        states, metrics = problem.run(states, number, number + 1)
        tables.append(np.array(states["elr"].supervision_state["memory"]))
    return problem, tables, metrics["elr"]


def test_steps_remember_the_rows_of_their_batch_and_no_others(trained):
    problem, tables, metrics = trained
    before = np.zeros((18, problems.CLASSES), np.float32)
    for number, table in enumerate(tables):
        student_outputs = np.unique(problem.feed.batch_spec(number)["index"])
        assert 0 < len(student_outputs) < 18
        changed = np.flatnonzero((table != before).any(-1))
        np.testing.assert_array_equal(changed, student_outputs)
        before = table
    crossing = problem.feed.batch_spec(1)["index"]
    assert len(np.unique(crossing)) < len(crossing)  # else nothing stood in it twice
    assert float(metrics["skipped"]) == 0 and np.isfinite(float(metrics["loss"]))
    assert float(metrics["loss/early_learning"]) < 0


def test_it_is_traced_once(trained):
    problem, *_ = trained
    assert problem.traces == 1 and problem.compiled._cache_size() <= 1


def test_eight_devices_remember_what_one_does(trained):
    eight = Problem(
        8, trained[0].students, teacher=False, data=problems.split(18), batch_size=16
    )
    states, _ = eight.run(eight.initialise(), 0, 3)
    table = np.array(states["elr"].supervision_state["memory"])
    np.testing.assert_allclose(table, trained[1][-1], atol=1e-4)


@pytest.mark.errors
@pytest.mark.parametrize("name, number", [("beta", 1.1), ("beta", -1), ("weight", 0)])
def test_a_number_out_of_range_is_refused(name, number):
    with pytest.raises(ValueError, match=f"elr: {name} is"):
        elr.build(num_examples=3, num_classes=4, **{name: number})
