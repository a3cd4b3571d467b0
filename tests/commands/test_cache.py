"""Students taught from a cache are the students that the teacher itself would teach."""

import functools
import json
import os
import pathlib
import shutil
import signal
import types

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import __main__, checkpoints
from kdjax.build import caches
from kdjax.build.experiment import build_experiment
from kdjax.build.precheck import check_training
from kdjax.build.sections import plain
from kdjax.caching.live import Live
from kdjax.caching.reader import Reader
from kdjax.checkpoints import StorageError
from kdjax.commands import cache, cache_plan, devices, runs, trainer
from kdjax.commands.arguments import load_config
from kdjax.contracts import InputError
from kdjax.data.order import sample_positions
from kdjax.methods import METHODS
from kdjax.reporting.reporter import read_rows
from kdjax.terms import Method, Term
from kdjax.training import loop, sharding
from kdjax.training.state import initial_state
from tests.caching.test_files import fix_checksum

CONFIG = """
from ml_collections import ConfigDict
from tests.build import configs

def get_config(arg=""):
    config = configs.students({data!r}, {teacher!r})
    config.model = ConfigDict({{"name": "tests.networks:linear"}})
    config.students = ConfigDict({{
        "kd": {{"method": {{"name": "kd", "alpha": 0.9, "temperature": 4.0}}}},
        "mse": {{"method": {{"name": "mse"}}}},
    }})
    config.total_steps = 6
    config.schedule.learning_rate = 0.002
    return config
"""


@pytest.fixture(autouse=True)
def as_they_are(monkeypatch):
    """The number of devices is the tests', settled long before."""
    monkeypatch.setattr(devices, "configure_cpu", lambda *_: 8)


class Made:
    """A teacher, a config of two students, and where caches of that teacher lie."""

    def __init__(self, root: pathlib.Path, data_dir):
        self.root, self.data_dir = root, data_dir
        self.file = root / "students.py"
        self.file.write_text(
            CONFIG.format(data=str(data_dir), teacher=str(root / "teacher"))
        )
        config = self.config("seed=0", "total_steps=4", method={"name": "ce"})
        config.teacher.workdir = ""
        config.model = ConfigDict({"name": "tests.networks:coarse"})
        config.evaluation.every_epochs = 0.5  # step 2 is another teacher
        runs.run(config, root / "teacher")

    def config(self, *overrides, method=None) -> ConfigDict:
        """Of both students, or of one with this method."""
        config = load_config(str(self.file), list(overrides))
        if method:
            config.students, config.method = ConfigDict(), ConfigDict(method)
        return config

    def cache(self, workdir, *flags) -> int:
        return cache.main(
            [f"--config={self.file}", f"--workdir={workdir}", *map(str, flags)]
        )

    def student(self, workdir, *overrides):
        """Trains, and gives (losses at every second step, weights)."""
        runs.run(self.config(*overrides), workdir)
        rows = read_rows(workdir / "metrics.jsonl")
        losses = [
            row[f"train/{name}/loss"]
            for row in rows
            for name in ("kd", "mse")
            if "train/kd/loss" in row
        ]
        where = workdir / "checkpoints"
        weights = [checkpoints.read_variables(where, 6, n) for n in ("kd", "mse")]
        return np.array(losses), weights


@pytest.fixture(scope="module")
def made(data_dir, tmp_path_factory):
    root = tmp_path_factory.mktemp("caches")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "configure_cpu", lambda *_: 8)
        made = Made(root, data_dir)
        assert made.cache(root / "single", "--dtype=float32", "--features=pooled") == 0
        assert made.cache(root / "half") == 0
    return made


@pytest.fixture(scope="module")
def live(made):
    return made.student(made.root / "live")


def printed(capsys) -> dict:
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


@pytest.mark.parametrize(
    ("name", "least", "most"), (("single", 0, 2e-6), ("half", 1e-9, 5e-4))
)
def test_students_from_a_cache_are_those_of_the_teacher(
    made, live, tmp_path, name, least, most
):
    found = made.student(tmp_path / "w", f"teacher.cache={made.root / name}")
    errors = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), found, live)
    worst = max(jax.tree.leaves(errors))
    assert least <= worst <= most


def step_of(config, monkeypatch, compiled):
    """The step as the loop gets it, `compiled(step)` in place of the compiled one."""
    monkeypatch.setattr(
        sharding, "compile_train_step", lambda step, mesh: compiled(step)
    )
    experiment, mesh = build_experiment(config), sharding.make_mesh()
    variables = sharding.place_replicated(experiment.teacher.variables, mesh)
    notes = types.SimpleNamespace(before=lambda number, states: {})
    images = np.zeros((2, *experiment.train.image.shape[1:]), np.float32)
    states = {n: initial_state(s, images) for n, s in experiment.students.items()}
    return functools.partial(
        trainer.train_step(experiment, variables, mesh, notes), states
    )


def test_the_step_has_no_teacher_in_it(made, monkeypatch):
    programs = []
    for overrides in ([], [f"teacher.cache={made.root / 'half'}"]):
        config = made.config(*overrides)
        step = step_of(config, monkeypatch, jax.make_jaxpr)
        programs.append(str(step(0)))
    kernel = "f32[49,10]"  # of the teacher, and of no student
    assert kernel in programs[0] and kernel not in programs[1]


def test_another_batch_size_reads_the_same_answers(made):
    told = caches.read_manifest(made.root / "single", "here")
    reader = Reader(made.root / "single", told)

    def first(batch_size, steps):
        tickets = [sample_positions(1, n, batch_size, 256) for n in range(steps)]
        index, epoch = (np.concatenate(part) for part in zip(*tickets, strict=True))
        rows = [reader.rows(*ticket) for ticket in tickets]
        whole = {n: np.concatenate([row[n] for row in rows]) for n in rows[0]}
        return index, epoch, whole

    index, epoch, found = first(64, 6)
    *_, other = first(96, 4)
    for name in ("logits", "pooled"):
        np.testing.assert_array_equal(found[name], other[name])
    experiment = build_experiment(made.config())
    teacher = experiment.teacher
    asked = Live(
        *(teacher.network, teacher.variables, experiment.train, experiment.augment),
        **{"seed": 1, "layout": reader.layout, "batch_size": 40},
    )
    wanted = asked.answers(index, epoch)
    np.testing.assert_allclose(found["logits"], wanted["logits"], atol=1e-5)
    np.testing.assert_allclose(found["pooled"], wanted["pooled"], atol=1e-5)
    # The same sample's crop of another epoch is another answer.
    assert (
        np.abs(asked.answers(index, 1 - epoch)["logits"] - wanted["logits"]).max()
        > 1e-2
    )


def files(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.glob("*/*"))
    }


def test_what_is_missing_is_written_and_the_rest_left(made, tmp_path, capsys):
    where = tmp_path / "cache"
    shutil.copytree(made.root / "half", where)
    whole = files(where)
    (where / "00001").rename(where / "00001.part")
    (where / "00001.part" / "logits.npy").write_bytes(b"half of it")
    kept = (where / "00000" / "logits.npy").stat()
    assert made.cache(where) == 0
    line = printed(capsys)
    assert (line["epochs"], line["written_epochs"]) == (2, 1)
    assert files(where) == whole
    assert (where / "00000" / "logits.npy").stat() == kept
    assert made.cache(where, "--epochs=1") == 0  # fewer are there already
    assert printed(capsys)["epochs"] == 2
    assert made.cache(where, "--epochs=3") == 0
    more = printed(capsys)
    assert (more["epochs"], more["written_epochs"]) == (3, 1)
    assert more["digest"] == line["digest"]
    on_disk = sum(path.stat().st_size for path in where.glob("*/*.npy"))
    assert more["bytes"] == on_disk


def test_a_signal_leaves_whole_epochs_and_exits_with_42(made, tmp_path, monkeypatch):
    blocks = Live.blocks

    def signalled(self, epoch):
        for number, block in enumerate(blocks(self, epoch)):
            if (epoch, number) == (1, 1):
                os.kill(os.getpid(), signal.SIGTERM)
            yield block

    where = tmp_path / "cache"
    argv = ["cache", f"--config={made.file}", f"--workdir={where}", "--epochs=3"]
    monkeypatch.setattr(Live, "blocks", signalled)
    assert __main__.main(argv) == 42
    assert sorted(p.name for p in where.iterdir() if p.is_dir()) == ["00000"]
    monkeypatch.setattr(Live, "blocks", blocks)
    message = "has 1 of the 2 epochs that this run begins; epoch 1 is missing"
    with pytest.raises(InputError, match=message):
        build_experiment(made.config(f"teacher.cache={where}"))
    assert __main__.main(argv) == 0
    assert files(where).items() >= files(made.root / "half").items()


@pytest.mark.parametrize(
    ("flags", "message"),
    (
        (["--config.seed=2"], "seed is 1 there and 2 here"),
        (["--config.teacher.checkpoint=2"], "teacher is '[0-9a-f]{64}' there"),
        (["--config.data.train=train[:128]"], "data.num_examples is 256 there and 128"),
        (["--config.data.padding=1"], "preprocessing.padding is 2 there and 1 here"),
        (["--dtype=float32"], "dtype is 'float16' there and 'float32' here"),
        (["--top_k=3"], "top_k is 0 there and 3 here"),
        (["--features=pooled"], r"features.pooled is None there and \[49\] here"),
    ),
)
def test_a_cache_of_other_answers_is_not_gone_on_with(made, flags, message):
    before = (made.root / "half" / "manifest.json").read_text()
    flags = [flag.format(root=made.root) for flag in flags]
    with pytest.raises(
        InputError, match=f"holds a cache of other answers: .*{message}"
    ):
        made.cache(made.root / "half", *flags)
    assert (made.root / "half" / "manifest.json").read_text() == before


@pytest.mark.parametrize(
    ("flags", "message"),
    (
        (["--top_k=10"], "--top_k is 10 and the teacher has 10 classes; expected 0"),
        (["--epochs=0"], "--epochs is 0; expected 1 or more"),
        (["--config.teacher.workdir="], "config.teacher names none"),
        (["--verify"], "--verify: there is no cache in"),
        (["--config.teacher.workdir={root}/half"], "no checkpoints here"),
        (
            [
                "--config.teacher.workdir=",
                "--config.teacher.network=tests.networks:linear",
                "--features=pooled",
            ],
            "the teacher has no feature 'pooled'; it has none",
        ),
    ),
)
def test_what_cannot_be_cached(made, tmp_path, flags, message):
    flags = [flag.format(root=made.root) for flag in flags]
    with pytest.raises(InputError, match=message):
        made.cache(tmp_path / "cache", *flags)
    with pytest.raises(
        InputError, match="teacher holds .* and no cache; expected a new"
    ):
        made.cache(made.root / "teacher")


def test_a_disk_with_less_room_is_refused_before_anything_is_written(
    made, tmp_path, monkeypatch, capsys
):
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(cache_plan.shutil, "disk_usage", lambda _: usage)
    argv = ["cache", f"--config={made.file}", f"--workdir={tmp_path / 'cache'}"]
    assert __main__.main(argv) == 4
    said = capsys.readouterr().err
    assert "has 10.00 kB free and the cache still needs 10.50 kB" in said
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".lock"]


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
def test_a_cache_that_does_not_fit_the_run(made, overrides, message):
    overrides = [f"teacher.cache={made.root / 'half'}", *overrides]
    overrides = [text.format(root=made.root) for text in overrides]
    with pytest.raises(InputError, match=f"^config.teacher.cache.*{message}"):
        build_experiment(made.config(*overrides))


def test_crops_of_another_version_are_refused(made, monkeypatch):
    monkeypatch.setattr(caches, "PREPROCESSING", 2)
    with pytest.raises(InputError, match="preprocessing.version is 1 there and 2 here"):
        build_experiment(made.config(f"teacher.cache={made.root / 'half'}"))


def test_a_method_that_looks_at_a_feature_that_is_not_stored(
    made, tmp_path, monkeypatch
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

    monkeypatch.setitem(METHODS, "hint", build)

    def trace(name):
        cache = f"teacher.cache={made.root / name}"
        config = made.config(cache, method={"name": "hint"})
        return step_of(config, monkeypatch, jax.make_jaxpr)(0)

    with pytest.raises(
        InputError, match="feature 'pooled', and the cache holds no feat"
    ):
        trace("half")
    assert "f32[64,49]" in str(trace("single"))


def test_verify_says_that_a_cache_is_sound(made, capsys):
    assert made.cache(made.root / "single", "--verify=512") == 0
    line = printed(capsys)
    assert line["sound"] and line["rows"] == 512 and line["epochs"] == 2
    assert line["largest_difference"] < 1e-5
    assert made.cache(made.root / "half", "--verify") == 0
    line = printed(capsys)
    assert line["rows"] == 256 and 1e-5 < line["largest_difference"] < 2**-11 + 1e-5


@pytest.mark.parametrize("kind", ("byte", "row", "epoch"))
def test_verify_finds(made, tmp_path, capsys, kind):
    where = tmp_path / "cache"
    shutil.copytree(made.root / "half", where)
    path = where / "00001" / "logits.npy"
    if kind == "epoch":
        shutil.rmtree(path.parent)
    elif kind == "byte":
        data = bytearray(path.read_bytes())
        data[200] ^= 1
        path.write_bytes(data)
    else:
        logits = np.load(path)
        logits[[7, 8]] = logits[[8, 7]]
        np.save(path, logits)
        fix_checksum(path.parent, path.name)
    assert made.cache(where, "--verify=1000") == 4
    out, said = capsys.readouterr()
    line = json.loads(out)
    assert not line["sound"] and line["problems"] == (2 if kind == "row" else 1)
    told = {
        "byte": "logits.npy differs from its checksum",
        "row": "epoch 1, sample 7: differs from the teacher's answer by",
        "epoch": "epoch 1 is missing",
    }
    assert told[kind] in said


def test_a_damaged_epoch_stops_the_training_that_comes_to_it(
    made, tmp_path, monkeypatch
):
    where = tmp_path / "cache"
    shutil.copytree(made.root / "half", where)
    path = where / "00001" / "logits.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    config = made.config(f"teacher.cache={where}")
    step = step_of(config, monkeypatch, lambda step: lambda *args: "trained")
    assert step(3) == "trained"
    with pytest.raises(StorageError, match="00001 cannot be used"):
        step(4)  # with which the second epoch begins
    shutil.rmtree(where / "00001")
    assert made.cache(where) == 0
    assert step(4) == "trained"


def test_a_run_keeps_its_cache_wherever_that_lies(made, tmp_path):
    moved, workdir = tmp_path / "moved", tmp_path / "w"
    shutil.copytree(made.root / "half", moved)

    def again(cache):
        short = ["total_steps=1", f"teacher.cache={cache}"]
        runs.run(made.config(*short, method={"name": "mse"}), workdir)

    again(made.root / "half")
    meta, _ = checkpoints.read_meta(workdir / "checkpoints")
    assert meta["cache"]["dtype"] == "float16" and meta["cache"]["top_k"] == 0
    again(moved)
    for other in (made.root / "single", ""):
        with pytest.raises(InputError, match="was made with cache digest"):
            again(other)
    (workdir / "summary.json").unlink()
    with pytest.raises(InputError, match="was trained with cache digest .* is None"):
        again("")


def test_an_ensemble_s_members_are_stored_each(made, tmp_path):
    both = f"{made.root / 'teacher'},{made.root / 'teacher'}"
    two = [f"teacher.workdir={both}", "teacher.checkpoint=2,4"]
    flags = [*(f"--config.{text}" for text in two), "--dtype=float32", "--epochs=1"]
    assert made.cache(tmp_path / "cache", *flags) == 0
    assert np.load(tmp_path / "cache" / "00000" / "logits.npy").shape == (256, 2, 10)
    assert made.cache(tmp_path / "cache", *flags, "--verify") == 0
    experiment = build_experiment(
        made.config(*two, "total_steps=4", f"teacher.cache={tmp_path / 'cache'}")
    )
    teacher = experiment.teacher
    layout = experiment.cache.layout
    asked = Live(
        *(teacher.network, teacher.variables, experiment.train, experiment.augment),
        **{"seed": 1, "layout": layout, "batch_size": 32},
    )
    index, epoch = np.arange(20, dtype=np.int32), np.zeros(20, np.int32)
    wanted = asked.answers(index, epoch)
    found = experiment.cache.decode(experiment.cache.rows(index, epoch))
    np.testing.assert_allclose(found.logits, wanted["logits"], atol=1e-5)
    members = found.features["members"]
    np.testing.assert_allclose(members, wanted["members"], atol=1e-5)
    assert np.abs(members[:, 0] - members[:, 1]).max() > 1e-2


def test_the_largest_logits_alone(made, tmp_path, capsys):
    where = tmp_path / "cache"
    assert made.cache(where, "--top_k=3", "--epochs=2", "--dtype=float32") == 0
    line = printed(capsys)
    assert line["top_k"] == 3 and line["bytes"] == 2 * (256 * (12 + 6 + 4) + 3 * 128)
    assert made.cache(where, "--verify=512") == 0
    assert printed(capsys)["largest_difference"] < 1e-5
    ids = np.load(where / "00000" / "classes.npy")
    ids[3, 0] = (ids[3].max() + 1) % 10 if (ids[3].max() + 1) % 10 not in ids[3] else 0
    np.save(where / "00000" / "classes.npy", ids)
    fix_checksum(where / "00000", "classes.npy")
    assert made.cache(where, "--verify=512") == 4
    assert printed(capsys)["problems"] == 1


def test_the_config_s_own_length_is_cached():
    # 6 steps of 64 are 1.5 epochs of 256; the 3rd of 96 goes 32 samples beyond one.
    assert caches.epochs_of(6, 64, 256) == 2
    assert caches.epochs_of(3, 96, 256) == 2
    assert caches.epochs_of(4, 64, 256) == 1


def test_the_key_is_one_of_every_config(made):
    config = plain(made.config())
    assert config["teacher"]["cache"] == ""
    check_training(config)
    assert loop.Preempted.exit_code == 42 and trainer.train
