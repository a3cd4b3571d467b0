"""The ImageNet configs, built and run on a few small pictures instead of ImageNet.

Networks are built at their own size; where a step is taken, a small one stands in.
"""

import json
import pathlib

import jax
import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.data.images.crops import Geometry
from kdjax.data.load import load_split
from kdjax.experiment.build import build
from kdjax.experiment.influence import Influence
from kdjax.experiment.overrides import load_config, load_grid
from kdjax.experiment.stages import split_stages
from kdjax.methods import METHODS
from kdjax.runner import run
from kdjax.runner.sample_weights import SampleInfo
from kdjax.runner.trainer import Steps
from kdjax.selection.scores import validation_indices
from kdjax.sweeps.axes import read_axes
from kdjax.sweeps.trials import make_trials
from kdjax.training import sharding
from kdjax.training.state import initial_state
from tests.data.jpegs import pictures, prepare_jpegs

CONFIGS = pathlib.Path(__file__).parent.parent / "configs" / "imagenet"
FILES = sorted(p.name for p in CONFIGS.glob("*.py") if p.stem != "common")
ALONE = ("teacher.py", "baseline.py")
SINGLE = [name for name in FILES if name != "lr_ds.py"]
SMALL = (
    *("data.name=jpeg_set", "data.test=test", "data.flip=True"),
    *("data.mean=(0.4,0.5,0.5)", "data.std=(0.3,0.3,0.3)"),
    *("batch_size=8", "evaluation.batch_size=8", "evaluation.every_epochs=0"),
    *("total_steps=1", "tensorboard=False", "schedule.warmup_epochs=0"),
)


@pytest.fixture(scope="module")
def jpeg_dir(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("jpegs")
    rows = pictures(14)
    prepare_jpegs(data_dir, {"train": rows, "test": rows[:8]})
    return data_dir


def load(name, *overrides):
    return load_config(str(CONFIGS / name), list(overrides))


def small(name, jpeg_dir, *overrides, crops="{'size': 32, 'short_side': 36}"):
    where = f"data.data_dir={jpeg_dir}", f"data.crops={crops}"
    teacher_outputs = [] if name in ALONE else ["teacher.network=tests.networks:coarse"]
    return load(name, *SMALL, *where, *teacher_outputs, *overrides)


@pytest.mark.parametrize("name", SINGLE)
def test_a_config_builds_with_its_own_networks(name, jpeg_dir):
    experiment = build(small(name, jpeg_dir))
    assert experiment.train.image.shape == (14, 32, 32, 3)
    wanted = {"kl_versus_mse.py": "resnet50", "patient.py": "resnet50"}
    wanted |= {"teacher.py": "resnet34", "mobilenet_v1.py": "mobilenet_v1"}
    (row,) = experiment.identity["students"].values()
    assert row["model"]["name"] == wanted.get(name, "resnet18")
    assert (experiment.teacher is None) == (name in ALONE)


@pytest.mark.parametrize("name", ["lr_mse", "lr_ds"])
def test_revision_pulls_as_hard_as_with_100_classes(name):
    """lambda1 is 4 there, of a mean over the classes: 4 K / 100."""
    section = load(f"{name}.py").method.to_dict()
    assert section.pop("name") == name
    terms = {t.name: t for t in METHODS[name].build(num_classes=1000, **section).terms}
    assert terms["right_logits"].coefficient == 40.0


def step_of(experiment, tmp_path):
    """(students before and after the first step of a run, its metrics)."""
    mesh = sharding.make_mesh(jax.devices()[:2])
    variables = None
    if experiment.teacher:
        variables = sharding.place_replicated(experiment.teacher.variables, mesh)
    sample_info = SampleInfo(experiment, variables, mesh, tmp_path, 0)
    images = np.zeros((2, *experiment.train.image.shape[1:]), np.float32)

    def draw():
        return {n: initial_state(s, images) for n, s in experiment.students.items()}

    states = sharding.compile_init(draw, mesh)()
    before = jax.tree.map(np.array, states)
    steps = Steps(experiment, variables, mesh, sample_info)
    try:
        count, rows = steps.ready(0, 1)
        after, metrics = steps.run(states, 0, count, rows)
        return before, jax.tree.map(np.array, after), jax.device_get(metrics)
    finally:
        steps.close()


@pytest.mark.parametrize("name", SINGLE)
def test_a_config_takes_a_step(name, jpeg_dir, tmp_path):
    config = small(name, jpeg_dir, "model.name=tests.networks:coarse")
    before, after, metrics = step_of(build(config), tmp_path)
    for student in metrics:
        assert np.isfinite(metrics[student]["loss"]) and not metrics[student]["skipped"]
        kernels = (jax.tree.leaves(x[student].params) for x in (before, after))
        # A patient teacher's rate climbs for five epochs: the first step is tiny.
        assert any((a != b).any() for a, b in zip(*kernels, strict=True))


def test_the_students_of_kl_versus_mse_take_a_step_in_one_program(jpeg_dir, tmp_path):
    name = "kl_versus_mse.py"
    config = small(name, jpeg_dir, "model.name=tests.networks:coarse")
    rows = make_trials(config, read_axes(load_grid(str(CONFIGS / name)), []))
    methods = {row.name.rpartition("-")[2]: row.config.method for row in rows}
    assert list(methods) == ["ce", "kd_tau1", "kd_tau20", "mse"]
    students = {n: {"method": m.to_dict()} for n, m in methods.items()}
    with config.unlocked():
        config.students = students
    _, _, metrics = step_of(build(config), tmp_path)
    assert set(metrics) == set(methods)
    assert all(np.isfinite(row["loss"]) for row in metrics.values())


@pytest.mark.parametrize("most", [1 << 30, 30_000], ids=["held", "decoded"])
def test_data_selection_runs_to_its_end(jpeg_dir, tmp_path, monkeypatch, most):
    """Also where the training images, 43,008 bytes, are too much to be held."""
    monkeypatch.setattr("kdjax.training.evaluator.MOST_HELD", most)
    config = small("lr_ds.py", jpeg_dir, "model.name=tests.networks:coarse")
    assert list(split_stages(config, tmp_path)) == [
        "select_training",
        "reference",
        "student",
    ]
    run.run(config, tmp_path)
    for part in ("reference", "student"):
        assert (tmp_path / part / "summary.json").exists()
    (sample_info,) = (tmp_path / "student").glob("*/lr_ds/*.npz")
    with np.load(sample_info) as saved:
        assert saved["selection"].sum() == 11  # 80 % of 14, rounded
    with np.load(tmp_path / "select_training" / "selection.npz") as saved:
        unseen = np.flatnonzero(~saved["keep"])
    crops = Geometry(size=32, short_side=36)
    labels = load_split("jpeg_set", "train", data_dir=jpeg_dir, crops=crops).label
    drawn = validation_indices(labels, Influence.validation_fraction, seed=0)
    np.testing.assert_array_equal(unseen, drawn)  # by influence
    reference = json.loads((tmp_path / "reference" / "summary.json").read_text())
    kept = reference["identity"]["data"]["train"]["kept"]
    assert kept == len(labels) - len(unseen)
    summary = json.loads((tmp_path / "student" / "summary.json").read_text())
    assert list(summary["students"]) == ["lr_ds"]


def test_the_protocol_is_torchvisions():
    """Its reference script: SGD 0.1, 0.9, 1e-4 on everything, batches of 256."""
    config = load("kd.py")
    assert config.optimizer.to_dict() == {
        "name": "sgd",
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 1e-4,
        "decay_norm_and_bias": True,
        "clip_norm": 0.0,
    }
    assert (config.batch_size, config.total_epochs) == (256, 100.0)
    assert config.schedule.milestones == (30.0, 60.0, 90.0)
    assert (config.schedule.learning_rate, config.schedule.factor) == (0.1, 0.1)


def test_the_learning_rate_follows_the_batch_unless_it_is_given():
    for batch, rate in ((512, 0.2), (1024, 0.4), (4096, 1.6)):
        config = load("kd.py", f"batch_size={batch}")
        assert config.schedule.learning_rate == pytest.approx(rate)
    given = load("kd.py", "schedule.learning_rate=0.05", "batch_size=512")
    assert (given.schedule.learning_rate, given.batch_size) == (0.05, 512)
    staged = split_stages(load("lr_ds.py", "batch_size=512"), pathlib.Path("/runs"))
    for part in staged.values():
        assert part["schedule"]["learning_rate"] == pytest.approx(0.2)


def test_a_patient_teacher_is_as_patient_as_it_is_told():
    config = load("patient.py")
    assert config.total_epochs == 300.0 and config.data.mixup == 1.0
    assert config.method.alpha == 1.0 and config.method.temperature == 1.0
    assert config.schedule.name == "cosine" and config.batch_size == 4096
    assert load("patient.py:1200").total_epochs == 1200.0
    with pytest.raises(InputError, match="could not convert string to float: 'long'"):
        load("patient.py:long")
    with pytest.raises(InputError, match="config.data.mixup is 1, and a cache has"):
        teacher_outputs = "teacher.workdir=/t", "teacher.cache=/c"
        run.check(load("patient.py", *teacher_outputs), pathlib.Path("/runs"))
