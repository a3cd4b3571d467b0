"""The step: what may change, what may not, on one device and on eight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.data.loaders.batch import gather_batch
from kdjax.data.transforms.augment import Augment
from kdjax.methods import ce, elr
from kdjax.models.network import Network
from kdjax.types import Outputs
from tests import reference
from tests.training import problems
from tests.training.problems import Problem, student, students


def host(tree):
    return jax.tree.map(np.array, tree)


def largest_difference(a, b):
    gaps = jax.tree.map(lambda x, y: np.abs(x - y).max(initial=0), host(a), host(b))
    return max(jax.tree.leaves(gaps))


@pytest.fixture(scope="module")
def single():
    problem = Problem(1, students())
    teacher = host(problem.variables)
    states, metrics = problem.run(problem.initialise(), 0, 6)
    return problem, teacher, states, metrics


def test_the_teacher_stays_bitwise_what_it_was(single):
    problem, before, *_ = single
    jax.tree.map(np.testing.assert_array_equal, before, host(problem.variables))


def test_the_first_losses_are_the_papers_on_the_crops_that_were_drawn():
    """Composed here from the networks and NumPy: data, crop, teacher, tau, alpha."""
    problem = Problem(1, students())
    states = host(problem.initialise())
    batch_spec = jax.tree.map(jnp.asarray, problem.feed.batch_spec(0))
    batch = gather_batch(problem.feed.source, batch_spec)
    images = problems.AUGMENT.train(batch, 1)
    teacher = np.asarray(
        problem.teacher.evaluate(*problem.variables, images).logits, np.float64
    )

    def logits(name):
        state = states[name]
        network = problem.students[name].network
        outputs, _ = network.train(state.params, state.batch_stats, images)
        return np.asarray(outputs.logits, np.float64)

    soft = reference.kl_divergence(logits("kd"), teacher, 4.0)[0].mean()
    labels = reference.one_hot(np.asarray(batch.label), problems.CLASSES)
    hard = reference.cross_entropy(logits("kd"), labels).mean()
    _, metrics = problem.run(problem.initialise(), 0, 1)
    found = {name: float(row["loss"]) for name, row in metrics.items()}
    assert found["kd"] == pytest.approx(0.1 * hard + 0.9 * 16 * soft, rel=1e-5)
    squares = (logits("mse") - teacher) ** 2
    assert found["mse"] == pytest.approx(squares.mean(), rel=1e-5)


def test_every_student_learns_and_its_statistics_move(single):
    problem, _, states, metrics = single
    fresh = problem.initialise()
    for name in problem.students:
        assert largest_difference(fresh[name].params, states[name].params) > 1e-4
        assert int(states[name].step) == 6
        assert float(metrics[name]["skipped"]) == 0
    moved = fresh["kd"].batch_stats, states["kd"].batch_stats
    assert largest_difference(*moved) > 1e-3


def test_it_is_compiled_once(single):
    problem, *_ = single
    assert problem.compiled._cache_size() <= 1
    assert problem.traces == 1


def test_eight_devices_agree_with_one(single):
    eight = Problem(8, students())
    states, metrics = eight.run(eight.initialise(), 0, 6)
    assert largest_difference(single[2], states) < 2e-5
    assert largest_difference(single[3], metrics) < 2e-5


def test_jitted_equals_eager():
    problem = Problem(1, {"mse": students()["mse"]})
    batch_spec = jax.tree.map(jnp.asarray, problem.feed.batch_spec(0))
    arguments = (problem.variables, problem.feed.source, batch_spec)
    eager, _ = problem.compiled.__wrapped__(problem.initialise(), *arguments)
    jitted, _ = problem.run(problem.initialise(), 0, 1)
    assert largest_difference(eager, jitted) < 1e-5


def test_students_in_one_program_equal_students_alone(single):
    for name in students():
        alone = Problem(1, {name: students()[name]})
        states, _ = alone.run(alone.initialise(), 0, 6)
        assert largest_difference(states[name], single[2][name]) < 2e-5


def test_memories_are_kept_apart():
    """Of two students that remember each sample, each its own outputs."""
    memory = {"num_examples": problems.COUNT, "num_classes": problems.CLASSES}
    students = {
        "early": student(elr.build(**memory)),
        "late": student(elr.build(**memory, beta=0.9), seed=5),
    }
    both = Problem(1, students, teacher=False)
    states, _ = both.run(both.initialise(), 0, 3)
    for name, one in students.items():
        alone = Problem(1, {name: one}, teacher=False)
        own, _ = alone.run(alone.initialise(), 0, 3)
        assert largest_difference(states[name], own[name]) < 2e-5
    memories = (states[name].supervision_state["memory"] for name in students)
    assert largest_difference(*memories) > 1e-3


def test_two_and_two_steps_equal_four_bitwise():
    problem = Problem(2, {"kd": students()["kd"]})
    whole, _ = problem.run(problem.initialise(), 0, 4)
    half, _ = problem.run(problem.initialise(), 0, 2)
    # Through host memory and back, as a restored checkpoint comes.
    placed = jax.tree.map(lambda x: jax.device_put(np.array(x), x.sharding), half)
    again, _ = problem.run(placed, 2, 4)
    jax.tree.map(np.testing.assert_array_equal, host(whole), host(again))


def test_it_overfits_one_batch():
    still = Augment(mean=(0.5,), std=(0.25,), padding=0, flip=False)
    problem = Problem(
        1,
        {"ce": student(ce.build(), learning_rate=0.1)},
        teacher=False,
        data=problems.split(16),
        augment=still,
    )
    _, metrics = problem.run(problem.initialise(), 0, 60)
    assert float(metrics["ce"]["top1"]) == 1
    assert float(metrics["ce"]["loss"]) < 0.1


def test_the_seed_draws_the_weights():
    problem = Problem(
        1, {"a": student(ce.build()), "b": student(ce.build(), seed=5)}, teacher=False
    )
    states = problem.initialise()
    assert largest_difference(states["a"].params, states["b"].params) > 0.01


def test_a_step_that_is_not_finite_leaves_the_state_alone():
    """One student's teacher-free loss explodes; the other one goes on training."""

    def explode(params, batch_stats, images, key):
        outputs, stats = good.train(params, batch_stats, images, key)
        return Outputs(outputs.logits * jnp.inf, outputs.features), stats

    good = problems.tiny(problems.CLASSES)
    bad = Network(good.init, explode, good.evaluate)
    problem = Problem(
        1,
        {"good": student(ce.build()), "bad": student(ce.build(), network=bad)},
        teacher=False,
    )
    before = host(problem.initialise())
    after, metrics = problem.run(problem.initialise(), 0, 1)
    assert float(metrics["bad"]["skipped"]) == 1
    assert float(metrics["good"]["skipped"]) == 0
    for part in ("params", "batch_stats", "opt_state"):
        old, new = getattr(before["bad"], part), getattr(after["bad"], part)
        jax.tree.map(np.testing.assert_array_equal, old, host(new))
    assert int(after["bad"].step) == 1
    assert largest_difference(before["good"].params, after["good"].params) > 0
