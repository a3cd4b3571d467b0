"""The exchange as a loop over samples, whose gradient is whose, and real steps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.methods import METHODS, coteaching
from kdjax.models.ensemble import ensemble
from tests import reference
from tests.networks import linear
from tests.objectives import inputs, objective
from tests.training import problems
from tests.training.problems import Problem, student

quick = settings(max_examples=25, deadline=None, derandomize=True)
RATE, GRADUAL, STEPS = 0.4, 5, 12.5
METHOD = METHODS["coteaching"].build(
    noise_rate=RATE, gradual_epochs=GRADUAL, steps_per_epoch=STEPS
)


@jax.jit
def both_terms(members, labels, selection, step):
    student_outputs = inputs(METHOD, members, None, labels, selection)._replace(
        step=step
    )
    return [jnp.mean(term.values(student_outputs)) for term in METHOD.terms]


def problem(seed, batch=10, classes=4):
    draw = np.random.default_rng(seed)
    members = np.float32(3 * draw.normal(size=(batch, 2, classes)))
    labels = draw.integers(0, classes, batch).astype(np.int32)
    selection = np.float32(draw.random(batch) < 0.6)
    return members, labels, selection


def left_out(epoch):
    """linspace(0, 0.4, 5), then 0.4."""
    return [0, 0.1, 0.2, 0.3, 0.4][epoch] if epoch < 5 else 0.4


def exchange(members, labels, clean, epoch):
    """The authors' loop: sort, cut, exchange, mask, mean."""
    hot = reference.one_hot(labels, members.shape[-1])
    losses = [reference.cross_entropy(members[:, n], hot) for n in (0, 1)]
    count = int((1 - left_out(epoch)) * len(labels)) or len(labels)
    total = []
    for own, other in ((0, 1), (1, 0)):
        small = sorted(range(len(labels)), key=lambda i, n=other: losses[n][i])[:count]
        kept = [i for i in small if clean[i]]
        total.append(sum(losses[own][i] for i in kept) / (len(kept) or count))
    return total


@quick
@given(st.integers(0, 9999), st.integers(0, 99), st.booleans())
def test_each_network_learns_the_others_small_losses(seed, step, masked):
    members, labels, selection = problem(seed)
    clean = selection if masked else np.ones_like(selection)
    result = both_terms(members, labels, clean, np.int32(step))
    expected = exchange(members, labels, clean, int(step // STEPS))
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_the_detector_is_asked_after_the_exchange():
    """Of four samples two are kept; the mask takes one of them and adds no other."""
    method = coteaching.build(noise_rate=0.5, gradual_epochs=0, steps_per_epoch=1.0)
    right = np.float32([4, 3, 2, 1])  # the order of losses is the same in both
    members = np.stack([np.stack([right, 0 * right], -1)] * 2, 1)
    labels, hot = np.zeros(4, np.int32), reference.one_hot(np.zeros(4, int), 2)
    loss = reference.cross_entropy(members[:, 0], hot)
    for selection, expected in (
        ([1, 1, 1, 1], 2 * loss[:2].mean()),
        ([0, 1, 1, 1], 2 * loss[1]),
        ([0, 0, 1, 1], 0.0),
    ):
        value = objective(method, members, None, labels, np.float32(selection))
        np.testing.assert_allclose(value, expected, rtol=1e-5)


@quick
@given(st.floats(0, 1), st.integers(0, 6), st.integers(1, 70), st.integers(0, 999))
def test_kept_counts_are_those_of_float64(rate, gradual, batch, step):
    """int((1 - 0.6) * 5) is 2 in Python and 1 in float32."""
    kept = coteaching.kept_counts("f", rate, gradual, 100.0)
    result = np.asarray(kept(jnp.int32(step), batch))
    schedule = list(np.linspace(0, rate, gradual)) + [rate] * 20
    remembered = 1 - schedule[step // 100]
    expected = [int(remembered * n) or n for n in range(batch + 1)]
    np.testing.assert_array_equal(result, expected)


def test_an_epoch_begins_with_the_step_that_completes_the_last():
    """12.5 steps an epoch: 0 to 12 are epoch 0, 13 to 24 are epoch 1."""
    kept = coteaching.kept_counts("f", 0.4, 2, 12.5)
    counts = [int(kept(jnp.int32(step), 10)[10]) for step in (0, 12, 13, 24, 25)]
    assert counts == [10, 10, 6, 6, 6]


@quick
@given(st.permutations(range(10)), st.integers(0, 99))
def test_the_order_of_the_batch_does_not_matter(order, seed):
    members, labels, selection = problem(seed)
    order = np.array(order)
    rows = members[order], labels[order], selection[order]
    one = both_terms(members, labels, selection, np.int32(40))
    other = both_terms(*rows, np.int32(40))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_equal_networks_have_equal_terms_and_the_large_losses_no_gradient():
    members, labels, _ = problem(3)
    members[:, 1] = members[:, 0]
    method = coteaching.build(noise_rate=0.4, gradual_epochs=0, steps_per_epoch=1.0)
    slope = jax.grad(lambda m: objective(method, m, None, labels))(members)
    np.testing.assert_array_equal(slope[:, 0], slope[:, 1])
    loss = reference.cross_entropy(members[:, 0], reference.one_hot(labels, 4))
    silent = (np.asarray(slope)[:, 0] == 0).all(-1)
    assert silent[np.argsort(loss)].tolist() == [False] * 6 + [True] * 4


@pytest.mark.parametrize("step", [0, 40])
def test_a_networks_gradient_is_that_of_its_own_term(step):
    members, labels, selection = problem(1)

    def term(number):
        def loss(members):
            student_outputs = inputs(
                METHOD, members, None, labels, selection, step=step
            )
            return jnp.mean(METHOD.terms[number].values(student_outputs))

        return np.asarray(jax.grad(loss)(members))

    alone = [term(0), term(1)]
    assert (alone[0][:, 1] == 0).all() and (alone[1][:, 0] == 0).all()
    assert (alone[0][:, 0] != 0).any() and (alone[1][:, 1] != 0).any()
    total = jax.grad(lambda m: objective(METHOD, m, None, labels, selection, step=step))
    np.testing.assert_array_equal(total(members), alone[0] + alone[1])


def trained(method, devices=1, steps=3, sample_info=None):
    """A pair of linear networks after some steps."""
    network = ensemble((linear(problems.CLASSES),) * 2)
    students = {"pair": student(method, network=network)}
    problem = Problem(devices, students, teacher=False, sample_info=sample_info)
    states, metrics = problem.run(problem.initialise(), 0, steps)
    return problem, jax.tree.map(np.array, states["pair"].params), metrics["pair"]


@pytest.fixture(scope="module")
def single():
    method = coteaching.build(noise_rate=0.5, gradual_epochs=0, steps_per_epoch=4.0)
    return method, *trained(method)


def test_steps_are_finite_and_compiled_once(single):
    _, problem, params, metrics = single
    assert problem.traces == 1 and problem.compiled._cache_size() <= 1
    assert float(metrics["skipped"]) == 0
    total = metrics["loss/member0"] + metrics["loss/member1"]
    np.testing.assert_allclose(metrics["loss"], total, rtol=1e-6)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(params))


def test_a_step_moves_a_network_as_its_own_term_alone_would(single):
    """The other term only takes part by what it chooses."""
    method, _, together, _ = single
    first = dataclasses.replace(method, terms=method.terms[:1])
    _, alone, _ = trained(first, steps=1)
    _, whole, _ = trained(method, steps=1)
    jax.tree.map(np.testing.assert_array_equal, alone["member0"], whole["member0"])
    gaps = jax.tree.map(
        lambda a, b: np.abs(a - b).max(), alone["member1"], whole["member1"]
    )
    assert max(jax.tree.leaves(gaps)) > 1e-4


def test_eight_devices_agree_with_one(single):
    method, _, params, _ = single
    _, eight, _ = trained(method, devices=8)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), params, eight
    )


def test_a_selection_of_nothing_teaches_nothing():
    sample_info = {"pair": {"selection": np.zeros(problems.COUNT, np.float32)}}
    _, _, metrics = trained(METHOD, steps=1, sample_info=sample_info)
    assert float(metrics["loss"]) == 0 and float(metrics["gradient_norm"]) == 0


@pytest.mark.errors
@pytest.mark.parametrize(
    "name, number",
    [
        ("noise_rate", 1.5),
        ("noise_rate", float("nan")),
        ("gradual_epochs", -1),
        ("gradual_epochs", 2.5),
        ("steps_per_epoch", 0),
    ],
)
def test_a_number_out_of_range_is_refused(name, number):
    given = {"noise_rate": 0.4, "steps_per_epoch": 10.0, name: number}
    with pytest.raises(ValueError, match=f"coteaching: {name} is"):
        coteaching.build(**given)
