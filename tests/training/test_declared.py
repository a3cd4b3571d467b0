"""What a step gives a method that declares it: connectors, views, memories ..."""

import contextlib
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from kdjax import checkpoints
from kdjax.checkpoints import Checkpointer
from kdjax.methods.base import Memory, Method, Term
from kdjax.models.connectors import from_module
from kdjax.training import sharding
from kdjax.types import Batch
from tests.networks import dropping, linear, staged
from tests.training import problems
from tests.training.problems import CLASSES, Problem, student

ROWS = 32  # of the memory; eight devices divide it


class Regressor(nn.Module):
    """A linear layer with batch norm, to the teacher's pooled features."""

    @nn.compact
    def __call__(self, student, teacher, train: bool):
        x = nn.Dense(teacher.features["pooled"].shape[-1])(student.features["pooled"])
        return nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)


def pull(inputs):
    distance = inputs.connected["regressor"] - inputs.teacher.features["pooled"]
    return jnp.mean(distance**2, axis=-1)


def regression(rate=1.0, values=pull, **more) -> Method:
    connector = from_module(Regressor(), rate)
    terms = (Term("pull", 1.0, values, frozenset()),)
    return Method(terms=terms, connectors={"regressor": connector}, **more)


def one(method, devices=1, network=None, **more) -> Problem:
    network = network or staged(CLASSES)
    made = {"student": student(method, network=network)}
    return Problem(devices, made, teacher=staged(CLASSES, width=6), **more)


def batch_of(problem, number=0):
    """The labels, and the images of both views, of a step."""
    spec = problem.feed.batch_spec(number)
    split = problems.split()
    rows = {"image": split.image[spec["index"]], "label": split.label[spec["index"]]}
    none = jnp.zeros((), jnp.int32)
    batch = Batch(rows["image"], rows["label"], spec["index"], spec["epoch"] + none, {})
    views = [problem.crops.train(batch, 1, view) for view in (0, 1)]
    return rows["label"], views


def test_a_connector_is_trained_at_its_own_rate():
    steps = {}
    for rate in (1.0, 0.5, 0.0):
        problem = one(regression(rate))
        before = jax.device_get(problem.initialise()["student"])
        after, _ = problem.run(problem.initialise(), 0, 1)
        after = jax.device_get(after["student"])
        steps[rate] = jax.tree.map(
            np.subtract, after.connectors["regressor"], before.connectors["regressor"]
        )
        moved = jax.tree.map(np.subtract, after.params, before.params)
        steps[rate, "network"] = moved
    kernel = {r: steps[r]["params"]["Dense_0"]["kernel"] for r in (1.0, 0.5, 0.0)}
    assert np.abs(kernel[1.0]).max() > 1e-4
    np.testing.assert_allclose(kernel[0.5], kernel[1.0] / 2, rtol=1e-4, atol=1e-7)
    # Frozen: neither its parameters nor its moments move.
    assert not any(np.any(x) for x in jax.tree.leaves(steps[0.0]))
    assert np.abs(steps[1.0]["state"]["BatchNorm_0"]["mean"]).max() > 1e-4
    same = (steps[1.0, "network"], steps[0.5, "network"])
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b), *same)


def test_a_step_that_is_not_finite_leaves_connectors_alone():
    problem = one(regression(values=lambda inputs: pull(inputs) / 0.0))
    before = jax.device_get(problem.initialise()["student"])
    after, metrics = problem.run(problem.initialise(), 0, 1)
    assert float(metrics["student"]["skipped"]) == 1
    pair = before.connectors, jax.device_get(after["student"].connectors)
    jax.tree.map(np.testing.assert_array_equal, *pair)


def test_connectors_are_an_item_of_their_own(tmp_path):
    problem = one(regression())
    states, _ = problem.run(problem.initialise(), 0, 1)
    with contextlib.closing(Checkpointer(tmp_path, ("student",), {})) as checkpointer:
        checkpointer.save(1, states, None)
        checkpointer.wait()
    params, _ = checkpoints.read_variables(tmp_path, 1, "student")
    assert params.keys() == states["student"].params.keys()
    read = checkpoints.read_connectors(tmp_path, 1, "student")
    jax.tree.map(np.testing.assert_array_equal, read, states["student"].connectors)


def test_a_run_without_connectors_has_no_such_item(tmp_path):
    problem = Problem(1, {"a": student(problems.mse.build())})
    with contextlib.closing(Checkpointer(tmp_path, ("a",), {})) as checkpointer:
        checkpointer.save(0, problem.initialise(), None)
        checkpointer.wait()
    assert checkpoints.read_connectors(tmp_path, 0, "a") == {}
    assert not (tmp_path / "0" / "connectors").exists()


def test_both_networks_see_the_second_view():
    outputs = {}

    def keep(inputs):
        view = inputs.second_view
        return jnp.sum(view.student.logits**2, -1) + jnp.sum(view.teacher.logits, -1)

    term = Term("views", 1.0, keep, frozenset())
    method = Method(terms=(term,), second_view="crop", needs_teacher=True)
    problem = one(method, network=linear(CLASSES))
    state = jax.device_get(problem.initialise()["student"])
    _, metrics = problem.run(problem.initialise(), 0, 1)
    _, (_, second) = batch_of(problem)
    outputs["student"] = linear(CLASSES).evaluate(state.params, {}, second).logits
    outputs["teacher"] = problem.teacher.evaluate(*problem.variables, second).logits
    expected = jnp.mean(
        jnp.sum(outputs["student"] ** 2, -1) + jnp.sum(outputs["teacher"], -1)
    )
    np.testing.assert_allclose(metrics["student"]["loss"], expected, rtol=1e-5)


def test_image_gradients_are_those_of_the_label_logits():
    def values(inputs):
        s, t = inputs.image_gradients
        return jnp.sum(s**2, (1, 2, 3)) + 10 * jnp.sum(t**2, (1, 2, 3))

    term = Term("gradients", 1.0, values)
    method = Method(terms=(term,), needs=("image_gradients",), needs_teacher=True)
    problem = one(method, network=linear(CLASSES))
    state = jax.device_get(problem.initialise()["student"])
    after, metrics = problem.run(problem.initialise(), 0, 1)
    labels, (images, _) = batch_of(problem)

    def squared(network, variables):
        def one_logit(image, label):
            return network.evaluate(*variables, image[None]).logits[0, label]

        gradient = jax.vmap(jax.grad(one_logit))(images, labels)
        return jnp.mean(jnp.sum(gradient**2, (1, 2, 3)))

    pairs = (
        (linear(CLASSES), (state.params, {})),
        (problem.teacher, problem.variables),
    )
    own, theirs = (squared(*pair) for pair in pairs)
    loss = metrics["student"]["loss"]
    np.testing.assert_allclose(loss, own + 10 * theirs, rtol=1e-4)
    # The loss has a gradient of its own in the parameters: second derivatives.
    moved = jax.tree.map(
        np.subtract, jax.device_get(after["student"].params), state.params
    )
    assert max(np.abs(x).max() for x in jax.tree.leaves(moved)) > 1e-6


def test_parameters_of_both_networks():
    def values(inputs):
        own, (theirs, _) = inputs.student_parameters, inputs.teacher_variables
        total = jnp.sum(own["Dense_0"]["bias"] - 1) ** 2 + jnp.sum(
            theirs["head"]["bias"]
        )
        return jnp.broadcast_to(total, inputs.labels.shape)

    needs = ("teacher_variables", "student_parameters")
    term = Term("parameters", 1.0, values, frozenset())
    method = Method(terms=(term,), needs=needs, needs_teacher=True)
    problem = one(method, network=linear(CLASSES))
    before = jax.device_get(problem.initialise()["student"].params)
    after, _ = problem.run(problem.initialise(), 0, 1)
    assert (
        after["student"].params["Dense_0"]["bias"] > before["Dense_0"]["bias"]
    ).all()


def remembering() -> Method:
    """A bank of the teacher's pooled features, and a counter that no device divides."""

    def init():
        return {"bank": jnp.zeros((ROWS, 24)), "steps": jnp.zeros(3)}

    def update(state, inputs):
        rows = inputs.index % ROWS
        noise = jax.random.normal(inputs.key, inputs.teacher.features["pooled"].shape)
        bank = state["bank"].at[rows].set(inputs.teacher.features["pooled"] + noise)
        return state["bank"][rows], {"bank": bank, "steps": state["steps"] + 1}

    def values(inputs):
        return jnp.sum(inputs.remembered, -1) + jnp.sum(inputs.student.logits**2, -1)

    return Method(
        terms=(Term("bank", 1.0, values, frozenset()),),
        memory=Memory(init, update, sharded=True),
        needs_teacher=True,
        teacher_features=("pooled",),
    )


def test_a_memory_is_divided_and_goes_on_on_any_devices(tmp_path):
    eight, single = (one(remembering(), devices) for devices in (8, 1))
    states, _ = eight.run(eight.initialise(), 0, 3)
    memory = states["student"].supervision_state["memory"]
    shards = {shard.data.shape for shard in memory["bank"].addressable_shards}
    assert shards == {(ROWS // 8, 24)}
    assert memory["steps"].sharding.is_fully_replicated
    with contextlib.closing(Checkpointer(tmp_path, ("student",), {})) as checkpointer:
        checkpointer.save(3, states, None)
        checkpointer.wait()
        shapes = jax.eval_shape(lambda: states)
        for problem in (eight, single):
            abstract = sharding.abstract(shapes, problem.shardings)
            restored, _ = checkpointer.restore_latest(abstract, print)
            jax.tree.map(np.testing.assert_array_equal, restored, states)
            end, _ = problem.run(restored, 3, 5)
            bank = end["student"].supervision_state["memory"]["bank"]
            assert np.isfinite(bank).all() and len(bank.addressable_shards) == len(
                problem.mesh.devices
            )


def test_random_layers_draw_by_seed_and_step():
    method = problems.mse.build()
    problem = Problem(1, {"a": student(method, network=dropping(CLASSES))})
    first, again = (problem.run(problem.initialise(), 0, 3)[1] for _ in range(2))
    assert float(first["a"]["loss"]) == float(again["a"]["loss"])
    states = problem.initialise()
    frozen = {"a": dataclasses.replace(states["a"], step=states["a"].step + 7)}
    later = problem.run(frozen, 0, 1)[1]["a"]["loss"]
    assert float(later) != float(
        problem.run(problem.initialise(), 0, 1)[1]["a"]["loss"]
    )


@pytest.mark.errors
def test_a_second_view_is_one_of_two():
    term = Term("a", 1.0, lambda inputs: None)
    with pytest.raises(ValueError, match="second_view is 'zoom'; expected one of crop"):
        Method(terms=(term,), second_view="zoom")


def test_what_a_cache_can_serve():
    term = (Term("a", 1.0, lambda inputs: None),)
    pooled = Method(terms=term, teacher_features=("pooled",))
    assert pooled.why_not_cached == ""
    maps = Method(terms=term, teacher_features=("pooled", "stage2"))
    assert "the teacher's feature 'stage2'" in maps.why_not_cached
    assert "second view" in Method(terms=term, second_view="crop").why_not_cached
    gradients = Method(terms=term, needs=("image_gradients",))
    assert "image gradients" in gradients.why_not_cached
