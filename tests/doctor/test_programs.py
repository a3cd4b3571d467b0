"""Programs that `export` writes: what they take and give, whether they are whole."""

import importlib.util

import jax
import numpy as np
import pytest

from kdjax.doctor.findings import NOTE, OK, PROBLEM
from kdjax.models import create
from kdjax.weights import onnx_graphs, onnx_networks, programs
from tests.doctor.planting import look, texts

SHAPE = (16, 16, 3)


@pytest.fixture(scope="module")
def resnet8():
    network = create("resnet8", num_classes=10)
    images = jax.ShapeDtypeStruct((1, *SHAPE), np.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), images)
    return network, jax.tree.map(lambda x: np.ones(x.shape, x.dtype), shapes)


def check(path, content, expected):
    path.write_bytes(content)
    findings = look(path)
    assert not texts(findings, PROBLEM) and not texts(findings, NOTE)
    assert expected in texts(findings, OK)[0]
    path.write_bytes(content[: len(content) // 2])
    (line,) = texts(look(path), PROBLEM)
    assert "-> Export it anew: python -m kdjax export WORKDIR --format=" in line


def test_a_stablehlo_program(tmp_path, resnet8):
    pytest.importorskip("flatbuffers")
    content = programs.build(*resnet8, SHAPE)
    expected = "for cpu, cuda, rocm, tpu: float32[batch,16,16,3] -> float32[batch,10]"
    check(tmp_path / "a.stablehlo", content, expected)


def test_an_onnx_graph(tmp_path, resnet8):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    nodes = onnx_networks.builder("resnet8", resnet8[1])
    moments = (0.5,) * 3, (0.2,) * 3
    content = onnx_graphs.build(resnet8[1], SHAPE, nodes, moments)
    expected = "opset 17: uint8[batch,16,16,3] -> float[batch,10]"
    check(tmp_path / "a.onnx", content, expected)


@pytest.mark.parametrize("name", ("a.onnx", "a.stablehlo"))
def test_without_the_package_it_says_which(tmp_path, monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / name).write_bytes(b"?")
    (line,) = texts(look(tmp_path / name), NOTE)
    assert "was not read" in line and "-> pip install" in line
