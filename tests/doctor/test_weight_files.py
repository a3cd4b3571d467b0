"""Sound files of weights, as trainers leave them: no problem, and which network."""

import json

import numpy as np
import pytest

from kdjax.doctor.findings import NOTE, OK, PROBLEM
from kdjax.weights import safetensors
from tests.doctor.planting import look, texts
from tests.weights import numpy_resnet

RESNET8 = numpy_resnet.draw(11, head="fc", projection="downsample")


def below(prefix, tensors=RESNET8):
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize("prefix", ("", "module.", "model._orig_mod."))
def test_a_network_is_found_below_what_a_trainer_wrote(tmp_path, prefix):
    pytest.importorskip("safetensors")
    path = tmp_path / "weights.safetensors"
    safetensors.write(path, below(prefix), {})
    findings = look(path)
    assert not texts(findings, PROBLEM) and not texts(findings, NOTE)
    lines = texts(findings, OK)
    assert any("has the tensors of resnet8, with 10 classes" in one for one in lines)


def test_several_networks_of_a_file_are_all_named(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "weights.safetensors"
    other = numpy_resnet.draw(1, head="fc", projection="downsample", classes=7)
    tensors = below("student.") | below("teacher.", other) | below("backup.")
    tensors |= {"lost.fc.weight": np.zeros((3, 2), np.float32)}
    safetensors.write(path, tensors, {})
    lines = texts(look(path), OK)
    for classes in (7, 10):
        text = f"has the tensors of resnet8, with {classes} classes"
        assert sum(text in line for line in lines) == 1


def test_a_network_that_is_not_known_is_a_note(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "weights.safetensors"
    safetensors.write(path, {"a.weight": np.zeros((3, 2), np.float32)}, {})
    findings = look(path)
    assert not texts(findings, PROBLEM)
    (line,) = texts(findings, NOTE)
    assert "has the tensors of no network here -> Give `import`" in line


def test_an_export_of_a_network_of_ones_own_is_known(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "small.safetensors"
    metadata = {"kdjax": json.dumps({"model": {"name": "my_nets:small"}})}
    safetensors.write(path, {"params.Dense_0.bias": np.zeros(3, np.float32)}, metadata)
    findings = look(path)
    assert not texts(findings, NOTE) and not texts(findings, PROBLEM)
    assert "has the tensors of my_nets:small, unchanged" in texts(findings, OK)[-1]


@pytest.mark.parametrize("name", ("a.pth.tar", "a.pt.tar", "a.bin", "a.safetensors"))
def test_all_names_that_import_reads_are_weights(name, tmp_path):
    (tmp_path / name).write_bytes(b"<!DOCTYPE html>")
    (line,) = texts(look(tmp_path / name), PROBLEM)
    assert "it is a web page" in line and "-> Fetch or export the file" in line


@pytest.mark.parity
def test_each_set_of_weights_of_a_checkpoint_is_looked_at(tmp_path):
    import torch

    model = {name: torch.from_numpy(np.array(x)) for name, x in RESNET8.items()}
    average = {f"module.{name}": tensor for name, tensor in model.items()}
    bad = average | {"module.fc.bias": torch.full((10,), float("nan"))}
    for second, count in ((average, 0), (bad, 1)):
        path = tmp_path / "checkpoint.pth"
        torch.save({"model": model, "model_ema": second, "epoch": 3}, path)
        findings = look(path)
        lines = texts(findings, PROBLEM)
        assert len(lines) == count and all("pth model_ema: 1 tens" in x for x in lines)
        assert sum("has the tensors of resnet8" in x for x in texts(findings, OK)) == 2


@pytest.mark.parity
def test_tensors_without_values_of_their_own_are_left_out(tmp_path):
    import torch

    model = {name: torch.from_numpy(np.array(x)) for name, x in RESNET8.items()}
    odd = {
        "a.meta": torch.zeros(3, device="meta"),
        "a.large": torch.zeros(1).expand(1 << 20, 1 << 20),
        "a.sparse": torch.zeros(2, 2).to_sparse(),
    }
    path = tmp_path / "weights.pth"
    torch.save(odd | {f"net.{name}": tensor for name, tensor in model.items()}, path)
    findings = look(path)
    assert not texts(findings, PROBLEM)
    (line,) = texts(findings, NOTE)
    assert "3 tensors were not looked at; first a.meta, which has a shape and" in line
    assert any("has the tensors of resnet8" in line for line in texts(findings, OK))
