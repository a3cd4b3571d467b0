"""Disagreement and exchange as a loop over samples; batches without any dispute."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.methods import METHODS, coteaching, coteaching_plus
from kdjax.models.ensemble import ensemble
from tests import reference
from tests.networks import linear
from tests.objectives import inputs, objective
from tests.training import problems
from tests.training.problems import Problem, student

quick = settings(max_examples=30, deadline=None, derandomize=True)
METHOD = METHODS["coteaching_plus"].build(
    noise_rate=0.4, gradual_epochs=5, steps_per_epoch=12.5, agreement_steps=50
)


@jax.jit
def both_terms(members, labels, selection, step):
    student_outputs = inputs(METHOD, members, None, labels, selection)._replace(
        step=step
    )
    return [jnp.mean(term.values(student_outputs)) for term in METHOD.terms]


def problem(seed, batch=10, classes=3, disputed=0.5):
    """Networks that mostly agree; of some samples the second says something else."""
    draw = np.random.default_rng(seed)
    first = 3 * draw.normal(size=(batch, classes))
    second = first + 0.01 * draw.normal(size=(batch, classes))
    other = draw.random(batch) < disputed
    second[other] = np.roll(second[other], 1, -1)
    members = np.float32(np.stack([first, second], 1))
    labels = draw.integers(0, classes, batch).astype(np.int32)
    selection = np.float32(draw.random(batch) < 0.6)
    return members, labels, selection


def plus(members, labels, clean, step):
    """The authors' loop: dispute, mask, then sort, cut, exchange and mean."""
    hot = reference.one_hot(labels, members.shape[-1])
    losses = [reference.cross_entropy(members[:, n], hot) for n in (0, 1)]
    predicted = members.argmax(-1)
    in_set = [i for i in range(len(labels)) if clean[i]]
    disputed = [i for i in in_set if predicted[i, 0] != predicted[i, 1]]
    if not disputed:
        trained = in_set if step < 50 else []
        return [sum(own[i] for i in trained) / (len(trained) or 1) for own in losses]
    epoch = int(step // 12.5)
    rate = [0, 0.1, 0.2, 0.3, 0.4][epoch] if epoch < 5 else 0.4
    count = int((1 - rate) * len(disputed)) or len(disputed)
    total = []
    for own, other in ((0, 1), (1, 0)):
        small = sorted(disputed, key=lambda i, n=other: losses[n][i])[:count]
        total.append(sum(losses[own][i] for i in small) / count)
    return total


@quick
@given(
    st.integers(0, 9999),
    st.integers(0, 99),
    st.booleans(),
    st.sampled_from([0, 0.2, 0.5, 1]),
)
def test_each_network_learns_where_the_other_believes(seed, step, masked, disputed):
    members, labels, selection = problem(seed, disputed=disputed)
    clean = selection if masked else np.ones_like(selection)
    result = both_terms(members, labels, clean, np.int32(step))
    expected = plus(members, labels, clean, step)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("step, trained", [(0, True), (4999, True), (5000, False)])
def test_a_batch_without_dispute_trains_before_step_5000_only(step, trained):
    members, labels, _ = problem(2, disputed=0)
    method = coteaching_plus.build(noise_rate=0.4, steps_per_epoch=12.5)
    value = objective(method, members, None, labels, step=step)
    hot = reference.one_hot(labels, 3)
    plain = sum(reference.cross_entropy(members[:, n], hot).mean() for n in (0, 1))
    np.testing.assert_allclose(value, plain if trained else 0.0, rtol=1e-5)


def test_the_detector_is_asked_before_the_exchange():
    """Two of four disputed are kept: with the first masked, the next moves up."""
    method = coteaching_plus.build(
        noise_rate=0.5, gradual_epochs=0, steps_per_epoch=1.0
    )
    right = np.float32([4, 3, 2, 1])
    members = np.zeros((4, 2, 2), np.float32)
    members[:, 0, 0], members[:, 1, 1] = right, right / 2
    labels, hot = np.zeros(4, np.int32), reference.one_hot(np.zeros(4, int), 2)
    loss = [reference.cross_entropy(members[:, n], hot) for n in (0, 1)]
    # Network 0 is right: its loss rises with the row. Network 1 is wrong: it falls.
    for selection, by_first, by_second in (
        ([1, 1, 1, 1], [0, 1], [2, 3]),
        ([0, 1, 1, 1], [1], [3]),
        ([0, 1, 1, 0], [1], [2]),
        ([0, 0, 1, 0], [2], [2]),
    ):
        value = objective(method, members, None, labels, np.float32(selection))
        expected = loss[0][by_second].mean() + loss[1][by_first].mean()
        np.testing.assert_allclose(value, expected, rtol=1e-5)


@quick
@given(st.permutations(range(10)), st.integers(0, 99))
def test_the_order_of_the_batch_does_not_matter(order, seed):
    members, labels, selection = problem(seed)
    order = np.array(order)
    rows = members[order], labels[order], selection[order]
    one = both_terms(members, labels, selection, np.int32(40))
    other = both_terms(*rows, np.int32(40))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_the_warm_up_is_plain_co_teaching():
    members, labels, selection = problem(5)
    numbers = {"noise_rate": 0.4, "gradual_epochs": 2, "steps_per_epoch": 12.5}
    plain = coteaching.build(**numbers)
    warm = coteaching_plus.build(warmup_epochs=3.0, **numbers)
    cold = coteaching_plus.build(**numbers)
    for step, same in ((0, plain), (37, plain), (38, cold), (90, cold)):
        values = [
            objective(m, members, None, labels, selection, step=step)
            for m in (warm, same, plain, cold)
        ]
        assert values[0] == values[1] and values[2] != values[3]


def test_a_networks_gradient_is_that_of_its_own_term():
    members, labels, selection = problem(1)
    for number in (0, 1):

        def loss(members, number=number):
            student_outputs = inputs(METHOD, members, None, labels, selection, step=40)
            return jnp.mean(METHOD.terms[number].values(student_outputs))

        slope = np.asarray(jax.grad(loss)(members))
        assert (slope[:, 1 - number] == 0).all() and (slope[:, number] != 0).any()


def test_steps_are_finite_and_compiled_once():
    method = coteaching_plus.build(
        noise_rate=0.5, gradual_epochs=1, steps_per_epoch=4.0, warmup_epochs=0.5
    )
    network = ensemble((linear(problems.CLASSES),) * 2)
    students = {"pair": student(method, network=network)}
    problem = Problem(8, students, teacher=False)
    states, metrics = problem.run(problem.initialise(), 0, 5)
    assert problem.traces == 1 and problem.compiled._cache_size() <= 1
    assert float(metrics["pair"]["skipped"]) == 0
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(states["pair"].params))


@pytest.mark.errors
@pytest.mark.parametrize(
    "name, number",
    [
        ("noise_rate", -0.1),
        ("gradual_epochs", -1),
        ("agreement_steps", -1),
        ("warmup_epochs", float("nan")),
    ],
)
def test_a_number_out_of_range_is_refused(name, number):
    given = {"noise_rate": 0.4, "steps_per_epoch": 10.0, name: number}
    with pytest.raises(ValueError, match=f"coteaching_plus: {name} is"):
        coteaching_plus.build(**given)
