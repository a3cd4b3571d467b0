"""The step that is compiled is the trainer's, and its parts weigh what they should."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax.bench import flops
from kdjax.build import sections
from kdjax.build.experiment import build_experiment
from kdjax.commands.notes import Notes
from kdjax.commands.steps import Steps
from kdjax.contracts import InputError
from kdjax.models import winograd
from kdjax.preflight import plans, program
from kdjax.training import sharding
from kdjax.training.state import initial_state
from tests.build import configs


def taught(data_dir):
    """Two students, one with notes, and a teacher that brings its weights."""
    config = configs.teacher(data_dir)
    config.teacher.network = "tests.networks:tiny"
    config.students = ConfigDict(
        {
            "kd": {
                "method": configs.METHODS["kd"],
                "selection": {"name": "random", "keep_ratio": 0.5},
            },
            "ce": {"method": configs.METHODS["ce"]},
        }
    )
    return config


def operations(jaxpr):
    """How often each primitive stands there, by the shapes that it makes."""
    found = collections.Counter()
    for equation in jaxpr.eqns:
        shapes = tuple(str(variable.aval) for variable in equation.outvars)
        found[equation.primitive.name, shapes] += 1
        for inner in flops._inner(equation.params):
            found += operations(inner)
    return found


@pytest.mark.parametrize("most", [1, 16])
def test_it_is_the_very_step_of_the_trainer(data_dir, tmp_path, monkeypatch, most):
    config, mesh = taught(data_dir), sharding.make_mesh()
    experiment = build_experiment(config)
    variables = sharding.place_replicated(experiment.teacher.variables, mesh)
    notes = Notes(experiment, variables, mesh, tmp_path, 0)
    steps = Steps(experiment, variables, mesh, notes, most)
    images = np.zeros((2, *experiment.train.image.shape[1:]), np.float32)
    states = sharding.compile_init(
        lambda: {n: initial_state(s, images) for n, s in experiment.students.items()},
        mesh,
    )()
    _, ticket = steps.ready(0, most)
    source = steps.feed.source | {"notes": notes.before(0, states)}
    jitted, count = (steps._one, ()) if most == 1 else (steps._many, (most,))
    theirs = jitted.trace(states, variables, source, ticket, *count)

    monkeypatch.setattr(program, "steps_per_dispatch", lambda platform: most)
    plan = plans.plan(sections.plain(config), experiment.images, 64)
    ours = program.trace(plan, mesh, 64)
    assert operations(ours.jaxpr.jaxpr) == operations(theirs.jaxpr.jaxpr)


def described(config, feed="resident", **taught_by):
    images = plans.described_images(config["data"], 28, 10, 1000, channels=1)
    named = {"taught_by": taught_by} if taught_by else {}
    return plans.plan(config, images, 64, resident=feed == "resident", **named)


def absent():
    """A config whose data and whose teacher are nowhere."""
    config = configs.teacher("/nowhere")
    config.teacher.workdir = "/nowhere/teacher"
    config.method = ConfigDict(configs.METHODS["kd"])
    return sections.plain(config)


def test_neither_data_nor_teacher_need_be_there():
    plan = described(absent(), name="tests.networks:tiny")
    given = program.arguments(plan, 64, 1)
    assert given.source["image"].shape == (1000, 28, 28, 1)
    assert given.source["image"].dtype == np.uint8
    seen = program.compile_step(plan, sharding.make_mesh(), 64)
    assert seen.memory.total > 0 and seen.refused is None
    assert seen.collectives["all-reduce"].count >= 1


def test_mixtures_of_images_are_in_the_step():
    config = absent()
    config["method"] = {"name": "mse"}
    teacher = {"name": "tests.networks:coarse"}
    config["model"] = teacher
    mesh = sharding.make_mesh()

    def sent(mixup):
        config["data"]["mixup"] = mixup
        compiled = program.compile_step(described(config, **teacher), mesh, 64)
        return compiled.collectives.get("collective-permute")

    assert sent(0.0) is None
    found = sent(1.0)  # one image of float32 from each device to the next
    assert (found.count, found.bytes) == (1, 28 * 28 * 4)


def test_a_missing_teacher_is_asked_for():
    with pytest.raises(InputError, match="--teacher=NAME"):
        described(absent())


def test_parts_weigh_what_their_arrays_do():
    config = absent()
    config["model"] = {"name": "tests.networks:linear"}
    teacher = {"name": "tests.networks:linear"}
    weights = 28 * 28 * 10 + 10
    resident = described(config, **teacher)
    found = program.parts(program.arguments(resident, 64, 1), devices=8)
    # Weights and momentum, and beside them a few counters.
    assert 0 < found["state"] - 4 * 2 * weights <= 64
    assert found["teacher"] == 4 * weights
    assert found["resident_images"] == 1000 * (28 * 28 + 4)
    assert found["batch"] == 64 * (4 + 4) // 8
    streamed = described(config, feed="streamed", **teacher)
    found = program.parts(program.arguments(streamed, 64, 1), devices=8)
    assert found["resident_images"] == 0
    assert found["batch"] == 64 * (4 + 4 + 4 + 28 * 28) // 8


def test_a_streamed_batch_is_divided_over_the_devices():
    plan = described(absent(), feed="streamed", name="tests.networks:tiny")
    mesh = sharding.make_mesh()
    given = program.arguments(plan, 64, 1)
    seen = program.compile_step(plan, mesh, 64).memory
    parts = program.parts(given, mesh.size)
    # Nobody reads a position that draws no notes, but crops do: all is an argument.
    assert seen.arguments == pytest.approx(sum(parts.values()), rel=0.01)


def test_a_program_for_an_accelerator_has_no_convolutions_for_cpus():
    images = jnp.zeros((64, 32, 32, 64), jnp.float32)
    kernel = jnp.zeros((3, 3, 64, 64), jnp.float32)
    assert winograd.suits(images, kernel, 1)
    with winograd.traced_for("tpu"):
        assert not winograd.suits(images, kernel, 1)
    assert winograd.suits(images, kernel, 1)


def test_an_error_that_is_not_about_memory_is_not_an_answer(monkeypatch):
    plan = described(absent(), name="tests.networks:tiny")

    def fails(message):
        class Lowered:
            def compile(self):
                raise jax.errors.JaxRuntimeError(message)

        monkeypatch.setattr(program, "lower", lambda *_: Lowered())
        return functools.partial(program.compile_step, plan, None, 64)

    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        fails("INTERNAL: no")()
    refused = fails("RESOURCE_EXHAUSTED: Used 2.00G of 1.00G hbm")()
    assert refused.memory is None and refused.refused.used == 2 * 2**30
