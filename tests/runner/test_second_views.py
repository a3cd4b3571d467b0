"""A method with a second view, from a config to a finished run."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.data.loaders import loader
from kdjax.data.loaders.batch import gather_batch
from kdjax.experiment import schema
from kdjax.experiment.build import build
from kdjax.methods import METHODS
from kdjax.preflight import plans, program
from kdjax.reporting.reporter import read_rows
from kdjax.runner import run
from kdjax.training import sharding
from kdjax.training.loop import Preempted
from kdjax.training.state import initial_state
from tests.data.jpegs import pictures, prepare_jpegs
from tests.experiment import configs
from tests.methods import two_views
from tests.preflight.test_program import as_trained, check_same
from tests.runner.test_streaming import streamed

pytestmark = pytest.mark.usefixtures("as_they_are")


@pytest.fixture(autouse=True)
def a_method_of_two_views(monkeypatch):
    monkeypatch.setitem(METHODS._entries, "two_views", two_views)


def with_views(config, kind):
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    config.method = ConfigDict({"name": "two_views", "kind": kind})
    config.teacher.network = "tests.networks:coarse"
    config.seed, config.schedule.learning_rate = 2, 0.001
    return config


def weights(workdir):
    saved = workdir / "checkpoints"
    meta, _ = checkpoints.read_meta(saved)
    return checkpoints.read_variables(saved, meta["step"], "two_views")


def mean_square(x, y):
    return np.square(np.float64(x.logits) - np.float64(y.logits)).mean()


@pytest.mark.parametrize(
    "kind", ["randaugment", pytest.param("crop", marks=pytest.mark.long)]
)
def test_both_networks_see_the_second_view(data_dir, tmp_path, kind):
    config = with_views(configs.teacher(data_dir), kind)
    config.total_steps, config.log_every_steps = 3, 1
    run.run(config, tmp_path / "whole")
    row = read_rows(tmp_path / "whole" / "metrics.jsonl")[0]
    made, mesh = build(config), sharding.make_mesh()
    feed = loader.make_loader(made.train, mesh, seed=made.seed, batch_size=64)
    batch = gather_batch(feed.source, jax.tree.map(jnp.asarray, feed.batch_spec(0)))
    student, teacher = made.students["two_views"], made.teacher

    @jax.jit
    def outputs(batch, variables):
        """Of the student on the first and the second view, of the teacher on that."""
        first = made.augment.train(batch, made.seed)
        second = made.augment.train(batch, made.seed, 1, kind)
        state = initial_state(student, first, (teacher.network, variables))
        own = state.params, state.batch_stats
        both = [student.network.train(*own, images)[0] for images in (first, second)]
        evaluate = functools.partial(teacher.network.evaluate, *variables)
        return *both, evaluate(first), evaluate(second)

    first, second, unseen, theirs = outputs(batch, teacher.variables)
    expected = mean_square(second, theirs) + 0.1 * mean_square(first, second)
    actual = row["train/two_views/loss/second_view"]
    assert actual == pytest.approx(expected, rel=1e-4)
    other = mean_square(second, unseen) + 0.1 * mean_square(first, second)
    assert actual != pytest.approx(other, rel=1e-3)
    with pytest.raises(Preempted):
        run.run(config, tmp_path / "pieces", deadline=0.0)
    run.run(config, tmp_path / "pieces")
    whole, pieces = (weights(tmp_path / name) for name in ("whole", "pieces"))
    jax.tree.map(np.testing.assert_array_equal, whole, pieces)


@pytest.fixture(scope="module")
def jpeg_dir(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("jpegs")
    rows = pictures(21)
    prepare_jpegs(data_dir, {"train": rows, "test": rows[:9]})
    return data_dir


def test_a_streamed_set_has_randaugment_and_no_second_crop(jpeg_dir, tmp_path):
    config = with_views(streamed(jpeg_dir), "randaugment")
    run.run(config, tmp_path / "w")
    rows = read_rows(tmp_path / "w" / "metrics.jsonl")
    losses = [r[key] for r in rows for key in r if key.endswith("loss/second_view")]
    assert losses and np.isfinite(losses).all() and min(losses) > 0
    with pytest.raises(InputError, match="of two_views takes two crops of each image"):
        build(with_views(streamed(jpeg_dir), "crop"))


@pytest.mark.errors
def test_what_has_no_second_view(data_dir, tmp_path):
    config = with_views(configs.teacher(data_dir), "crop")
    config.data.cutmix = 1.0
    with pytest.raises(InputError, match="its second view would be another mixture"):
        build(config)
    config.data.cutmix = 0.0
    config.teacher.cache = str(tmp_path)
    given = types.SimpleNamespace(decode=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kdjax.experiment.cache.open_cache", lambda *_: given)
        with pytest.raises(InputError, match="the teacher computes on a second view"):
            build(config)


@pytest.mark.parametrize(
    "kind", ["randaugment", pytest.param("crop", marks=pytest.mark.long)]
)
def test_compile_has_the_very_step_of_the_trainer(data_dir, tmp_path, kind):
    config = with_views(configs.teacher(data_dir), kind)
    theirs = as_trained(config, tmp_path, 1)
    experiment = build(config)
    plan = plans.plan(schema.plain(config), experiment.data)
    check_same(program.trace(plan, sharding.make_mesh(), 64), theirs)
