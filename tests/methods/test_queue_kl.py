"""The divergence over the queue against loops, while it fills and after."""

import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, queue_kl
from kdjax.types import MemoryInputs
from tests import reference
from tests.methods import given

BATCH, CHANNELS, LENGTH, TAU = 3, 4, 5, 0.07
LABELS = np.array([1, 4, 0], np.int32)
MAPS = ("stage3", "stage3")


def build(**more):
    defaults = {"teacher_channels": CHANNELS, "queue_length": LENGTH}
    return METHODS["queue_kl"].build(**defaults | more)


def unit(x):
    x = np.asarray(x, np.float64)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def networks(seed):
    rng = np.random.default_rng(seed)
    teacher = given.outputs(rng, BATCH, pooled=(CHANNELS,), stage3=(2, 2, CHANNELS))
    projected = given.outputs(rng, BATCH, pooled=(CHANNELS,), local=(2, 2, CHANNELS))
    return given.outputs(rng, BATCH), teacher, {"projection": projected.features}


def step(method, state, seed):
    """(coefficient times mean of each term, next state)."""
    student, teacher, connected = networks(seed)
    present = MemoryInputs(student, teacher, LABELS, LABELS, jnp.int32(0), connected)
    remembered, state = method.memory.update(state, present)
    inputs = given.loss_inputs(
        *(method, student, teacher, LABELS), connected=connected, remembered=remembered
    )
    return given.terms(method, inputs), state


def divergence(own, teacher, queue):
    """The mean over the batch, by the queue as it is after the batch was put in."""
    p = reference.softmax(unit(teacher) @ np.transpose(queue), TAU)
    return reference.kl_to_target(unit(own) @ np.transpose(queue), p, TAU).mean()


def patches(own, teacher):
    """Mean over images and positions, over the positions of the same image."""
    own, teacher = (x.reshape(BATCH, 4, CHANNELS) for x in (own, teacher))
    losses = []
    for s, t in zip(own, teacher, strict=True):
        p = reference.softmax(unit(t) @ unit(t).T, TAU)
        losses.append(reference.kl_to_target(unit(s) @ unit(s).T, p, TAU).mean())
    return np.mean(losses)


@pytest.mark.parametrize("masked", [False, True])
def test_the_objective_over_three_steps(masked):
    """The batch stands in the queue before it is compared; the oldest rows go first."""
    method = build(mask_unfilled=masked, weight=2.0)
    state, rows = method.memory.init(), []
    for seed in range(3):
        values, state = step(method, state, seed)
        _, teacher, connected = networks(seed)
        rows = [*rows, *unit(teacher.features["pooled"])][-LENGTH:]
        zeros = [] if masked else [np.zeros(CHANNELS)] * (LENGTH - len(rows))
        own = connected["projection"]["pooled"]
        loss = divergence(own, teacher.features["pooled"], [*rows, *zeros])
        assert values == pytest.approx({"queue": 2 * loss}, rel=1e-5)


def test_patches_and_labels():
    method = build(local=MAPS, local_weight=3.0, label_weight=0.5)
    values, _ = step(method, method.memory.init(), 5)
    student, teacher, connected = networks(5)
    hot = reference.one_hot(LABELS, given.CLASSES)
    local = patches(connected["projection"]["local"], teacher.features["stage3"])
    assert list(values) == ["hard_label", "queue", "patches"]
    assert values["patches"] == pytest.approx(3 * local, rel=1e-5)
    loss = reference.cross_entropy(student.logits, hot).mean()
    assert values["hard_label"] == pytest.approx(0.5 * loss, rel=1e-5)


def test_what_it_declares():
    method = build()
    assert method.needs_teacher and not method.reads
    assert method.student_features == method.teacher_features == ("pooled",)
    assert method.memory.sharded and not method.why_not_cached
    local = build(local=("stage2", "stage3"), label_weight=1.0)
    assert local.student_features == ("pooled", "stage2")
    assert local.teacher_features == ("pooled", "stage3")
    assert local.reads == {"label"} and "stage3" in local.why_not_cached


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("teacher_channels", 0), ("queue_length", 0), ("temperature", 0.0)),
        *(("weight", 0.0), ("label_weight", -1.0), ("local", ("stage3",))),
        *(("local_weight", 0.0), ("local_temperature", 0.0)),
    ],
)
def test_what_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        build(**{name: value})


def test_other_channels_than_the_teachers():
    method = queue_kl.build(teacher_channels=CHANNELS + 1)
    with pytest.raises(ValueError, match=f"teacher_channels is {CHANNELS + 1}"):
        step(method, method.memory.init(), 0)
