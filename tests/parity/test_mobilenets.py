"""timm's MobileNets: same weights, same images, logits and files."""

import json

import jax
import numpy as np
import pytest

from kdjax.cli import export, import_
from kdjax.contracts import InputError
from kdjax.distributed import devices
from kdjax.models import create
from kdjax.weights import trees
from tests.parity.test_models import images, timm, torch_call
from tests.parity.test_weights import CLASSES, bring, published

__all__ = ["timm", "bring"]  # fixtures

pytestmark = pytest.mark.parity

# timm's name and keywords -> ours.
NETWORKS = {
    "mobilenetv1_100": "mobilenet_v1_relu6",
    "mobilenetv2_100": "mobilenet_v2",
}


def stretched(model):
    """Scales at which activations pass 6."""
    import torch

    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.ndim == 1 and "bn" in name and name.endswith("weight"):
                tensor.abs_().add_(0.8)
    return model


def tensors_of(model):
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("theirs", NETWORKS)
@pytest.mark.parametrize("training", [False, True])
def test_same_logits_as_timm(timm, theirs, training):
    model, batch = stretched(published(timm, theirs, 5)), images(96 if training else 64)
    network = create(NETWORKS[theirs], num_classes=CLASSES)
    shapes = jax.eval_shape(network.init, jax.random.key(0), batch)
    read = trees.to_variables("timm", tensors_of(model), shapes)
    assert read.layout == "timm"
    expected = torch_call(model, batch, training)
    if training:
        logits = jax.jit(network.train)(*read.variables, batch)[0].logits
    else:
        logits = jax.jit(network.evaluate)(*read.variables, batch).logits
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("theirs", NETWORKS)
def test_what_leaves_loads_into_timm(timm, bring, tmp_path, capsys, theirs):
    from safetensors.torch import load_file

    model, name = published(timm, theirs, seed=6), NETWORKS[theirs]
    output = tmp_path / "out.safetensors"
    flags = ["--format=safetensors", "--names=timm", f"--output={output}"]
    assert export.main([str(bring(model, name, ".safetensors")), *flags]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["layout"] == "timm"
    other = published(timm, theirs, seed=7)
    other.load_state_dict(load_file(output), strict=True)
    batch = images(64)
    expected = torch_call(model, batch, training=False)
    np.testing.assert_array_equal(torch_call(other, batch, training=False), expected)


def test_a_relu_student_loads_into_timm_with_its_activation(timm, tmp_path):
    """As exported with --names=timm, which says so."""
    network = create("mobilenet_v1", num_classes=CLASSES)
    batch = images(64)
    drawn = stretched(published(timm, "mobilenetv1_100", seed=8))
    shapes = jax.eval_shape(network.init, jax.random.key(0), batch)
    variables = trees.to_variables("timm", tensors_of(drawn), shapes).variables
    expected = jax.jit(network.evaluate)(*variables, batch).logits
    model = timm.create_model(
        "mobilenetv1_100", act_layer="relu", num_classes=CLASSES, pretrained=False
    )
    model.load_state_dict(drawn.state_dict(), strict=True)
    logits = torch_call(model, batch, training=False)
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(logits).max())
    other = torch_call(drawn, batch, training=False)
    assert np.abs(other - logits).max() > 1e-2 * np.abs(logits).max()


@pytest.mark.parametrize(
    ("theirs", "name", "message"),
    (
        ("resnet50d", "resnet50", "conv1.0 is of a stem of three convolutions"),
        ("resnet50d", "resnet50", "--model=resnet50d and so on read"),
        ("resnet50d", "resnet50", "shortcuts that average before they project"),
        ("seresnet50", "resnet50", "of squeeze-and-excitation"),
        ("mobilenetv1_100h", "mobilenet_v1_relu6", "conv_head comes before the cla"),
        ("mobilenetv1_100", "mobilenet_v1", "expected --model=mobilenet_v1_relu6"),
    ),
)
def test_what_is_another_network_is_refused(
    timm, tmp_path, monkeypatch, theirs, name, message
):
    from safetensors.torch import save_file

    monkeypatch.setattr(devices, "configure", lambda *_: 8)
    file = tmp_path / "x.safetensors"
    save_file(published(timm, theirs, seed=5).state_dict(), file)
    moments = ["--mean=0.5,0.5,0.5", "--std=0.5,0.5,0.5", "--image_shape=64,64,3"]
    flags = [*moments, f"--model={name}", f"--workdir={tmp_path / 'w'}"]
    with pytest.raises(InputError, match=message):
        import_.main([str(file), *flags])
    assert not (tmp_path / "w").exists()
