"""timm's own files become teachers, and what leaves loads into timm, strictly."""

import json

import jax
import numpy as np
import pytest

from kdjax.cli import export, import_
from kdjax.distributed import devices
from kdjax.experiment.teachers import load_teacher
from tests.parity.test_models import images, timm, torch_call

__all__ = ["timm"]  # a fixture

pytestmark = pytest.mark.parity

CLASSES = 11
NAMES = ("resnet18", "resnet50")


def published(timm, name, seed):
    from tests.parity.torch_models import randomise

    model = timm.create_model(name, pretrained=False, num_classes=CLASSES)
    return randomise(model, seed)


@pytest.fixture
def bring(monkeypatch, tmp_path):
    """Imports a model's file, written by PyTorch's own packages."""
    monkeypatch.setattr(devices, "configure", lambda *_: 8)

    def bring(model, name, suffix):
        import torch
        from safetensors.torch import save_file

        file, workdir = tmp_path / f"{name}{suffix}", tmp_path / f"run{suffix}"
        save = torch.save if suffix == ".pth" else save_file
        save(model.state_dict(), file)
        flags = ["--image_shape=64,64,3", "--mean=0.5,0.5,0.5", "--std=0.5,0.5,0.5"]
        flags += [f"--model={name}", f"--workdir={workdir}"]
        assert import_.main([str(file), *flags]) == 0
        return workdir

    return bring


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_an_imported_network_answers_as_timms(timm, bring, name, suffix):
    model = published(timm, name, seed=5)
    workdir = bring(model, name, suffix)
    data = json.loads((workdir / "imported.json").read_text())["data"]
    section = {"workdir": str(workdir), "student": "", "checkpoint": "latest"}
    teacher = load_teacher(section | {"network": ""}, data)
    expected = torch_call(model, images(64), training=False)
    logits = jax.jit(teacher.network.evaluate)(*teacher.variables, images(64)).logits
    scale = np.abs(expected).max()
    np.testing.assert_allclose(logits, expected, atol=1e-4 * scale)


@pytest.mark.parametrize("name", NAMES)
def test_what_leaves_loads_into_timm(timm, bring, tmp_path, name):
    from safetensors.torch import load_file

    model = published(timm, name, seed=6)
    output = tmp_path / "out.safetensors"
    flags = ["--format=safetensors", f"--output={output}"]
    assert export.main([str(bring(model, name, ".pth")), *flags]) == 0
    other = published(timm, name, seed=7)
    other.load_state_dict(load_file(output), strict=True)
    batch = images(64)
    expected = torch_call(model, batch, training=False)
    np.testing.assert_array_equal(torch_call(other, batch, training=False), expected)
