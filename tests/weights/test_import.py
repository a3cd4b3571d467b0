"""Weights from elsewhere teach: through the command, a checkpoint and a run."""

import hashlib
import json

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.cli import evaluate, import_
from kdjax.contracts import InputError
from kdjax.data.load import load_split
from kdjax.experiment.initial import load_initial
from kdjax.experiment.teachers import load_teacher
from kdjax.reporting import results
from kdjax.runner import run
from kdjax.weights import safetensors
from tests.experiment import configs
from tests.weights import numpy_resnet
from tests.weights.conftest import MEAN, STD

DATA = {
    "classes": 10,
    "image_shape": [28, 28, 1],
    "normalisation": {"mean": list(MEAN), "std": list(STD)},
}


def section(workdir):
    named = {"workdir": str(workdir), "student": "", "checkpoint": "latest"}
    return named | {"network": ""}


def test_the_teacher_that_a_config_names_answers_as_the_file(teacher, tensors, file):
    loaded = load_teacher(section(teacher), DATA)
    images = np.random.default_rng(2).normal(size=(2, 28, 28, 1)).astype(np.float32)
    expected = numpy_resnet.logits(tensors, images)
    answer = jax.jit(loaded.network.evaluate)(*loaded.variables, images).logits
    np.testing.assert_allclose(answer, expected, atol=3e-5 * np.abs(expected).max())
    assert loaded.identity["model"] == {"name": "resnet8"}
    record = json.loads((teacher / "imported.json").read_text())["imported"]
    assert record["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert record["layout"] == "torchvision without projections"
    assert record["digest"] == loaded.identity["digest"]


def test_a_teacher_may_compute_in_bfloat16(flags, tensors, tmp_path, as_they_are):
    assert import_.main([*flags, "--dtype=bfloat16", f"--workdir={tmp_path}"]) == 0
    loaded = load_teacher(section(tmp_path), DATA)
    assert loaded.identity["model"] == {"name": "resnet8", "dtype": "bfloat16"}
    assert {x.dtype.name for x in jax.tree.leaves(loaded.variables)} == {"float32"}
    images = np.random.default_rng(2).normal(size=(2, 28, 28, 1)).astype(np.float32)
    expected = numpy_resnet.logits(tensors, images)
    answer = jax.jit(loaded.network.evaluate)(*loaded.variables, images).logits
    apart = np.abs(answer - expected).max() / np.abs(expected).max()
    assert 1e-4 < apart < 5e-2  # 8 bits, some of them lost in each of 8 layers


@pytest.mark.parametrize(
    ("other", "message"),
    (
        ({"classes": 100}, "has 10 classes and the data set has 100"),
        ({"image_shape": [32, 32, 1]}, "image_shape"),
    ),
)
def test_it_teaches_only_what_it_was_trained_on(teacher, other, message):
    with pytest.raises(InputError, match=message):
        load_teacher(section(teacher), DATA | other)


def test_a_student_learns_from_it(teacher, data_dir, tmp_path, capsys):
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:coarse"})
    config.method = ConfigDict(configs.METHODS["kd"])
    config.teacher.workdir = str(teacher)
    config.data.mean, config.data.std = (0.1,), (0.3,)  # the student's own
    config.total_steps = 1
    run.run(config, tmp_path / "student")
    summary = json.loads((tmp_path / "student" / "summary.json").read_text())
    record = json.loads((teacher / "imported.json").read_text())["imported"]
    assert summary["identity"]["teacher"]["digest"] == record["digest"]
    assert np.isfinite(summary["students"]["kd"]["metrics"]["agreement"])
    assert "not finished" not in capsys.readouterr().err


OTHER = {"mean": [0.1], "std": [0.3]}


def test_a_teacher_sees_images_as_its_own_moments_make_them(teacher, tensors):
    """Of the same pixels, whatever the students' moments are."""
    loaded = load_teacher(section(teacher), DATA | {"normalisation": OTHER})
    pixels = np.random.default_rng(3).integers(0, 256, (2, 28, 28, 1)) / 255
    expected = numpy_resnet.logits(tensors, (pixels - MEAN[0]) / STD[0])
    given = ((pixels - OTHER["mean"][0]) / OTHER["std"][0]).astype(np.float32)
    answer = jax.jit(loaded.network.evaluate)(*loaded.variables, given).logits
    np.testing.assert_allclose(answer, expected, atol=3e-5 * np.abs(expected).max())
    assert loaded.identity["normalisation"] == DATA["normalisation"]


def test_weights_that_are_trained_further_need_their_own_moments(teacher):
    row = section(teacher) | {"parts": "weights"}
    assert load_initial(row, DATA).variables
    with pytest.raises(InputError, match="config.data.mean"):
        load_initial(row, DATA | {"normalisation": OTHER})


def test_the_moments_are_part_of_who_a_teacher_is(
    teacher, flags, tmp_path, as_they_are
):
    changed = [f for f in flags if "--mean" not in f] + ["--mean=0.5"]
    assert import_.main([*changed, f"--workdir={tmp_path / 'other'}"]) == 0
    paths = (teacher, tmp_path / "other")
    one, other = (load_teacher(section(path), DATA) for path in paths)
    jax.tree.map(np.testing.assert_array_equal, one.variables, other.variables)
    assert one.identity["digest"] != other.identity["digest"]
    pairs = (f"{a},{b}" for a, b in ((teacher, teacher), paths))
    same, mixed = (load_teacher(section(pair), DATA) for pair in pairs)
    assert same.identity["digest"] != mixed.identity["digest"]


def test_its_type_is_part_of_who_a_teacher_is(teacher, flags, tmp_path, as_they_are):
    """A cache of bfloat16 answers is none for float32; older digests stay."""
    half = tmp_path / "half"
    assert import_.main([*flags, "--dtype=bfloat16", f"--workdir={half}"]) == 0
    plain, other = (load_teacher(section(path), DATA) for path in (teacher, half))
    jax.tree.map(np.testing.assert_array_equal, plain.variables, other.variables)
    assert plain.identity["digest"] != other.identity["digest"]
    record = json.loads((half / "imported.json").read_text())["imported"]
    assert record["digest"] == other.identity["digest"]
    text = f'{checkpoints.digest(plain.variables)} {{"mean": [0.25], "std": [0.5]}}'
    assert plain.identity["digest"] == hashlib.sha256(text.encode()).hexdigest()
    small = DATA | {"image_shape": [14, 14, 1]}
    workdirs = [f"{teacher},{teacher}", f"{teacher},{half}", str(teacher), str(half)]
    sections = [section(path) | {"input_size": (28, 28)} for path in workdirs]
    loaded = {load_teacher(each, small).identity["digest"] for each in sections}
    loaded |= {
        load_teacher(section(path), DATA).identity["digest"] for path in workdirs
    }
    assert len(loaded) == 8


def test_a_second_import_changes_nothing_and_another_one_is_refused(
    teacher, flags, as_they_are, capsys
):
    before = (teacher / "imported.json").read_text()
    assert import_.main([*flags, f"--workdir={teacher}"]) == 0
    assert "has these weights already" in capsys.readouterr().err
    with pytest.raises(InputError, match="or the same with other flags") as record:
        import_.main([*flags, "--std=0.25", f"--workdir={teacher}"])
    assert "flags: --std was [0.5] and is [0.25]; FILE's digest was" in str(
        record.value
    )
    with pytest.raises(InputError, match="flags: --dtype was float32 and is bfloat16"):
        import_.main([*flags, "--dtype=bfloat16", f"--workdir={teacher}"])
    with pytest.raises(InputError, match="--student was resnet8 and is other"):
        import_.main([*flags, "--student=other", f"--workdir={teacher}"])
    assert (teacher / "imported.json").read_text() == before


def test_a_run_is_not_overwritten(flags, tmp_path, as_they_are):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="holds a run; expected a directory"):
        import_.main([*flags, f"--workdir={tmp_path}"])


def test_it_is_scored_on_the_set_that_evaluate_names(
    teacher, tensors, data_dir, as_they_are, capsys
):
    flags = [f"--workdir={teacher}", f"--data_dir={data_dir}", "--split=test[:64]"]
    with pytest.raises(InputError, match="expected --data=NAME, the set to score"):
        evaluate.main(flags)
    assert evaluate.main([*flags, "--data=fashion_mnist_subset"]) == 0
    row = json.loads(capsys.readouterr().out)["students"]["resnet8"]
    split = load_split("fashion_mnist_subset", "test[:64]", data_dir=data_dir)
    images = (split.image / 255 - MEAN[0]) / STD[0]
    predicted = numpy_resnet.logits(tensors, images).argmax(-1)
    assert row["count"] == 64
    assert row["top1"] == pytest.approx(100 * (predicted == split.label).mean())


def test_a_report_says_what_they_are(teacher):
    with pytest.raises(InputError, match="imported weights.*kdjax evaluate --workdir"):
        results.read_results(teacher)


@pytest.mark.parametrize(
    ("called", "metadata"),
    (("resnetaa50_a1h-4cf422b3", {}), ("model", {"architecture": "resnetblur50"})),
)
def test_networks_with_other_pools_and_the_same_tensors_are_refused(
    file, flags, tmp_path, as_they_are, called, metadata
):
    other = tmp_path / f"{called}.safetensors"
    safetensors.write(other, safetensors.read(file), {"format": "pt"} | metadata)
    with pytest.raises(InputError, match="is of resnet(aa|blur)50.*kdjax evaluate"):
        import_.main([str(other), *flags[1:], f"--workdir={tmp_path / 'w'}"])
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("flag", "message"),
    (
        ("--model=resnet9", "--model: .*there is no model 'resnet9'"),
        ("--model=resnet14", "missing: .*layer1.1.conv1.weight.*Is --model"),
        ("--key=model", "--key is 'model', and .* holds one set of weights"),
        ("--dtype=int8", "--model: .*int8"),
        ("--image_shape=28,28", "expected HEIGHT,WIDTH,CHANNELS"),
        ("--image_shape=28,x,1", "expected numbers with commas"),
        ("--image_shape=2,2,1", "--image_shape: it cannot take"),
        ("--image_shape=28,28,3", r"--mean has 1 number\(s\); expected 3"),
        ("--mean=0.5,0.5,0.5", "--mean, --std: Augment: mean has 3 channels"),
        ("--std=0", "--mean, --std: Augment: std is 0"),
    ),
)
def test_flags_that_cannot_be(flags, tmp_path, as_they_are, flag, message):
    with pytest.raises(InputError, match=message):
        import_.main([*flags, flag, f"--workdir={tmp_path / 'w'}"])
    assert not (tmp_path / "w").exists()
