"""ONNX graphs against the NumPy reference, and our networks, by ONNX Runtime."""

import json
import sys

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax.cli import export
from kdjax.contracts import InputError
from kdjax.models import create
from kdjax.runner import run
from kdjax.weights import onnx_graphs, onnx_networks, onnx_programs
from tests.experiment import configs
from tests.networks import coarse
from tests.weights import numpy_mobile, numpy_resnet
from tests.weights.conftest import MEAN, STD

PIXELS = np.random.default_rng(4).integers(0, 256, (5, 28, 28, 1), np.uint8)
IMAGES = ((PIXELS / 255 - MEAN[0]) / STD[0]).astype(np.float32)


def close(logits, expected):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(logits, expected, atol=3e-5 * scale)


@pytest.mark.parity
@pytest.mark.parametrize("pixels", [False, True])
def test_the_graph_is_the_network(
    teacher, tensors, tmp_path, as_they_are, capsys, pixels
):
    import onnx
    import onnxruntime

    output = tmp_path / "student.onnx"
    flags = ["--format=onnx", f"--output={output}"] + ["--pixels"] * pixels
    assert export.main([str(teacher), *flags]) == 0
    assert json.loads(capsys.readouterr().out)["largest_difference"] < 1e-4
    metadata = {p.key: json.loads(p.value) for p in onnx.load(output).metadata_props}
    wanted = {"mean": list(MEAN), "std": list(STD), "image_shape": [28, 28, 1]}
    assert metadata == wanted | {"classes": 10}
    session = onnxruntime.InferenceSession(
        str(output), providers=["CPUExecutionProvider"]
    )
    expected = numpy_resnet.logits(tensors, IMAGES)
    for rows in (5, 2):
        given = {"images": (PIXELS if pixels else IMAGES)[:rows]}
        close(session.run(None, given)[0], expected[:rows])


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "side"),
    (
        *(("resnet18", 64), ("resnet50", 64), ("resnet50_cifar", 12)),
        *(("wrn_16_2", 12), ("wrn_40_1", 12), ("resnet8x4", 12)),
        *(("mobilenet_v1", 64), ("mobilenet_v1_relu6", 64), ("mobilenet_v2", 64)),
    ),
)
def test_every_family_is_ours(tmp_path, name, side):
    network = create(name, num_classes=7)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, side, side, 3)).astype(np.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), images)
    params, stats = jax.tree.map(
        lambda leaf: numpy_mobile.fill(rng, leaf.shape), shapes
    )
    expected = jax.jit(network.evaluate)(params, stats, images).logits
    file = tmp_path / "x.onnx"
    build = onnx_networks.builder(name, (params, stats))
    file.write_bytes(onnx_graphs.build((params, stats), images.shape[1:], build))
    close(onnx_graphs.call(file, images), np.asarray(expected))


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "side"),
    (
        *(("shufflenet_v1", 32), ("shufflenet_v2", 32), ("vgg8", 32)),
        *(("mobilenet_v2_half", 32), ("resnet18d", 72), ("resnext50_32x4d", 64)),
        *(("tests.networks:assorted", 16), ("tests.networks:staged", 16)),
    ),
)
def test_any_other_network_is_ours(tmp_path, name, side):
    pytest.importorskip("jax2onnx")
    network = create(name, num_classes=7)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(3, side, side, 3)).astype(np.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), images)
    variables = jax.tree.map(lambda leaf: numpy_mobile.fill(rng, leaf.shape), shapes)
    if ":" not in name:
        assert onnx_networks.builder(name, variables) is None
    file = tmp_path / "x.onnx"
    file.write_bytes(onnx_programs.build(network, variables, images.shape[1:]))
    expected = jax.jit(network.evaluate)(*variables, images).logits
    for rows in (3, 1):
        close(onnx_graphs.call(file, images[:rows]), np.asarray(expected)[:rows])


@pytest.mark.parity
def test_a_network_of_ones_own_is_exported(
    data_dir, tmp_path, as_they_are, own_networks, capsys
):
    pytest.importorskip("jax2onnx")
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:tiny"})
    config.total_steps = 1
    run.run(config, tmp_path / "run")
    output = tmp_path / "x.onnx"
    flags = ["--format=onnx", "--pixels", f"--output={output}"]
    assert export.main([str(tmp_path / "run"), *flags]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["input"] == "uint8" and line["largest_difference"] < 1e-4


def test_a_network_of_one_batch_size_is_refused():
    pytest.importorskip("jax2onnx")
    network = coarse(3)
    variables = network.init(jax.random.key(0), np.zeros((1, 8, 8, 1), np.float32))
    with pytest.raises(
        InputError, match="written as ONNX.*not on len.*or --format=saf"
    ):
        onnx_programs.build(network, variables, (8, 8, 1))


def test_without_the_packages_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match="pip install onnx onnxruntime"):
        onnx_graphs.build(({}, {}), (8, 8, 3), None)
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(InputError, match="pip install --no-deps jax2onnx"):
        onnx_programs.build(coarse(3), ({}, {}), (8, 8, 1))
