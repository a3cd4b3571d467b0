"""Students that share one copy of a network, against a copy for each of them."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from kdjax.bench import flops
from kdjax.methods import (
    ce,
    coteaching,
    dividemix,
    dtd_la,
    elr,
    kd,
    lr_mse,
    mse,
)
from kdjax.methods.base import Method, Term, hard_label, with_label_fallback
from kdjax.models import create
from kdjax.models.ensemble import ensemble
from kdjax.training import sharding
from kdjax.training.dispatch import many_steps
from kdjax.training.optimizers import constant_schedule, sgd
from kdjax.training.stack import alike
from kdjax.training.state import Student, initial_state
from tests.networks import coarse, tiny
from tests.training import problems
from tests.training.problems import CLASSES, COUNT, Problem

OPTIMIZER = sgd(schedule=constant_schedule(learning_rate=0.05))
STEPS = 3
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def student(method, seed, network=tiny, **sizes) -> Student:
    """Everyone has a network of their own making, as a config's students have."""
    return Student(
        network=network(CLASSES, **sizes),
        method=method,
        optimizer=OPTIMIZER,
        seed=seed,
    )


def hint() -> Method:
    """The only one here that reads a feature of the student."""

    def values(inputs):
        return jnp.mean((inputs.student.features["pooled"] - 1.0) ** 2, axis=-1)

    return Method(terms=(hard_label(1.0), Term("hint", 0.3, values)))


def exploding() -> Method:
    return Method(terms=(Term("inf", 1.0, lambda v: v.student.logits[:, 0] * jnp.inf),))


def grid() -> dict[str, Student]:
    """Two networks, their students mixed; no two have the same keys to log."""
    soft = kd.build(alpha=0.9, temperature=4.0)
    return {
        "kd": student(soft, 0),
        "infinity": student(kd.build(alpha=1.0, temperature=math.inf), 1, coarse),
        "dtd_la": student(dtd_la.build(spread=5.0), 2),
        "ce": student(ce.build(), 3, coarse),
        "chosen": student(with_label_fallback(soft), 4),
        "hint": student(hint(), 6),
        "mse": student(mse.build(), 7, coarse),
        "lr_mse": student(lr_mse.build(), 8),
    }


def selections() -> dict:
    keep = np.arange(COUNT) % 3 > 0
    return {
        "chosen": {"selection": keep.astype(np.float32)},
        "mse": {"selection": np.where(keep, 0.5, 1.0).astype(np.float32)},
    }


def problem(students, stacked, devices=1):
    return Problem(devices, students, sample_info=selections(), stacked=stacked)


def host(tree):
    return jax.tree.map(np.array, tree)


def assert_close(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(np.array(a), np.array(b), **CLOSE),
        found,
        wanted,
    )


@pytest.fixture(scope="module")
def unrolled():
    made = problem(grid(), stacked=False)
    return host(made.run(made.initialise(), 0, STEPS))


def test_on_eight_devices_states_and_metrics_are_those_of_copies(unrolled):
    made = problem(grid(), stacked=True, devices=8)
    states, metrics = made.run(made.initialise(), 0, STEPS)
    assert_close((states, metrics), unrolled)
    assert made.traces == 1 and made.compiled._cache_size() <= 1
    moved = jax.tree.map(
        lambda a, b: np.abs(np.array(a - b)).max(initial=0),
        host(made.initialise()),
        host(states),
    )
    for name in states:
        assert max(jax.tree.leaves(moved[name].params)) > 1e-3


def test_on_eight_devices_they_are_in_a_dispatch_of_several_steps(unrolled):
    made = problem(grid(), stacked=True, devices=8)
    many = sharding.compile_train_steps(many_steps(made.pure, STEPS), made.mesh)
    rows = [made.feed.batch_spec(number) for number in range(STEPS)]
    batch_specs = jax.tree.map(lambda *x: np.stack(x), *rows)
    batch_specs = sharding.place_rows(batch_specs, made.mesh, axis=1)
    source = made.feed.source
    states, told = many(made.initialise(), made.variables, source, batch_specs, STEPS)
    assert_close((states, jax.tree.map(lambda x: x[-1], told)), unrolled)


def test_a_dispatch_stacks_states_once():
    """What its loop carries are stacked states: it copies none of them in a step."""
    soft = (kd.build(alpha=0.9, temperature=float(tau)) for tau in (1, 2, 3))
    made = problem({f"kd{i}": student(m, i) for i, m in enumerate(soft)}, stacked=True)
    rows = [made.feed.batch_spec(0)] * 2
    batch_specs = jax.tree.map(lambda *x: np.stack(x), *rows)
    states = made.initialise()
    jaxpr = jax.make_jaxpr(many_steps(made.pure, 2))(
        states, made.variables, made.feed.source, batch_specs, 2
    )
    (loop,) = [e for e in jaxpr.eqns if e.primitive.name == "while"]
    carried = [v.aval.shape for v in loop.outvars]
    for leaf in jax.tree.leaves(states["kd0"].params):
        assert (3, *leaf.shape) in carried and leaf.shape not in carried


def test_bfloat16_activations_that_a_method_reads():
    """Gradients of float32 logits and of bfloat16 features meet in the loop."""

    def half(classes):
        sizes = {"depth": 10, "widths": (2, 2, 2), "num_classes": classes}
        return create("wide_resnet", **sizes, dtype="bfloat16")

    def values(inputs):
        feature = inputs.student.features["stage3"].astype(jnp.float32)
        return jnp.mean((feature - 1.0) ** 2, axis=(1, 2, 3))

    hint = Method(terms=(hard_label(1.0), Term("hint", 0.3, values)))

    students = {f"hint{i}": student(hint, i, half) for i in range(2)}
    made = problem(students, stacked=True)
    student_outputs = jnp.zeros((2, problems.SIZE, problems.SIZE, 1))
    states = {
        name: jax.eval_shape(lambda s=s: initial_state(s, student_outputs))
        for name, s in students.items()
    }
    arguments = states, made.variables, made.feed.source, made.feed.batch_spec(0)
    after, _ = jax.eval_shape(made.pure, *arguments)
    assert after == states


def test_an_infinite_loss_stays_with_its_student():
    good = {name: grid()[name] for name in ("infinity", "ce")}
    bad = good | {"bad": student(exploding(), 9, coarse)}
    bad = {name: bad[name] for name in ("infinity", "bad", "ce")}
    alone, made = problem(good, stacked=True), problem(bad, stacked=True)
    before = host(made.initialise()["bad"])
    states, metrics = made.run(made.initialise(), 0, 2)
    wanted, told = host(alone.run(alone.initialise(), 0, 2))
    assert_close({name: states[name] for name in good}, wanted)
    assert_close({name: metrics[name] for name in good}, told)
    assert float(metrics["bad"]["skipped"]) == 1
    assert all(float(metrics[name]["skipped"]) == 0 for name in good)
    after = dataclasses.replace(states["bad"], step=before.step)
    jax.tree.map(np.testing.assert_array_equal, host(after), before)
    assert int(states["bad"].step) == 2


def test_who_is_alike():
    memory = {"num_examples": COUNT, "num_classes": CLASSES}
    mixing = dividemix.build(num_classes=CLASSES, steps_per_epoch=4, warmup_epochs=1)
    single = dataclasses.replace(mixing, networks=1)
    peers = coteaching.build(noise_rate=0.2, steps_per_epoch=4)
    pair = ensemble((tiny(CLASSES),) * 2)
    other = sgd(schedule=constant_schedule(learning_rate=0.05))
    soft = dtd_la.build(spread=5.0, memory_decay=0.9, num_examples=COUNT)
    students = {
        "ce": student(ce.build(), 0),
        "narrow": student(ce.build(), 0, width=4),
        "elr": student(elr.build(**memory), 0),
        "kd": student(kd.build(alpha=0.9, temperature=4.0), 1),
        "mixing": student(single, 0),
        "mixing again": student(single, 1),
        "peers": student(peers, 0, lambda _: pair),
        "peers again": student(peers, 1, lambda _: pair),
        "other optimizer": dataclasses.replace(student(ce.build(), 0), optimizer=other),
        "remembered": student(soft, 0),
        "elr again": student(elr.build(**memory, beta=0.9), 5),
        "narrow again": student(mse.build(), 2, width=4),
    }
    assert [list(part) for part in alike(students)] == [
        ["ce", "kd"],
        ["narrow", "narrow again"],
        ["elr", "elr again"],
        ["mixing"],
        ["mixing again"],
        ["peers"],
        ["peers again"],
        ["other optimizer"],
        ["remembered"],
    ]


def test_memories_are_kept_apart():
    """Of two students that remember each sample, each its own answers."""
    memory = {"num_examples": COUNT, "num_classes": CLASSES}
    students = {
        "early": student(elr.build(**memory), 0, coarse),
        "late": student(elr.build(**memory, beta=0.9), 5, coarse),
    }
    assert [len(part) for part in alike(students)] == [2]
    copies, made = problem(students, stacked=False), problem(students, stacked=True)
    wanted = host(copies.run(copies.initialise(), 0, STEPS))
    states, metrics = made.run(made.initialise(), 0, STEPS)
    assert_close((states, metrics), wanted)
    early, late = (states[n].supervision_state["memory"] for n in ("early", "late"))
    assert float(jnp.abs(early - late).max()) > 1e-3


def count(name, jaxpr) -> int:
    """How many of an operation stand in a program, however often they run."""
    return sum(
        (equation.primitive.name == name)
        + sum(count(name, each) for each in jaxprs_in_params(equation.params))
        for equation in jaxpr.eqns
    )


def program(students, stacked):
    """(convolutions in it, branches in it, arithmetic that it does)."""
    made = problem(students, stacked)
    states = jax.eval_shape(made.initialise)
    batch_spec = made.feed.batch_spec(0)
    arguments = (states, made.variables, made.feed.source, batch_spec)
    jaxpr = jax.make_jaxpr(made.pure)(*arguments).jaxpr
    names = "conv_general_dilated", "cond"
    held = (count(name, jaxpr) for name in names)
    return *held, flops.count(made.pure, *arguments).total


def test_a_program_holds_each_architecture_once():
    def row(count, **sizes):
        warm = np.geomspace(1.0, 20.0, count)
        methods = (kd.build(alpha=0.9, temperature=float(t)) for t in warm)
        return {f"{t}-{sizes}": student(m, 0, **sizes) for t, m in enumerate(methods)}

    one = 2 + 1 + 2  # forward, gradient of inputs, gradient of kernels
    assert program(row(1), stacked=True)[:2] == (one, 0)
    assert program(row(2), stacked=True)[:2] == (one, 1)
    *held, work = program(row(6), stacked=True)
    assert held == [one, 1]  # each branch keeps a GPU's host waiting
    assert program(row(6), stacked=False) == (6 * one, 0, work)
    both = row(3) | row(3, width=4)
    assert program(both, stacked=True)[:2] == (2 * one, 2)
