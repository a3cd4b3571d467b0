"""Students trained from a cache equal those trained with the teacher itself."""

import shutil

import jax
import numpy as np
import pytest

from kdjax import checkpoints
from kdjax.caching.reader import Reader
from kdjax.caching.teacher_runner import TeacherRunner
from kdjax.checkpoints import StorageError
from kdjax.contracts import InputError
from kdjax.data.loaders.sampler import sample_positions
from kdjax.experiment import cache as caches
from kdjax.experiment.build import build
from kdjax.methods import METHODS
from kdjax.methods.base import Method, Term
from kdjax.runner import run
from tests.cli.caches import step_of

pytestmark = pytest.mark.usefixtures("as_they_are")


def trained(config, monkeypatch):
    """Six steps from nought: (losses at each, the states after the last)."""
    step, states = step_of(config, monkeypatch)
    # As good as any in a linear network.
    states = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), states)
    losses = []
    for number in range(6):
        states, metrics = step(states, number)
        losses.append([float(row["loss"]) for row in metrics.values()])
    return np.array(losses), jax.tree.map(np.asarray, states)


def test_students_from_a_cache_are_those_of_the_teacher(cached, monkeypatch):
    kd = {"name": "kd", "alpha": 0.9, "temperature": 4.0}
    live = trained(cached.config(method=kd), monkeypatch)
    assert (live[0][-1] < live[0][0]).all()
    for name, least, most in (("single", 0, 2e-6), ("half", 1e-7, 5e-4)):
        config = cached.config(f"teacher.cache={cached.root / name}", method=kd)
        own = trained(config, monkeypatch)
        errors = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), own, live)
        # Exactly the same in half precision would be the teacher itself.
        assert least <= max(jax.tree.leaves(errors)) <= most, name


def test_the_step_has_no_teacher_in_it(cached, monkeypatch):
    programs = []
    for overrides in ([], [f"teacher.cache={cached.root / 'half'}"]):
        config = cached.config(*overrides)
        step, states = step_of(config, monkeypatch, jax.make_jaxpr)
        programs.append(str(step(states, 0)))
    kernel = "f32[49,10]"  # of the teacher, and of no student
    assert kernel in programs[0] and kernel not in programs[1]


def test_another_batch_size_reads_the_same_outputs(cached):
    record = caches.read_manifest(cached.root / "single", "here")
    reader = Reader(cached.root / "single", record)

    def first(batch_size, steps):
        specs = [sample_positions(1, n, batch_size, 256) for n in range(steps)]
        index, epoch = (np.concatenate(part) for part in zip(*specs, strict=True))
        rows = [reader.rows(*batch_spec) for batch_spec in specs]
        whole = {n: np.concatenate([row[n] for row in rows]) for n in rows[0]}
        return index, epoch, whole

    index, epoch, outputs = first(64, 6)
    *_, other = first(96, 4)
    for name in ("logits", "pooled"):
        np.testing.assert_array_equal(outputs[name], other[name])
    experiment = build(cached.config())
    teacher = experiment.teacher
    runner = TeacherRunner(
        *(teacher.network, teacher.variables, experiment.train, experiment.augment),
        **{"seed": 1, "layout": reader.layout, "batch_size": 0},
    )
    wanted = runner.outputs(index, epoch)
    np.testing.assert_allclose(outputs["logits"], wanted["logits"], atol=1e-5)
    np.testing.assert_allclose(outputs["pooled"], wanted["pooled"], atol=1e-5)
    # The same sample's crop of another epoch has other outputs.
    assert (
        np.abs(runner.outputs(index, 1 - epoch)["logits"] - wanted["logits"]).max()
        > 1e-2
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    (
        (["seed=2"], "seed is 1 there and 2 here"),
        (["teacher.checkpoint=2"], "of another run: teacher is"),
        (["data.train=train[:250]"], "data.num_examples is 256 there and 250 here"),
        (["data.flip=False"], "preprocessing.flip is True there and False here"),
        (["total_steps=9"], "has 2 of the 3 epochs .* with --epochs=3"),
        (["teacher.cache={root}/teacher"], "and there is no manifest.json in it"),
        (["teacher.workdir="], "there is no teacher; expected config.teacher.workdir"),
    ),
)
def test_a_cache_that_does_not_fit_the_run(cached, overrides, message):
    overrides = [f"teacher.cache={cached.root / 'half'}", *overrides]
    overrides = [text.format(root=cached.root) for text in overrides]
    with pytest.raises(InputError, match=f"^config.teacher.cache.*{message}"):
        build(cached.config(*overrides))


def test_crops_of_another_version_are_refused(cached, monkeypatch):
    monkeypatch.setattr(caches, "PREPROCESSING", 2)
    with pytest.raises(InputError, match="preprocessing.version is 1 there and 2 here"):
        build(cached.config(f"teacher.cache={cached.root / 'half'}"))


def test_a_method_that_looks_at_a_feature_that_is_not_stored(
    cached, tmp_path, monkeypatch
):
    def build():
        term = Term(
            "hint",
            1.0,
            lambda v: (
                v.teacher.features["pooled"].sum(-1) * 0 + v.student.logits.sum(-1)
            ),
        )
        return Method(terms=(term,), supervisor=METHODS["mse"].build().supervisor)

    monkeypatch.setitem(METHODS._entries, "hint", build)

    def trace(name):
        cache = f"teacher.cache={cached.root / name}"
        config = cached.config(cache, method={"name": "hint"})
        step, states = step_of(config, monkeypatch, jax.make_jaxpr)
        return step(states, 0)

    with pytest.raises(
        InputError, match="feature 'pooled', and the cache holds no feat"
    ):
        trace("half")
    assert "f32[64,49]" in str(trace("single"))


def test_a_damaged_epoch_stops_the_training_that_comes_to_it(
    cached, tmp_path, monkeypatch
):
    where = tmp_path / "cache"
    shutil.copytree(cached.root / "half", where)
    path = where / "00001" / "logits.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    config = cached.config(f"teacher.cache={where}")
    step, states = step_of(config, monkeypatch, lambda step: lambda *_: "trained")
    assert step(states, 3) == "trained"
    with pytest.raises(StorageError, match="00001 cannot be used"):
        step(states, 4)  # with which the second epoch begins
    shutil.rmtree(where / "00001")
    assert cached.cache(where) == 0
    assert step(states, 4) == "trained"


def test_a_run_keeps_its_cache_wherever_that_lies(cached, tmp_path):
    moved, workdir = tmp_path / "moved", tmp_path / "w"
    shutil.copytree(cached.root / "half", moved)

    def again(cache):
        short = ["total_steps=1", f"teacher.cache={cache}"]
        run.run(cached.config(*short, method={"name": "mse"}), workdir)

    again(cached.root / "half")
    meta, _ = checkpoints.read_meta(workdir / "checkpoints")
    assert meta["cache"]["dtype"] == "float16" and meta["cache"]["top_k"] == 0
    again(moved)
    for other in (cached.root / "single", ""):
        with pytest.raises(InputError, match="was made with cache digest"):
            again(other)
    (workdir / "summary.json").unlink()
    with pytest.raises(InputError, match="was trained with cache digest .* is None"):
        again("")


def test_an_ensemble_s_members_are_stored_each(cached, tmp_path):
    both = f"{cached.root / 'teacher'},{cached.root / 'teacher'}"
    two = [f"teacher.workdir={both}", "teacher.checkpoint=2,4"]
    flags = [*(f"--config.{text}" for text in two), "--dtype=float32", "--epochs=1"]
    assert cached.cache(tmp_path / "cache", *flags) == 0
    assert np.load(tmp_path / "cache" / "00000" / "logits.npy").shape == (256, 2, 10)
    assert cached.cache(tmp_path / "cache", *flags, "--verify") == 0
    experiment = build(
        cached.config(*two, "total_steps=4", f"teacher.cache={tmp_path / 'cache'}")
    )
    teacher = experiment.teacher
    layout = experiment.cache.layout
    runner = TeacherRunner(
        *(teacher.network, teacher.variables, experiment.train, experiment.augment),
        **{"seed": 1, "layout": layout, "batch_size": 32},
    )
    index, epoch = np.arange(20, dtype=np.int32), np.zeros(20, np.int32)
    wanted = runner.outputs(index, epoch)
    outputs = experiment.cache.decode(experiment.cache.rows(index, epoch))
    np.testing.assert_allclose(outputs.logits, wanted["logits"], atol=1e-5)
    members = outputs.member_logits
    np.testing.assert_allclose(members, wanted["members"], atol=1e-5)
    assert np.abs(members[:, 0] - members[:, 1]).max() > 1e-2


def test_the_config_s_own_length_is_cached():
    # 6 steps of 64 are 1.5 epochs of 256; the 3rd of 96 goes 32 samples beyond one.
    assert caches.epochs_of(6, 64, 256) == 2
    assert caches.epochs_of(3, 96, 256) == 2
    assert caches.epochs_of(4, 64, 256) == 1
