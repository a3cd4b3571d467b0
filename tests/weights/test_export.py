"""What leaves gives the same logits, by a reference that knows neither us nor Flax."""

import json

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax.checkpoints import StorageError
from kdjax.cli import export, import_
from kdjax.contracts import InputError
from kdjax.data.load import load_split
from kdjax.distributed import devices
from kdjax.models import Network, create
from kdjax.runner import run
from kdjax.types import Outputs
from kdjax.weights import programs, safetensors, trees
from tests.experiment import configs
from tests.weights import numpy_resnet
from tests.weights.conftest import MEAN, STD

pytestmark = pytest.mark.usefixtures("own_networks")

PIXELS = np.random.default_rng(4).integers(0, 256, (5, 28, 28, 1), np.uint8)
IMAGES = ((PIXELS / 255 - MEAN[0]) / STD[0]).astype(np.float32)


@pytest.fixture(scope="module")
def expected(tensors):
    return numpy_resnet.logits(tensors, IMAGES)


def close(logits, expected):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(logits, expected, atol=3e-5 * scale)


def test_safetensors_are_the_network(teacher, expected, tmp_path, as_they_are, capsys):
    output = tmp_path / "new" / "student.safetensors"
    flags = ["--format=safetensors", f"--output={output}", "--student=resnet8"]
    assert export.main([str(teacher), *flags]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["layout"] == "torchvision" and line["bytes"] == output.stat().st_size
    images = {"mean": list(MEAN), "std": list(STD), "image_shape": [28, 28, 1]}
    assert line["images"] == images | {"classes": 10}
    tensors = safetensors.read(output)
    # The shortcuts without parameters leave as projections, which all loaders know.
    assert tensors["layer2.0.downsample.0.weight"].shape == (32, 16, 1, 1)
    close(numpy_resnet.logits(tensors, IMAGES), expected)
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.parametrize("pixels", [False, True])
def test_a_program_takes_any_batch(
    teacher, expected, tmp_path, as_they_are, capsys, pixels
):
    pytest.importorskip("flatbuffers")
    output = tmp_path / "student.stablehlo"
    flags = ["--format=stablehlo", f"--output={output}"] + ["--pixels"] * pixels
    assert export.main([str(teacher), *flags]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["largest_difference"] < 1e-4
    program = jax.export.deserialize(bytearray(output.read_bytes()))
    assert {"cpu", "cuda", "tpu"} <= set(program.platforms)
    for rows in (5, 2):
        given = (PIXELS if pixels else IMAGES)[:rows]
        close(program.call(given), expected[:rows])


def test_a_program_is_traced_for_any_batch_of_a_large_network():
    """Winograd's tiles depend on the batch; a symbolic one must not meet them."""
    pytest.importorskip("flatbuffers")
    network = create("wrn_16_4", num_classes=10)
    images = np.zeros((1, 32, 32, 3), np.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), images)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    program = jax.export.deserialize(programs.build(network, zeros, (32, 32, 3)))
    assert str(program.in_avals[0].shape) == "(batch, 32, 32, 3)"
    assert program.out_avals[0].shape[1:] == (10,)


@pytest.mark.parametrize("shape", [lambda images: (len(images), -1), lambda _: (-1, 7)])
def test_a_program_of_one_batch_size_is_refused(shape):
    """With the line of the network's own code; another error of it stays as it is."""
    pytest.importorskip("flatbuffers")

    def evaluate(params, stats, images):
        return Outputs(images.reshape(shape(images)), {})

    with pytest.raises(InputError, match="not on len.*or --format=saf") as error:
        programs.build(Network(None, None, evaluate), ({}, {}), (8, 8, 1))
    assert f"{__file__}:" in str(error.value) and "\n" not in str(error.value)
    network = Network(None, None, lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        programs.build(network, ({}, {}), (8, 8, 1))


@pytest.mark.parametrize("spoilt", [1e-2, np.nan])
def test_a_program_that_answers_otherwise_is_not_kept(
    teacher, tmp_path, as_they_are, monkeypatch, spoilt
):
    pytest.importorskip("flatbuffers")
    call = programs.call
    monkeypatch.setattr(programs, "call", lambda *args: call(*args) + spoilt)
    with pytest.raises(StorageError, match="its logits differ from the network's"):
        export.main([str(teacher), "--format=stablehlo", f"--output={tmp_path / 'x'}"])
    assert not list(tmp_path.iterdir())


def test_students_that_were_trained_leave_too(data_dir, tmp_path, as_they_are, capsys):
    """One of two is chosen by name; a network of one's own keeps its names."""
    config = configs.teacher(data_dir)
    models = {"a": "tests.networks:linear", "b": "tests.networks:coarse"}
    config.students = ConfigDict({n: {"model": {"name": m}} for n, m in models.items()})
    config.total_steps = 1
    run.run(config, tmp_path / "run")
    output = tmp_path / "b.safetensors"
    flags = [str(tmp_path / "run"), "--format=safetensors", f"--output={output}"]
    with pytest.raises(InputError, match="export.student is ''; that run trained a, b"):
        export.main(flags)
    capsys.readouterr()
    assert export.main([*flags, "--student=b"]) == 0
    assert json.loads(capsys.readouterr().out)["layout"] == "kdjax"
    # Every fourth of 28 x 28 pixels.
    assert safetensors.read(output)["params.Dense_0.kernel"].shape == (49, 10)
    record = json.loads(safetensors.read_metadata(output)["kdjax"])
    names = load_split(
        "fashion_mnist_subset", "test[:1]", data_dir=data_dir
    ).class_names
    assert record["class_names"] == list(names) and len(names) == 10
    assert record["mean"] == [0.2860] and record["std"] == [0.3530]


def test_half_of_a_file(teacher, expected, tmp_path, as_they_are, capsys):
    output = tmp_path / "x.safetensors"
    flags = ["--format=safetensors", "--dtype=float16", f"--output={output}"]
    assert export.main([str(teacher), *flags, "--names=timm"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["layout"] == "timm" and 0 < line["largest_difference"] < 1e-2
    tensors = safetensors.read(output)
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float16)}
    logits = numpy_resnet.logits(tensors, IMAGES)
    np.testing.assert_allclose(logits, expected, atol=1e-2 * np.abs(expected).max())


def test_our_own_names_come_back_through_import(teacher, tmp_path, as_they_are, capsys):
    output = tmp_path / "x.safetensors"
    flags = ["--format=safetensors", "--names=kdjax", f"--output={output}"]
    assert export.main([str(teacher), *flags]) == 0
    assert json.loads(capsys.readouterr().out)["layout"] == "kdjax"
    kernel = safetensors.read(output)["params.stage2_block1.conv_shortcut.kernel"]
    assert kernel.shape == (1, 1, 16, 32)


@pytest.fixture(scope="module")
def mobile(tmp_path_factory):
    """A run's MobileNetV1, which has ReLU, exported under timm's names."""
    pytest.importorskip("safetensors")
    root = tmp_path_factory.mktemp("mobile")
    network = create("mobilenet_v1", num_classes=4)
    images = np.zeros((1, 32, 32, 3), np.float32)
    variables = jax.jit(network.init)(jax.random.key(0), images)
    names, _ = trees.to_tensors(variables, "mdistiller")
    safetensors.write(root / "mdistiller.safetensors", names, {"format": "pt"})
    words = [str(root / "mdistiller.safetensors"), *MOBILE, f"--workdir={root / 'w'}"]
    output = root / "timm.safetensors"
    how = ["--format=safetensors", "--names=timm", f"--output={output}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "configure", lambda *_: 8)
        assert import_.main(words) == 0
        assert export.main([str(root / "w"), *how]) == 0
    return output


MOBILE = ["--model=mobilenet_v1", "--image_shape=32,32,3"]
MOBILE += ["--mean=0.485,0.456,0.406", "--std=0.229,0.224,0.225"]


def test_a_file_of_ours_keeps_its_activation(mobile, tmp_path, as_they_are):
    assert import_.main([str(mobile), *MOBILE, f"--workdir={tmp_path / 'w'}"]) == 0
    record = json.loads((tmp_path / "w" / "imported.json").read_text())
    assert record["students"]["mobilenet_v1"]["model"] == {"name": "mobilenet_v1"}
    # Without what it says of itself its names are timm's, whose network has ReLU6.
    plain = tmp_path / "plain.safetensors"
    safetensors.write(plain, safetensors.read(mobile), {"format": "pt"})
    with pytest.raises(InputError, match="expected --model=mobilenet_v1_relu6"):
        import_.main([str(plain), *MOBILE, f"--workdir={tmp_path / 'x'}"])


@pytest.mark.parametrize(
    ("flag", "message"),
    (
        ("--model=mobilenet_v1_relu6", "--model is mobilenet_v1_relu6 and there it is"),
        (
            "--mean=0.5,0.5,0.5",
            r"--mean is \[0.5, .* there it is \[0.485, 0.456, 0.406",
        ),
        ("--std=0.5,0.5,0.5", r"--std is .* and there it is \[0.229, 0.224, 0.225"),
        ("--image_shape=64,64,3", r"--image_shape is .64, 64, 3. and .* \[32, 32, 3"),
    ),
)
def test_a_file_of_ours_is_imported_as_what_it_says(
    mobile, tmp_path, as_they_are, flag, message
):
    with pytest.raises(InputError, match=message):
        import_.main([str(mobile), *MOBILE, flag, f"--workdir={tmp_path / 'w'}"])
    assert not (tmp_path / "w").exists()


def test_a_program_computes_in_the_named_type(
    teacher, expected, tmp_path, as_they_are, capsys
):
    pytest.importorskip("flatbuffers")
    output = tmp_path / "x.stablehlo"
    flags = ["--format=stablehlo", "--dtype=bfloat16", f"--output={output}"]
    assert export.main([str(teacher), *flags]) == 0
    assert json.loads(capsys.readouterr().out)["largest_difference"] < 5e-2
    program = jax.export.deserialize(bytearray(output.read_bytes()))
    assert "xbf16>" in program.mlir_module()
    logits = program.call(IMAGES)
    np.testing.assert_allclose(logits, expected, atol=5e-2 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("words", "message"),
    (
        (
            ["--format=safetensors", "--dtype=bfloat16"],
            "safetensors, one of float32, float16",
        ),
        (
            ["--format=stablehlo", "--dtype=float16"],
            "stablehlo, one of float32, bfloat16",
        ),
        (["--format=onnx", "--dtype=bfloat16"], "for --format=onnx, one of float32"),
        (["--format=stablehlo", "--names=timm"], "--names is of safetensors"),
        (["--format=safetensors", "--names=mdistiller"], "no names of mdistiller for"),
    ),
)
def test_what_a_format_does_not_have(teacher, tmp_path, as_they_are, words, message):
    with pytest.raises(InputError, match=message):
        export.main([str(teacher), *words, f"--output={tmp_path / 'x'}"])
    assert not list(tmp_path.iterdir())


def test_weights_take_no_pixels(tmp_path, as_they_are):
    flags = ["--format=safetensors", "--pixels", f"--output={tmp_path / 'x'}"]
    with pytest.raises(InputError, match="--pixels is of programs"):
        export.main([str(tmp_path), *flags])
