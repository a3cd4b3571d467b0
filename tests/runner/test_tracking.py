"""A whole run: rates and temperatures among its rows, and images at its end."""

import json
import sys

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.analysis.disagreement import most_disagreed
from kdjax.contracts import InputError
from kdjax.data.load import load_split
from kdjax.experiment.build import build
from kdjax.experiment.builders import allow_code
from kdjax.reporting.reporter import read_rows
from kdjax.runner import tracking, trainer
from kdjax.runner import workdir as workdirs
from tests.experiment import configs
from tests.networks import coarse

pytestmark = [
    pytest.mark.usefixtures("own_networks"),
    pytest.mark.filterwarnings("default"),  # of MLflow's
]
METHODS = {
    "kd": configs.METHODS["kd"],
    "dtd": {"name": "dtd_flsw", "base": 4.0, "spread": 1.0},
}


def config_of(data_dir) -> ConfigDict:
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    config.teacher.network = "tests.networks:coarse"
    config.students = ConfigDict({n: {"method": m} for n, m in METHODS.items()})
    config.total_steps, config.log_every_steps = 2, 2
    config.tensorboard, config.trackers = True, ("mlflow",)
    config.evaluation.images = 5
    return config


@pytest.fixture(scope="module")
def workdir(data_dir, tmp_path_factory):
    pytest.importorskip("mlflow")
    root = tmp_path_factory.mktemp("tracked")
    config = config_of(data_dir)
    config.seed = 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"file:{root}/store")
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        with allow_code("tests.networks:coarse"), workdirs.locked(root / "run"):
            trainer.train(build(config), root / "run")
        yield root / "run"


def test_rows_have_rates_and_temperatures(workdir):
    row = next(r for r in read_rows(workdir / "metrics.jsonl") if r["step"] == 2)
    rate = 0.1 * 0.5 * (1 + np.cos(np.pi / 2))  # a cosine over two steps
    np.testing.assert_allclose(row["train/learning_rate"], rate, rtol=1e-6)
    low, mean, high = (
        row[f"train/dtd/temperature/{n}"] for n in ("min", "mean", "max")
    )
    assert 1 <= low < mean < high
    np.testing.assert_allclose(mean, 4.0, rtol=1e-4)  # nothing is clipped
    assert row["train/dtd/temperature/floored"] == 0
    assert not any(key.startswith("train/kd/temperature") for key in row)


def test_the_tracker_knows_what_was_run(workdir):
    from mlflow import MlflowClient

    own = json.loads((workdir / "trackers" / "mlflow.json").read_text())["id"]
    run = MlflowClient().get_run(own)
    assert run.info.run_name == "run" and run.info.status == "FINISHED"
    assert run.data.params["students.dtd.method.spread"] == "1.0"
    assert run.data.tags["methods"] == "dtd_flsw, kd"
    assert run.data.tags["data"] == "fashion_mnist_subset"
    rows = read_rows(workdir / "metrics.jsonl")
    top1 = rows[-1]["eval/dtd/top1"]
    assert run.data.metrics["eval.dtd.top1"] == top1
    assert run.data.metrics["summary.dtd.top1"] == top1


def test_images_are_those_of_most_disagreement(workdir, data_dir, monkeypatch):
    """By the networks themselves, one image at a time."""
    shown = {}

    class Reporter:
        shows_images = True

        def image(self, step, name, png):
            shown[name] = step, png

    given = []
    monkeypatch.setattr(
        tracking, "image_grid", lambda *pair: given.append(pair) or b"png"
    )
    experiment = build(config_of(data_dir))
    mesh = trainer.sharding.make_mesh()
    variables = trainer.sharding.place_replicated(experiment.teacher.variables, mesh)
    evaluate = tracking.Evaluation(experiment, variables, mesh)
    states, _ = trainer.begin(
        experiment,
        trainer.Checkpointer(workdir / "checkpoints", ("kd", "dtd"), {}),
        mesh,
    )
    tracking.disagreement(experiment, evaluate, states, Reporter())
    assert shown == {f"eval/{n}/disagreement": (2, b"png") for n in METHODS}
    split = load_split("fashion_mnist_subset", "test[:100]", data_dir=data_dir)
    network, normalise = coarse(10), experiment.augment.evaluate
    logits = {}
    pairs = {
        n: checkpoints.read_variables(workdir / "checkpoints", 2, n) for n in METHODS
    }
    for name, pair in (pairs | {"teacher": experiment.teacher.variables}).items():
        images = normalise(split.image)
        logits[name] = np.asarray(network.evaluate(*pair, images).logits)
    names = [key.split("/")[1] for key in shown]
    for name, (images, captions) in zip(names, given, strict=True):
        indices, scores = most_disagreed(logits[name], logits["teacher"], 5)
        np.testing.assert_array_equal(images, split.image[indices])
        label, teacher, student, score = captions[0].split("\n")
        first = indices[0]
        assert label == f"label {split.class_names[split.label[first]]}"
        p = jax.nn.softmax(logits["teacher"][first])
        likeliest = split.class_names[int(p.argmax())]
        assert teacher == f"teacher {likeliest} {100 * float(p.max()):.0f} %"
        assert student.startswith("student ") and score == f"JS {scores[0]:.3f}"


def test_images_reach_tensorboard_and_the_tracker(workdir):
    from tensorboardX.proto import event_pb2

    stored = sorted((workdir.parent / "store").rglob("step-2.png"))
    assert [path.parent.name for path in stored] == ["disagreement"] * 2
    (file,) = (workdir / "tensorboard").iterdir()
    data, place, images = file.read_bytes(), 0, {}
    while place < len(data):
        size = int.from_bytes(data[place : place + 8], "little")
        event = event_pb2.Event.FromString(data[place + 12 : place + 12 + size])
        place += 16 + size
        for value in event.summary.value:
            if value.HasField("image"):
                images[value.tag] = value.image.encoded_image_string
    assert sorted(images.values()) == sorted(path.read_bytes() for path in stored)
    assert images.keys() == {f"eval/{name}/disagreement" for name in METHODS}


def test_a_tracker_that_is_not_installed_ends_the_run_before_it_begins(
    data_dir, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "wandb", None)
    config = config_of(data_dir)
    config.trackers = ("wandb",)
    with pytest.raises(InputError, match="expected it: pip install wandb"):
        trainer.train(build(config), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    config.trackers = ("wandb", "mlfow")
    with pytest.raises(InputError, match="trackers is .* expected .* mean mlflow"):
        build(config)
