"""timm's ResNeXt, wide ResNet and ResNet-D: same weights, same images, same logits."""

import json

import jax
import numpy as np
import pytest

from kdjax.experiment.teachers import load_teacher
from kdjax.models import create
from kdjax.weights import trees
from tests.parity.test_mobilenets import tensors_of
from tests.parity.test_models import images, timm, torch_call
from tests.parity.test_weights import CLASSES, bring, published

__all__ = ["timm", "bring"]  # fixtures

pytestmark = pytest.mark.parity

# Side of the images, whether it trains: of 72 the last stage halves 9 pixels, an odd
# border of the averaged shortcuts.
CASES = [
    *(("resnext50_32x4d", 64, False), ("wide_resnet50_2", 64, False)),
    *(("resnet50d", 72, False), ("resnet18d", 72, False)),
    *(("resnext50_32x4d", 128, True), ("resnet18d", 136, True)),
]


@pytest.mark.parametrize(("name", "side", "training"), CASES)
def test_same_logits_as_timm(timm, name, side, training):
    model, batch = published(timm, name, 5), images(side)
    network = create(name, num_classes=CLASSES)
    shapes = jax.eval_shape(network.init, jax.random.key(0), batch)
    read = trees.to_variables("timm", tensors_of(model), shapes)
    expected = torch_call(model, batch, training)
    if training:
        logits = jax.jit(network.train)(*read.variables, batch)[0].logits
    else:
        logits = jax.jit(network.evaluate)(*read.variables, batch).logits
    scale = np.abs(expected).max()
    assert scale > 0.1
    np.testing.assert_allclose(logits, expected, atol=1e-4 * scale)


@pytest.mark.parametrize("name", ["resnext50_32x4d", "resnet50d"])
def test_an_imported_file_is_a_teacher(timm, bring, name):
    model, batch = published(timm, name, seed=6), images(72)
    workdir = bring(model, name, ".safetensors")
    data = json.loads((workdir / "imported.json").read_text())["data"]
    section = {"workdir": str(workdir), "student": "", "checkpoint": "latest"}
    teacher = load_teacher(section | {"network": ""}, data)
    logits = jax.jit(teacher.network.evaluate)(*teacher.variables, batch).logits
    expected = torch_call(model, batch, training=False)
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
