"""What is timed is the trainer's step; cached logits train as a live teacher does."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from kdjax.bench import feeds, programs
from kdjax.bench.problem import Problem
from kdjax.data.loaders.batch import gather_batch
from kdjax.data.loaders.loader import make_loader
from kdjax.data.transforms.augment import Augment
from kdjax.training import sharding
from kdjax.training.program import steps_per_dispatch
from kdjax.training.state import initial_state
from tests.networks import coarse, linear, tiny

ROOT = pathlib.Path(__file__).parent.parent.parent
PROBLEM = Problem(
    teacher=linear(5), student=coarse(5), batch_size=8, image_size=8, classes=5
)


@pytest.fixture
def mesh():
    return sharding.make_mesh(jax.devices()[:2])


def test_cached_logits_move_students_as_a_live_teacher_does():
    grid = programs.temperature_grid(PROBLEM.student, 2)
    split = feeds.noise_split(PROBLEM)
    source = {"image": split.image, "label": split.label, "sample_info": {}}
    batch_spec = {"index": np.arange(8, dtype=np.int32), "epoch": np.zeros(8, np.int32)}
    source, batch_spec = jax.tree.map(jax.numpy.asarray, (source, batch_spec))
    images = np.zeros((2, *PROBLEM.image_shape), np.float32)
    states = {name: initial_state(s, images) for name, s in grid.items()}
    variables = PROBLEM.teacher.init(jax.random.key(3), images)
    mesh = sharding.make_mesh(jax.devices()[:1])
    live = programs.program_of(PROBLEM, grid, mesh)
    after, metrics = live(
        jax.tree.map(jax.numpy.copy, states), variables, source, batch_spec
    )

    images = programs.augment(PROBLEM).train(
        gather_batch(source, batch_spec), feeds.SEED
    )
    teacher_outputs = PROBLEM.teacher.evaluate(*variables, images).logits
    cached = programs.program_of(PROBLEM, grid, mesh, "cached")
    cached_after, cached_metrics = cached(
        jax.tree.map(jax.numpy.copy, states),
        None,
        source,
        batch_spec | {"teacher_outputs": teacher_outputs},
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
        (after, metrics),
        (cached_after, cached_metrics),
    )
    other, _ = cached(
        states, None, source, batch_spec | {"teacher_outputs": -teacher_outputs}
    )
    kernel = after["tau-1"].params["Dense_0"]["kernel"]
    assert abs(kernel - other["tau-1"].params["Dense_0"]["kernel"]).max() > 1e-5


@pytest.mark.parametrize(
    ("mode", "steps"), [("live", 1), ("cached", 1), ("cached", 3), ("streamed", 1)]
)
def test_a_program_trains_every_student_step_by_step(mode, steps, mesh):
    program = programs.start(PROBLEM, mode, 3, mesh, steps)
    for number in range(2):
        states = program.call(program.ready(number))
    assert len(states) == 3
    for state in states.values():
        assert int(state.step) == 2 * steps
        assert np.isfinite(jax.tree.leaves(state.params)[0]).all()


@pytest.mark.parametrize("mode", ["live", "cached"])
def test_three_steps_at_a_time_are_the_same_steps(mode, mesh):
    """On the same samples, in the same order."""

    def after(steps):
        program = programs.start(PROBLEM, mode, 1, mesh, steps)
        for number in range(6 // steps):
            states = program.call(program.ready(number))
        return states["tau-4"].params

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
        after(1),
        after(3),
    )


def test_streamed_images_come_from_the_host(mesh):
    feed = feeds.Feed(PROBLEM, "streamed", mesh, 1)
    assert "image" not in feed.source
    spec, split = feed(1), feeds.noise_split(PROBLEM)
    np.testing.assert_array_equal(spec["image"], split.image[8:16])
    np.testing.assert_array_equal(spec["index"], np.arange(8, 16))
    assert spec["image"].sharding == sharding.split(mesh)
    last = len(split.label) // 8  # then from the start again
    np.testing.assert_array_equal(feed(last)["index"], np.arange(8))


def test_dispatches_are_those_of_training():
    assert programs.dispatch_of("live", "gpu") == steps_per_dispatch("gpu") > 1
    assert programs.dispatch_of("live", "cpu") == 1
    assert programs.dispatch_of("streamed", "tpu") == 1


def test_a_grid_has_one_optimizer():
    grid = programs.temperature_grid(PROBLEM.student, 3)
    assert len({id(student.optimizer) for student in grid.values()}) == 1


@pytest.mark.parametrize("steps", [1, 3])
def test_input_alone_gives_the_augmented_batch(mesh, steps):
    program = programs.start(PROBLEM, "input", 0, mesh, steps)
    images = program.call(program.ready(0))
    split = feeds.noise_split(PROBLEM)
    loader = make_loader(split, mesh, seed=feeds.SEED, batch_size=8)
    rows = gather_batch(loader.source, loader.batch_spec(steps - 1))
    expected = programs.augment(PROBLEM).train(rows, feeds.SEED)
    np.testing.assert_allclose(images, expected, rtol=1e-6)
    assert images.sharding == sharding.split(mesh)


def test_the_load_of_each_mode():
    problem = dataclasses.replace(PROBLEM, student=tiny(5))
    live = programs.load(problem, "live", 2)
    cached = programs.load(problem, "cached", 2)
    teacher = 2 * (8 * 8 * 3) * 5  # one matrix product, no convolution
    student = 2 * (4 * 4 * 8) * 27 + 2 * (2 * 2 * 8) * 72 + 2 * 8 * 5
    assert cached.total == 2 * 3 * student
    assert live.total == cached.total + teacher
    assert live.bytes == cached.bytes == 2 * 14 * 4 * (4 * 4 * 8 + 2 * 2 * 8)
    assert programs.load(problem, "streamed", 2) == live
    assert programs.load(problem, "input", 0) == ({}, 0.0)


def test_a_grid_of_temperatures():
    assert list(programs.temperature_grid(PROBLEM.student, 1)) == ["tau-4"]
    grid = programs.temperature_grid(PROBLEM.student, 8)
    assert len(grid) == 8 and list(grid)[0] == "tau-1" and list(grid)[-1] == "tau-20"
    assert len({s.seed for s in grid.values()}) == 8


def test_noise_stays_small_and_covers_a_batch():
    assert programs.augment(PROBLEM) == Augment(
        mean=(0.5,) * 3, std=(0.25,) * 3, padding=1, flip=True
    )
    large = dataclasses.replace(PROBLEM, image_size=512, batch_size=400)
    assert len(feeds.noise_split(large).label) == 400
    small = feeds.noise_split(PROBLEM)
    assert len(small.label) == feeds.MOST_IMAGES
    assert set(small.label) == set(range(5)) and small.image.dtype == np.uint8


def test_the_command_needs_no_config_and_no_data_set():
    code = """
import sys
for name in ("ml_collections", "tensorflow_datasets", "grain", "array_record"):
    sys.modules[name] = None
from kdjax.cli import bench
words = "--batch_size=8 --image_size=8 --classes=5 --students=1 --devices=1 --json"
pair = "--pair=tests.networks:linear,tests.networks:coarse"
sys.exit(bench.main([pair, *words.split(), "--steps=1", "--repeats=1"]))
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        cwd=ROOT,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("images_per_second_low") == 4  # of every mode
