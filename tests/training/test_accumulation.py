"""Microbatches: the update of the whole batch, with the memory of a part of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from kdjax.data.loaders.batch import gather_batch
from kdjax.methods import ce, elr, kd
from kdjax.methods.base import Method, Term
from kdjax.models.connectors import from_module
from kdjax.training import sharding, step
from kdjax.training.accumulation import Gradients, accumulate, microbatches
from kdjax.types import Batch
from tests.networks import coarse, dropping, linear, tiny
from tests.training import problems
from tests.training.problems import CLASSES, COUNT, Problem, student

STEPS = 4


class Regressor(nn.Module):
    """A trained layer of a method, to the teacher's features."""

    @nn.compact
    def __call__(self, student, teacher, train: bool):
        return nn.Dense(teacher.features["pooled"].shape[-1])(student.logits)


def regression() -> Method:
    def pull(inputs):
        gap = inputs.connected["regressor"] - inputs.teacher.features["pooled"]
        return jnp.mean(gap**2, -1)

    connectors = {"regressor": from_module(Regressor())}
    return Method(terms=(Term("pull", 1.0, pull, frozenset()),), connectors=connectors)


def uncoupled():
    """A loss of both networks, a memory of each sample, and a trained connector."""
    memory = {"num_examples": COUNT, "num_classes": CLASSES}
    return {
        "kd": student(kd.build(alpha=0.9, temperature=4.0), network=linear(CLASSES)),
        "elr": student(elr.build(**memory), network=linear(CLASSES)),
        "regression": student(regression(), network=coarse(CLASSES)),
    }


def trained(problem, **changes):
    """States and metrics after three steps."""
    problem.compiled = problem.program(**changes)
    return problem.run(problem.initialise(), 0, 3)


@pytest.mark.parametrize("devices", (2, pytest.param(1, marks=pytest.mark.long)))
def test_it_is_the_update_of_the_whole_batch(devices):
    """Of losses that look at each sample by itself, and networks without batch norm."""
    problem = Problem(devices, uncoupled(), teacher=coarse(CLASSES))
    whole = trained(problem)
    divided = trained(problem, accumulation_steps=STEPS)
    fresh = problem.initialise()
    for name, state in fresh.items():
        pair = jax.tree.leaves(state.trained), jax.tree.leaves(whole[0][name].trained)
        assert max(np.abs(a - b).max() for a, b in zip(*pair, strict=True)) > 1e-3
    close = {"rtol": 2e-5, "atol": 2e-6}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **close), whole, divided)


def test_a_dispatch_of_several_steps_makes_the_same_ones():
    """A loop over microbatches within the loop over steps, as accelerators have it."""
    problem = Problem(2, uncoupled(), teacher=coarse(CLASSES))
    one_by_one = trained(problem, accumulation_steps=STEPS)[0]
    specs = [problem.feed.batch_spec(number) for number in range(3)]
    stacked = jax.tree.map(lambda *rows: np.stack(rows), *specs)
    program = problem.program(accumulation_steps=STEPS, steps=3)
    states, metrics = program(
        problem.initialise(),
        problem.variables,
        problem.feed.source,
        sharding.place_rows(stacked, problem.mesh, axis=1),
    )
    assert metrics["kd"]["loss"].shape == (3,)
    close = {"rtol": 2e-5, "atol": 2e-6}
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, **close), states, one_by_one
    )


def test_batch_norms_see_one_microbatch_after_another():
    """As PyTorch's: running moments move once for each of them."""
    problem = Problem(1, {"ce": student(ce.build(), network=tiny(CLASSES))}, 16, False)
    problem.compiled = problem.program(accumulation_steps=2)
    state = jax.tree.map(np.array, problem.initialise()["ce"])
    spec = problem.feed.batch_spec(0)
    split, zero = problems.split(), jnp.zeros((), jnp.int32)
    stats, losses = state.batch_stats, []
    for rows in (slice(0, None, 2), slice(1, None, 2)):
        index, epoch = spec["index"][rows], spec["epoch"][rows]
        batch = Batch(split.image[index], split.label[index], index, epoch + zero, {})
        images = problem.crops.train(batch, 1)
        network = problem.students["ce"].network
        outputs, stats = network.train(state.params, stats, images)
        logits = np.asarray(outputs.logits, np.float64)
        chance = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        own = np.take_along_axis(chance, batch.label[:, None], -1)
        losses.append(-np.log(own).mean())
    states, metrics = problem.run(problem.initialise(), 0, 1)
    assert float(metrics["ce"]["loss"]) == pytest.approx(np.mean(losses), rel=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        states["ce"].batch_stats,
        stats,
    )


def test_activations_take_the_memory_of_one_microbatch():
    """In the loop of accelerators, here compiled for a CPU."""
    kind = {"ce": student(ce.build(), network=tiny(CLASSES, width=32))}
    problem = Problem(1, kind, 256, teacher=False, data=problems.split(256))
    states = jax.eval_shape(problem.initialise)
    spec = jax.eval_shape(lambda: problem.feed.batch_spec(0))

    def crops(batch, view, kind):
        return problem.crops.train(batch, 1, view, kind)

    def temporaries(count):
        one = step.make_train_step(kind, None, gather_batch, crops, None, count)
        lowered = jax.jit(one).lower(states, None, problem.feed.source, spec)
        return lowered.compile().memory_analysis().temp_size_in_bytes

    assert temporaries(8) < 0.25 * temporaries(1)


def test_one_microbatch_that_is_not_finite_skips_the_update():
    problem = Problem(
        1, {"ce": student(ce.build(), network=linear(CLASSES))}, 16, False
    )
    problem.compiled = problem.program(accumulation_steps=2)
    first = problem.feed.batch_spec(0)["index"][0]
    problem.crops = Broken(problem.crops, first)
    before = jax.tree.map(np.array, problem.initialise())
    states, metrics = problem.run(problem.initialise(), 0, 1)
    assert float(metrics["ce"]["skipped"]) == 1
    assert int(states["ce"].step) == 1
    jax.tree.map(
        np.testing.assert_array_equal, before["ce"].trained, states["ce"].trained
    )


class Broken:
    """Crops of which those of one sample are infinite."""

    is_mixed = False

    def __init__(self, crops, sample):
        self.crops, self.sample = crops, sample

    def train(self, batch, *rest):
        hit = (batch.index == self.sample)[:, None, None, None]
        return jnp.where(hit, jnp.inf, self.crops.train(batch, *rest))


def test_each_microbatch_draws_its_own_random_numbers():
    one = student(ce.build(), network=dropping(CLASSES))
    problem = Problem(1, {"ce": one}, teacher=False)
    spec = jax.tree.map(jnp.asarray, problem.feed.batch_spec(0))
    source, state = problem.feed.source, problem.initialise()["ce"]
    image = jnp.float32(source["image"][spec["index"]])
    label = source["label"][spec["index"]]
    batch = Batch(image, label, spec["index"], spec["epoch"], {})

    @jax.jit
    def loss(number):
        given = (one, state, step.TeacherResults(), batch, {}, None, number)
        return step.student_gradients(*given).metrics["loss"]

    first, second = float(loss(jnp.int32(0))), float(loss(jnp.int32(1)))
    assert abs(first - second) > 1e-3 and first == float(loss(jnp.int32(0)))


def test_rows_are_dealt_out_in_turn():
    rows = {"index": np.arange(12), "image": np.arange(24).reshape(12, 2)}
    parts = microbatches(rows, 3)
    np.testing.assert_array_equal(parts["index"][1], [1, 4, 7, 10])
    np.testing.assert_array_equal(
        parts["image"][1], [[2, 3], [8, 9], [14, 15], [20, 21]]
    )
    with pytest.raises(
        ValueError, match="accumulation_steps is 5 and the batch has 12"
    ):
        microbatches(rows, 5)


@pytest.mark.parametrize("unrolled", (True, False))
def test_a_loop_is_where_it_pays(unrolled):
    """On CPU a kernel gradient is slow within one."""
    state = Problem(
        1, {"ce": student(ce.build(), network=linear(CLASSES))}, teacher=False
    )
    states = state.initialise()

    def compute(states, number, rows):
        grads = jax.tree.map(lambda p: p * jnp.sum(rows), states["ce"].params)
        changes = {"batch_stats": {}, "connectors": {}}
        changes["supervision_state"] = states["ce"].supervision_state
        return {"ce": Gradients(grads, changes, {"sum": jnp.sum(rows)})}

    program = jax.jit(lambda states, x: accumulate(compute, states, x, 4, unrolled))
    rows = jnp.arange(8, dtype=jnp.float32)
    text = program.lower(states, rows).as_text()
    assert ("stablehlo.while" in text) != unrolled
    found = program(states, rows)["ce"]
    assert float(found.metrics["sum"]) == 7.0  # the mean of 4 + 0, 5 + 1, 6 + 2, 7 + 3
    params = states["ce"].params
    close = {"rtol": 1e-6}
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, 7 * b, **close),
        found.gradients,
        params,
    )
