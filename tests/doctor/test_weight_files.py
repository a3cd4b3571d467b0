"""Sound files of weights, as trainers leave them: no problem, and which network."""

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
