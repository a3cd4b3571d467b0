"""The benchmark on CIFAR-100: teachers' files as its code bases save them."""

import json
import re

import jax
import numpy as np
import pytest

from kdjax.cli import import_
from kdjax.contracts import InputError
from kdjax.distributed import devices
from kdjax.experiment.teachers import load_teacher
from kdjax.models import create
from kdjax.weights import trees
from tests.parity.test_models import images, torch_call

pytestmark = pytest.mark.parity

CLASSES = 100
MOMENTS = ["--mean=0.5071,0.4867,0.4408", "--std=0.2675,0.2565,0.2761"]
# Name -> parameters at 100 classes, as PyTorch counts them.
NETWORKS = {
    "vgg8": 3_965_028,
    "vgg13": 9_462_180,
    "mobilenet_v2_half": 812_836,
    "shufflenet_v1": 949_258,
    "shufflenet_v2": 1_355_528,
    "wrn_16_1": 180_916,
    "wrn_40_1": 569_780,
    "resnet8x4": 1_233_540,
    "resnet50_cifar": 23_705_252,
}
NEW = list(NETWORKS)[:5]


def published(name, classes=CLASSES):
    """(module, its state dict by the benchmark's names)."""
    from tests.parity import repdistiller_models as benchmark
    from tests.parity import torch_models as reference

    vgg = {"vgg8": (1, 1, 1, 1, 1), "vgg13": (2, 2, 2, 2, 2)}
    if name in vgg:
        model = benchmark.Vgg(vgg[name], classes)
    elif name == "mobilenet_v2_half":
        model = benchmark.MobileHalf(classes)
    elif name.startswith("shufflenet_v"):
        model = benchmark.Shuffle(int(name[-1]), classes)
    elif name.startswith("wrn"):
        model = reference.WideResNet(*map(int, name.split("_")[1:]), classes)
    elif name == "resnet8x4":
        model = reference.ResNet(32, (64, 128, 256), (1, 1, 1), classes, large=False)
    else:
        shape = (64, (64, 128, 256, 512), (3, 4, 6, 3), classes)
        model = reference.ResNet(*shape, large=False, bottleneck=True)
    model = reference.randomise(model, seed=3)
    state = {renamed(name, key): tensor for key, tensor in model.state_dict().items()}
    return model, state


def renamed(name, key):
    """A key of the modules of torch_models as the benchmark has it."""
    if name == "resnet50_cifar":
        return re.sub(r"^fc\b", "linear", key).replace("downsample", "shortcut")
    if not name.startswith("wrn"):
        return key
    key = re.sub(
        r"^stages\.(\d)\.", lambda match: f"block{int(match[1]) + 1}.layer.", key
    )
    key = key.replace("conv_shortcut", "convShortcut").replace("norm", "bn")
    plain = {"stem_conv.weight": "conv1.weight"}
    key = re.sub(r"^head\b", "fc", plain.get(key, key))
    return re.sub(r"^bn\.", "bn1.", key)


def read(name, state):
    network = create(name, num_classes=CLASSES)
    shapes = jax.eval_shape(network.init, jax.random.key(0), images(32))
    tensors = {key: tensor.numpy() for key, tensor in state.items()}
    return network, trees.to_variables("f", tensors, shapes).variables


def close(actual, expected):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual / scale, expected / scale, atol=1e-4)


@pytest.mark.parametrize(("name", "parameters"), NETWORKS.items())
def test_parameters_are_as_many(name, parameters):
    import torch

    with torch.device("meta"):
        model, _ = published(name)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("name", NEW)
def test_same_logits_and_features_in_evaluation(name):
    model, state = published(name)
    network, variables = read(name, state)
    expected = torch_call(model, images(32), training=False)
    outputs = jax.jit(network.evaluate)(*variables, images(32))
    close(outputs.logits, expected)
    assert set(outputs.features) == set(model.features)
    for key, tensor in model.features.items():
        reference = tensor.numpy()
        if reference.ndim == 4:
            reference = reference.transpose(0, 2, 3, 1)
        close(outputs.features[key], reference)


@pytest.mark.parametrize("name", NEW)
def test_same_logits_and_statistics_in_training(name):
    model, state = published(name)
    network, variables = read(name, state)
    expected = torch_call(model, images(32), training=True)
    outputs, stats = jax.jit(network.train)(*variables, images(32))
    close(outputs.logits, expected)
    _, (_, theirs) = read(name, model.float().state_dict())
    # Variances are unbiased there and biased here; means are the same.
    ours, theirs = (dict(jax.tree.leaves_with_path(tree)) for tree in (stats, theirs))
    for path, mean in ours.items():
        if path[-1].key == "mean":
            np.testing.assert_allclose(mean, theirs[path], atol=1e-4)


def saved(state, file):
    """As train_teacher.py saves it, every 40 epochs."""
    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.05)
    checkpoint = {"epoch": 240, "model": state, "accuracy": torch.tensor(74.6)}
    torch.save(checkpoint | {"optimizer": optimizer.state_dict()}, file)
    return file


def bring(file, name, workdir):
    flags = [*MOMENTS, "--image_shape=32,32,3", f"--model={name}"]
    return import_.main([str(file), *flags, f"--workdir={workdir}"])


@pytest.mark.parametrize("name", [*NEW, "wrn_40_1", "resnet8x4", "resnet50_cifar"])
def test_a_teachers_file_answers_as_its_network(name, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "configure", lambda *_: 8)
    model, state = published(name)
    file = saved(state, tmp_path / "ckpt_epoch_240.pth")
    workdir = tmp_path / "teacher"
    assert bring(file, name, workdir) == 0
    data = json.loads((workdir / "imported.json").read_text())["data"]
    assert data["classes"] == CLASSES
    section = {"workdir": str(workdir), "student": "", "checkpoint": "latest"}
    teacher = load_teacher(section | {"network": ""}, data)
    logits = jax.jit(teacher.network.evaluate)(*teacher.variables, images(32)).logits
    close(logits, torch_call(model, images(32), training=False))


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    (
        ("vgg8", "vgg13", "the tensors are not those of the network; missing: block1"),
        ("wrn_16_1", "wrn_40_1", "the tensors are not those of the network; missing"),
        ("mobilenet_v2_half", "mobilenet_v2", "the tensors are not those of the netw"),
    ),
)
def test_another_networks_file_is_refused(theirs, ours, message, tmp_path):
    _, state = published(theirs)
    file = saved(state, tmp_path / "ckpt_epoch_240.pth")
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(InputError, match=message),
    ):
        patch.setattr(devices, "configure", lambda *_: 8)
        bring(file, ours, tmp_path / "w")
    assert not (tmp_path / "w").exists()
