"""Crops that begin small: batches, compilations, resuming, caches, what is refused."""

import json

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.caching.teacher_runner import TeacherRunner, layout_of
from kdjax.cli import evaluate
from kdjax.contracts import InputError
from kdjax.data.loaders import loader
from kdjax.data.loaders.batch import gather_batch
from kdjax.data.loaders.sampler import sample_positions
from kdjax.data.loaders.streaming import StreamingLoader
from kdjax.experiment import checks, schema
from kdjax.experiment.build import build
from kdjax.experiment.cache import origin_of
from kdjax.experiment.data import load_data
from kdjax.experiment.pretrained import Teacher
from kdjax.runner import run
from kdjax.training import loop, sharding
from kdjax.training.loop import Preempted
from tests.data.jpegs import pictures, prepare_jpegs
from tests.experiment import configs

pytestmark = pytest.mark.usefixtures("as_they_are", "own_networks")
COUNT, BATCH = 21, 8
SIZES = ((0, 8), (1, 12), (2, 16))
# Steps of 8 of 21 samples: the third and the sixth cross into the next epoch.
SIDES = [8, 8, 8, 12, 12, 12, 16, 16]


@pytest.fixture(scope="module")
def jpeg_dir(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("jpegs")
    rows = pictures(COUNT)
    prepare_jpegs(data_dir, {"train": rows, "test": rows[:9]})
    return data_dir


def growing(data_dir, sizes=SIZES, **data):
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:pooled"})
    config.data.name, config.data.feed = "jpeg_set", "streamed"
    config.data.train, config.data.test = "train", "test"
    config.data.crops.update({"size": 16, "short_side": 20, "sizes": sizes})
    config.data.mean, config.data.std = (0.4, 0.5, 0.5), (0.3, 0.3, 0.3)
    config.data.flip = True
    config.data.update(data)
    config.batch_size, config.total_steps = BATCH, len(SIDES)
    config.evaluation.batch_size, config.evaluation.every_epochs = 8, 0.0
    config.schedule.learning_rate = 0.01
    return config


def weights(workdir):
    saved = workdir / "checkpoints"
    assert checkpoints.read_meta(saved)[0]["step"] == len(SIDES)
    return checkpoints.read_variables(saved, len(SIDES), "ce")


def test_a_step_has_the_size_of_the_epoch_it_begins_in(jpeg_dir):
    images = build(growing(jpeg_dir)).train.image
    how = {"seed": 3, "batch_size": BATCH, "threads": 2}
    feed = StreamingLoader(images, {}, **how)
    hosts = [StreamingLoader(images, {}, **how, process=i, processes=2) for i in (0, 1)]
    for step, side in enumerate(SIDES):
        batch_spec = feed.batch_spec(step)
        assert batch_spec["image"].shape == (BATCH, side, side, 3)
        parts = [host.batch_spec(step) for host in hosts]
        together = jax.tree.map(lambda *rows: np.concatenate(rows), *parts)
        jax.tree.map(np.testing.assert_array_equal, together, batch_spec)
        index, epoch = sample_positions(3, step, BATCH, COUNT)
        wanted = np.empty((side, side, 3), np.uint8)
        images.training_crop(3, int(epoch[-1]), int(index[-1]), wanted)
        np.testing.assert_array_equal(batch_spec["image"][-1], wanted)
    again = feed.batch_spec(2)  # backwards, as after a resume
    assert again["image"].shape == (BATCH, 8, 8, 3)
    for each in (feed, *hosts):
        each.close()


def test_each_size_compiles_once_and_resuming_changes_nothing(
    jpeg_dir, tmp_path, monkeypatch, capsys
):
    traced = []

    def recorded(source, batch_spec, decode=None):
        traced.append(batch_spec["image"].shape[1])
        return gather_batch(source, batch_spec, decode)

    monkeypatch.setattr("kdjax.training.program.gather_batch", recorded)
    run.run(growing(jpeg_dir), tmp_path / "whole")
    assert traced == [8, 12, 16]
    calls = []
    with monkeypatch.context() as patch, pytest.raises(Preempted):
        stop = lambda *_: calls.append(1) or "here" * (len(calls) == 5)  # noqa: E731
        patch.setattr(loop, "_why_stop", stop)  # among the steps of the second size
        run.run(growing(jpeg_dir), tmp_path / "stopped")
    run.run(growing(jpeg_dir), tmp_path / "stopped")
    assert traced == [8, 12, 16, 8, 12, 12, 16]
    whole, stopped = (weights(tmp_path / name) for name in ("whole", "stopped"))
    jax.tree.map(np.testing.assert_array_equal, whole, stopped)
    printed = "".join(capsys.readouterr().err.split())
    assert "crops:12x12fromepoch1on" in printed
    # Evaluated at the last size, from what the run wrote of itself.
    summary = json.loads((tmp_path / "whole" / "summary.json").read_text())
    data = summary["identity"]["data"]
    assert data["train"]["crops"]["sizes"] == [[0, 8], [1, 12], [2, 16]]
    assert "sizes" not in data["test"]["crops"] and data["image_shape"] == [16, 16, 3]
    assert evaluate.main([f"--workdir={tmp_path / 'whole'}"]) == 0
    line = json.loads(capsys.readouterr().out)["students"]["ce"]
    assert line["top1"] == summary["students"]["ce"]["metrics"]["top1"]


def test_another_schedule_is_another_run(jpeg_dir, tmp_path):
    with pytest.raises(Preempted):
        run.run(growing(jpeg_dir), tmp_path, deadline=0.0)
    with pytest.raises(InputError, match="sizes"):
        run.run(growing(jpeg_dir, ((0, 8), (2, 16))), tmp_path)


def test_a_cache_holds_the_outputs_on_the_crops_of_every_step(jpeg_dir, tmp_path):
    config = growing(jpeg_dir)
    config.teacher.network = "tests.networks:pooled"
    config.method = ConfigDict({"name": "kd", "alpha": 0.9, "temperature": 4.0})
    experiment, mesh = build(config), sharding.make_mesh()
    network, variables = experiment.teacher.network, experiment.teacher.variables
    layout = layout_of(
        *(network, variables, experiment.train), dtype="float32", top_k=0, features=()
    )
    how = {"seed": experiment.seed, "layout": layout, "batch_size": 8}
    runner = TeacherRunner(
        network, variables, experiment.train, experiment.augment, step_size=BATCH, **how
    )
    stored = [
        np.concatenate([row["logits"] for row in runner.blocks(epoch)])
        for epoch in range(4)
    ]
    feed = loader.make_loader(
        experiment.train, mesh, seed=experiment.seed, batch_size=BATCH
    )
    evaluated = jax.jit(network.evaluate)
    for step, side in enumerate(SIDES):
        batch_spec = feed.batch_spec(step)
        assert batch_spec["image"].shape[1] == side
        batch = gather_batch(feed.source, batch_spec)
        images = experiment.augment.train(batch, experiment.seed)
        wanted = evaluated(*variables, images).logits
        index, epoch = batch_spec["index"], batch_spec["epoch"]
        outputs = np.stack([stored[e][i] for e, i in zip(epoch, index, strict=True)])
        np.testing.assert_allclose(outputs, wanted, rtol=1e-4, atol=1e-5)
        again = runner.outputs(index, epoch)["logits"]
        np.testing.assert_allclose(again, wanted, rtol=1e-4, atol=1e-5)
    feed.close()
    with pytest.raises(ValueError, match="step_size is not given"):
        TeacherRunner(network, variables, experiment.train, experiment.augment, **how)


def test_a_cache_of_another_schedule_or_batch_is_another(jpeg_dir):
    def origin(sizes, batch_size=BATCH):
        images = load_data(schema.plain(growing(jpeg_dir, sizes).data))
        teacher = Teacher(None, None, {"digest": "a"})
        return origin_of(teacher, images, 0, batch_size)

    plain, first = origin(()), origin(SIZES)
    assert plain == origin((), 5)  # the same crops whatever the batch
    others = [plain, origin(((0, 8), (2, 16))), origin(SIZES, 5)]
    assert all(first != other for other in others) and first == origin(SIZES)


@pytest.mark.errors
@pytest.mark.parametrize(
    "sizes, message",
    [
        (((0, 8), (2, 12), (2, 16)), "data.crops: .*expected each epoch to be above"),
        (((0, 8), (1, -3)), "config.data.crops: .*expected sides of 1 pixel or more"),
        ((8, 12), "config.data.crops: .*pairs of whole numbers"),
    ],
)
def test_wrong_sizes_are_found_before_anything_is_read(sizes, message):
    config = schema.plain(growing("/nowhere", sizes))
    with pytest.raises(InputError, match=message):
        checks.check_training(config)


@pytest.mark.errors
def test_what_cannot_have_sizes(jpeg_dir, data_dir):
    with pytest.raises(InputError, match="sizes is set and config.data.feed is 'res"):
        checks.check_training(schema.plain(growing(jpeg_dir, feed="resident")))
    with pytest.raises(InputError, match="fashion_mnist_subset is resident"):
        there = {"name": "fashion_mnist_subset", "feed": "auto"}
        build(growing(data_dir, **there))
    config = growing(jpeg_dir)
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    with pytest.raises(InputError, match="student ce: the network cannot take .*8x8"):
        build(config)
    config = growing(jpeg_dir)
    config.teacher.network = "tests.networks:coarse"
    with pytest.raises(InputError, match="config.teacher: the network cannot .*8x8"):
        build(config)
