"""Whole runs on a set that stays on disk: loop, resuming, caches, evaluation."""

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
from kdjax.data.loaders.loader import is_streamed
from kdjax.data.split import DataError
from kdjax.experiment import data as images
from kdjax.experiment.build import build
from kdjax.runner import run
from kdjax.training import evaluator, sharding
from kdjax.training.evaluator import evaluation_rows
from kdjax.training.loop import Preempted
from tests.data.jpegs import pictures, prepare_jpegs
from tests.experiment import configs
from tests.networks import coarse

pytestmark = pytest.mark.usefixtures("as_they_are", "own_networks")


@pytest.fixture(scope="module")
def jpeg_dir(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("jpegs")
    rows = pictures(21)
    prepare_jpegs(data_dir, {"train": rows, "test": rows[:9]})
    return data_dir


def streamed(data_dir, **data):
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    config.data.name, config.data.feed = "jpeg_set", "streamed"
    config.data.train, config.data.test = "train", "test"
    config.data.crops = ConfigDict({"size": 16, "short_side": 20})
    config.data.mean, config.data.std = (0.4, 0.5, 0.5), (0.3, 0.3, 0.3)
    config.data.flip = True
    config.data.update(data)
    config.batch_size, config.total_steps = 8, 5
    config.evaluation.batch_size, config.evaluation.every_epochs = 8, 0.0
    config.schedule.learning_rate = 0.01
    return config


def test_a_config_says_how_many_threads_decode(jpeg_dir):
    experiment = build(streamed(jpeg_dir, threads=7))
    assert experiment.train.image.threads == experiment.test.image.threads == 7


def weights(workdir, student="ce"):
    saved = workdir / "checkpoints"
    last = checkpoints.read_meta(saved)[0]["step"]
    assert last == 5
    return checkpoints.read_variables(saved, last, student)


def test_a_run_that_stops_on_the_way_ends_where_a_whole_one_does(
    jpeg_dir, tmp_path, capsys
):
    run.run(streamed(jpeg_dir), tmp_path / "whole")
    for _ in range(2):  # after one step each
        with pytest.raises(Preempted):
            run.run(streamed(jpeg_dir), tmp_path / "pieces", deadline=0.0)
    run.run(streamed(jpeg_dir), tmp_path / "pieces")
    whole, pieces = (weights(tmp_path / name) for name in ("whole", "pieces"))
    jax.tree.map(np.testing.assert_array_equal, whole, pieces)
    summary = json.loads((tmp_path / "whole" / "summary.json").read_text())
    assert summary["unreadable_images"] == {"count": 0, "first": []}
    capsys.readouterr()
    assert evaluate.main([f"--workdir={tmp_path / 'whole'}"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert (
        line["students"]["ce"]["top1"] == summary["students"]["ce"]["metrics"]["top1"]
    )
    assert line["split"]["crops"]["size"] == 16


def test_a_run_on_mixtures_ends_where_a_whole_one_does(jpeg_dir, tmp_path):
    def config(mixup=1.0):
        config = streamed(jpeg_dir, mixup=mixup)
        config.method = ConfigDict({"name": "mse"})
        config.teacher.network = "tests.networks:coarse"
        config.seed = 2
        return config

    run.run(config(), tmp_path / "whole")
    with pytest.raises(Preempted):
        run.run(config(), tmp_path / "pieces", deadline=0.0)
    run.run(config(), tmp_path / "pieces")
    run.run(config(mixup=0.0), tmp_path / "plain")
    whole, pieces, plain = (
        weights(tmp_path / name, "mse") for name in ("whole", "pieces", "plain")
    )
    jax.tree.map(np.testing.assert_array_equal, whole, pieces)
    gaps = jax.tree.map(lambda x, y: np.abs(x - y).max(initial=0.0), whole, plain)
    assert max(jax.tree.leaves(gaps)) > 1e-3
    with pytest.raises(InputError, match="config.data.mixup was 1.0 and is now 0.0"):
        run.run(config(mixup=0.0), tmp_path / "whole")


def test_unreadable_pictures_are_told(tmp_path, capsys):
    rows = pictures(12)
    rows[4] = (rows[4][0][:-300], 4)
    prepare_jpegs(tmp_path, {"train": rows, "test": rows[:4]})
    run.run(streamed(tmp_path), tmp_path / "run")
    told = capsys.readouterr()
    told = "".join((told.err + told.out).split())  # lines may be broken anywhere
    assert "1unreadableimages,replacedbythenext" in told
    assert "cannotberead(Prematureend" in told
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    skipped = summary["unreadable_images"]
    assert skipped["count"] == len(skipped["first"]) == 1
    assert "record" in skipped["first"][0] and "Premature end" in skipped["first"][0]
    with pytest.raises(DataError, match="this image cannot be read"):
        run.run(streamed(tmp_path, skip_at_most=0), tmp_path / "strict")


def test_every_piece_tells_of_what_it_could_not_read(tmp_path, capsys):
    rows = pictures(12)
    rows[4] = (rows[4][0][:-300], 4)
    prepare_jpegs(tmp_path, {"train": rows, "test": rows[:4]})
    kept = tmp_path / "run" / "unreadable.json"
    kept.parent.mkdir()
    kept.write_text('{"another run": "was here"}')
    with pytest.raises(Preempted):
        run.run(streamed(tmp_path), tmp_path / "run", deadline=0.0)
    told = capsys.readouterr()
    assert "1unreadableimages,replaced" in "".join((told.err + told.out).split())
    (found,) = json.loads(kept.read_text()).items()
    assert "record" in found[0] and "Premature end" in found[1]
    # A later piece knows of what it has not met itself.
    kept.write_text(json.dumps({"met earlier": "was cut short"}))
    run.run(streamed(tmp_path), tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    skipped = summary["unreadable_images"]
    assert skipped["count"] == 2
    assert skipped["first"][0] == "met earlier: cannot be read (was cut short)"


def test_size_on_disk_chooses(jpeg_dir, monkeypatch):
    config = streamed(jpeg_dir, feed="auto")
    monkeypatch.setattr(images, "RESIDENT_BELOW", 10_000)
    assert is_streamed(build(config).train)
    monkeypatch.setattr(images, "RESIDENT_BELOW", 1 << 30)
    with pytest.raises(
        InputError, match="expected uint8 of shape.*feed=streamed, config.data.mean"
    ):
        build(config)  # read into memory, where all are of one size


def test_a_cache_holds_the_answers_to_the_very_crops_of_a_step(jpeg_dir, tmp_path):
    run.run(streamed(jpeg_dir), tmp_path / "teacher")
    config = streamed(jpeg_dir)
    config.method = ConfigDict({"name": "kd", "alpha": 0.9, "temperature": 4.0})
    config.teacher.workdir = str(tmp_path / "teacher")
    made, mesh = build(config), sharding.make_mesh()
    network, variables = made.teacher.network, made.teacher.variables
    layout = layout_of(
        *(network, variables, made.train), dtype="float32", top_k=0, features=()
    )
    how = {"seed": made.seed, "layout": layout, "batch_size": 8}
    live = TeacherRunner(network, variables, made.train, made.augment, **how)
    stored = np.concatenate([row["logits"] for row in live.blocks(1)])
    assert stored.shape == (21, 5)
    feed = loader.make_loader(made.train, mesh, seed=made.seed, batch_size=8)
    batch_spec = feed.batch_spec(3)  # of the second epoch
    feed.close()
    batch = gather_batch(feed.source, batch_spec)
    wanted = network.evaluate(*variables, made.augment.train(batch, made.seed)).logits
    found = stored[batch_spec["index"]]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert (np.abs(found - stored[batch_spec["index"] - 1]).max(1) > 1e-3).all()


def test_noise_and_a_selection_apply_to_what_is_streamed(jpeg_dir, tmp_path):
    noise = ConfigDict({"name": "symmetric", "rate": 0.5, "seed": 1})
    plain, noisy = (
        build(streamed(jpeg_dir, noise=how)).data
        for how in (ConfigDict({"name": "none"}), noise)
    )
    np.testing.assert_array_equal(noisy.true_labels, plain.train.label)
    assert (noisy.train.label != plain.train.label).any()
    keep = np.arange(21) % 2 == 0
    np.savez(tmp_path / "selection.npz", keep=keep, labels=plain.train.label)
    kept = build(streamed(jpeg_dir, keep=str(tmp_path))).train
    assert kept.image.shape == (11, 16, 16, 3)
    np.testing.assert_array_equal(kept.label, plain.train.label[keep])


@pytest.mark.errors
@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"feed": "stream"}, "config.data.feed is 'stream'"),
        ({"padding": 4}, "config.data.padding is 4"),
        ({"mean": (), "std": ()}, "config.data.mean and std are not set"),
        ({"flip": None}, "config.data.flip is not set"),
        ({"crops": {"sise": 3}}, "config.data.crops.sise .*Did you mean size"),
        ({"crops": {"size": 99, "short_side": 9}}, "config.data.crops: .*short_side"),
        ({"skip_at_most": -1}, "config.data.skip_at_most is -1"),
        ({"threads": -1}, "config.data.threads is -1"),
    ],
)
def test_errors(jpeg_dir, wrong, message):
    config = streamed(jpeg_dir).to_dict()
    config["data"] |= wrong
    with pytest.raises(InputError, match=message):
        build(config)


def test_what_is_too_much_to_hold_is_asked_while_it_is_decoded(jpeg_dir, monkeypatch):
    made = build(streamed(jpeg_dir))
    train, normalise = made.train, made.augment.evaluate
    network = coarse(5)
    images = np.zeros((1, 16, 16, 3), np.float32)
    variables = jax.tree.map(np.asarray, network.init(jax.random.key(0), images))

    def said():
        return evaluator.answers(network, variables, normalise, train, 8)

    held = said()
    assert held["logits"].shape == (21, 5)
    monkeypatch.setattr(evaluator, "MOST_HELD", 1000)
    decoded = []
    crops = type(train.image).__getitem__

    def counted(self, which):
        decoded.append(which)
        return crops(self, which)

    monkeypatch.setattr(type(train.image), "__getitem__", counted)
    jax.tree.map(np.testing.assert_array_equal, said(), held)
    assert len(decoded) == 3  # batches of 8


@pytest.mark.errors
def test_what_a_streamed_set_cannot_do(jpeg_dir, monkeypatch):
    config = streamed(jpeg_dir)
    config.method = ConfigDict({"name": "dividemix", "warmup_epochs": 1.0})
    config.selection = ConfigDict({"name": "dividemix", "warmup_epochs": 1.0})
    with pytest.raises(InputError, match="takes two crops"):
        build(config)
    train = build(streamed(jpeg_dir)).train
    monkeypatch.setattr("kdjax.training.evaluator.MOST_HELD", 1000)
    with pytest.raises(InputError, match="to score its 21 images, .* Score a slice"):
        evaluation_rows(train, 8, jax.make_mesh((1,), ("data",)))
