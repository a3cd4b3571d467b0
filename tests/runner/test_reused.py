"""What a method leaves in the student: SimKD's classifier, and no connector."""

import importlib.util
import json

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.cli import export
from kdjax.contracts import InputError
from kdjax.experiment.build import build
from kdjax.experiment.pretrained import load_trained, student_network
from kdjax.runner import evaluate, run
from kdjax.training.loop import Preempted
from kdjax.weights import safetensors, trees
from tests.experiment import configs

pytestmark = pytest.mark.usefixtures("own_networks")

STAGED = "tests.networks:staged"


def config_of(data_dir, method: dict, teacher: str = "", width: int = 3) -> ConfigDict:
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": STAGED, "width": width})
    config.method = ConfigDict(method)
    config.teacher.workdir = teacher
    config.total_steps = 3
    return config


@pytest.fixture(scope="module")
def teacher(data_dir, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("teacher") / "teacher"
    run.run(config_of(data_dir, {"name": "ce"}, width=4), workdir)
    return str(workdir)


@pytest.fixture(scope="module")
def student(data_dir, teacher, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("student") / "simkd"
    run.run(config_of(data_dir, {"name": "simkd"}, teacher), workdir)
    return workdir


def loaded(workdir):
    meta, _ = checkpoints.read_meta(workdir / "checkpoints")
    section = {"workdir": str(workdir), "student": "", "checkpoint": "latest"}
    return load_trained("student", section, meta["data"]), meta


def last_scores(workdir) -> dict:
    return loaded(workdir)[1]["metrics"]


def test_the_classifier_is_the_teachers_and_stays(student, teacher, tmp_path):
    trained, meta = loaded(student)
    record = {"feature": "stage3_preact", "channels": 16, "factor": 2, "sides": None}
    section = meta["students"]["simkd"]
    assert section["reused_classifier"] == record | {"bias": True}
    theirs, _ = loaded(type(student)(teacher))
    kept = trained.variables[1]["classifier"]
    jax.tree.map(np.testing.assert_array_equal, kept, theirs.variables[0]["head"])


def test_evaluation_scores_as_training_did(student):
    scores = evaluate.evaluate(student, evaluate.SplitRequest())["students"]["simkd"]
    for key, value in last_scores(student)["simkd"].items():
        assert scores[key] == pytest.approx(value, rel=1e-5), key


def test_weights_leave_with_both_parts(student, tmp_path, as_they_are, capsys):
    output = tmp_path / "simkd.safetensors"
    flags = ["--format=safetensors", f"--output={output}"]
    assert export.main([str(student), *flags]) == 0
    assert json.loads(capsys.readouterr().out)["layout"] == "kdjax"
    names = safetensors.read(output)
    assert names["batch_stats.classifier.kernel"].shape == (16, 10)
    assert names["params.projector.conv1.kernel"].shape == (1, 1, 12, 8)
    record = json.loads(safetensors.read_metadata(output)["kdjax"])
    assert record["reused_classifier"]["channels"] == 16


def test_a_program_has_both_parts(student, tmp_path, as_they_are, capsys):
    pytest.importorskip("flatbuffers")
    output = tmp_path / "simkd.stablehlo"
    flags = ["--format=stablehlo", f"--output={output}"]
    assert export.main([str(student), *flags]) == 0
    assert json.loads(capsys.readouterr().out)["largest_difference"] < 1e-4
    program = jax.export.deserialize(bytearray(output.read_bytes()))
    trained, _ = loaded(student)
    images = np.random.default_rng(0).normal(size=(3, 28, 28, 1)).astype(np.float32)
    # Built from the identity alone, as --dtype does.
    network = student_network("student", trained.identity, 10)
    expected = network.evaluate(*trained.variables, images).logits
    np.testing.assert_allclose(program.call(images), expected, rtol=1e-3, atol=1e-5)


def test_onnx_is_written_by_jax2onnx(student, tmp_path, as_they_are, monkeypatch):
    """Our own writer has no classifier of a teacher; what is missing is said."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == "jax2onnx" else find(n)
    )
    flags = ["--format=onnx", f"--output={tmp_path / 'x.onnx'}"]
    with pytest.raises(InputError, match="needs the package jax2onnx for this network"):
        export.main([str(student), *flags])


def test_a_resumed_run_ends_the_same(student, data_dir, teacher, tmp_path):
    workdir = tmp_path / "simkd"
    with pytest.raises(Preempted):
        run.run(config_of(data_dir, {"name": "simkd"}, teacher), workdir, deadline=0.0)
    assert loaded(workdir)[1]["step"] < 3
    run.run(config_of(data_dir, {"name": "simkd"}, teacher), workdir)
    both = [loaded(path)[0].variables for path in (student, workdir)]
    jax.tree.map(np.testing.assert_array_equal, *both)


@pytest.mark.long
def test_it_teaches(student, data_dir, tmp_path):
    method = {"name": "kd", "alpha": 0.9, "temperature": 4.0}
    run.run(config_of(data_dir, method, str(student)), tmp_path / "kd")
    assert loaded(tmp_path / "kd")[1]["teacher"]["reused_classifier"]["channels"] == 16
    assert "agreement" in last_scores(tmp_path / "kd")["kd"]


@pytest.mark.parametrize("name", ["simkd", "cat_kd"])
def test_teachers_that_cannot_lend_a_classifier(name, student, teacher, data_dir):
    config = config_of(data_dir, {"name": name}, str(student))
    with pytest.raises(InputError, match=r"config\.method: .* has no classifier"):
        build(config)
    config.teacher.workdir = f"{teacher},{teacher}"
    with pytest.raises(InputError, match="config.teacher names 2 networks"):
        build(config)


def test_a_teacher_of_shapes_alone_is_enough_to_compile(data_dir):
    config = config_of(data_dir, {"name": "simkd"})
    model = {"name": STAGED, "width": 4}
    network = build(config, teacher_models=[model]).students["simkd"].network
    images = jax.ShapeDtypeStruct((2, 28, 28, 1), np.float32)
    _, batch_stats = jax.eval_shape(network.init, jax.random.key(0), images)
    assert batch_stats["classifier"]["kernel"].shape == (16, 10)


def test_the_wrong_map_is_named(teacher, data_dir):
    method = {"name": "simkd", "teacher_feature": "stage2"}
    with pytest.raises(InputError, match="takes 16 channels, and its stage2 is"):
        build(config_of(data_dir, method, teacher))


def test_connectors_stay_behind(data_dir, teacher, tmp_path, as_they_are, capsys):
    """ReviewKD's fusion trains with the student, and the student leaves without it."""
    method = {"name": "reviewkd", "warmup_epochs": 0.0}
    workdir, output = tmp_path / "reviewkd", tmp_path / "x.safetensors"
    run.run(config_of(data_dir, method, teacher), workdir)
    scores = evaluate.evaluate(workdir, evaluate.SplitRequest())["students"]["reviewkd"]
    for key, value in last_scores(workdir)["reviewkd"].items():
        assert scores[key] == pytest.approx(value, rel=1e-5), key
    capsys.readouterr()
    flags = ["--format=safetensors", f"--output={output}"]
    assert export.main([str(workdir), *flags]) == 0
    assert json.loads(capsys.readouterr().out)["largest_difference"] == 0
    trained, _ = loaded(workdir)
    expected = {".".join(path) for path in trees.flatten(trained.variables)}
    assert set(safetensors.read(output)) == expected
    assert not any("fusion" in name or "level" in name for name in expected)
