"""Same weights, same images: kdjax against PyTorch, logits, features and statistics."""

import importlib.machinery
import re
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.models import create
from kdjax.weights import variants

pytestmark = pytest.mark.parity

CLASSES = 11


def to_flax(model):
    """torchvision's or the wide networks' state dict as (params, batch_stats)."""
    params, stats = {}, {}
    for name, tensor in model.state_dict().items():
        *path, leaf = rename(name).split(".")
        value = tensor.float().numpy()
        if leaf == "num_batches_tracked":
            continue
        if leaf.startswith("running_"):
            tree, leaf = stats, leaf.removeprefix("running_")
        else:
            tree = params
            if leaf == "weight" and value.ndim == 1:
                leaf = "scale"
            elif leaf == "weight":
                leaf = "kernel"  # OIHW -> HWIO, OI -> IO
                value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
        for part in path:
            tree = tree.setdefault(part, {})
        tree[leaf] = jnp.asarray(value)
    return params, stats


def rename(name):
    first, *rest = name.split(".")
    if first == "stages":
        return ".".join([f"stage{int(rest[0]) + 1}_block{int(rest[1]) + 1}", *rest[2:]])
    if first.startswith("layer"):
        inner = ".".join(rest[1:]).replace("bn", "norm")
        inner = inner.replace("downsample.0", "conv_shortcut")
        inner = inner.replace("downsample.1", "norm_shortcut")
        return f"stage{first[5:]}_block{int(rest[0]) + 1}.{inner}"
    modules = {"conv1": "stem_conv", "bn1": "stem_norm", "fc": "head"}
    return ".".join([modules.get(first, first), *rest])


def torch_model(name):
    from tests.parity import torch_models as reference

    small = {"stem": 16, "widths": (16, 32, 64)}
    wide = {"stem": 32, "widths": (64, 128, 256)}
    large = {"stem": 64, "widths": (64, 128, 256, 512)}
    build = {
        "wrn_16_2": lambda: reference.WideResNet(16, 2, CLASSES),
        "wrn_40_1": lambda: reference.WideResNet(40, 1, CLASSES),
        "resnet20": lambda: reference.ResNet(
            **small, units=(3, 3, 3), classes=CLASSES, large=False
        ),
        "resnet8x4": lambda: reference.ResNet(
            **wide, units=(1, 1, 1), classes=CLASSES, large=False
        ),
        "resnet18": lambda: reference.ResNet(
            **large, units=(2, 2, 2, 2), classes=CLASSES, large=True
        ),
        "resnet50_cifar": lambda: reference.ResNet(
            **large, units=(3, 4, 6, 3), classes=CLASSES, large=False, bottleneck=True
        ),
    }
    return reference.randomise(build[name](), seed=3)


def images(side):
    return np.random.default_rng(0).normal(size=(6, side, side, 3)).astype(np.float32)


def torch_call(model, batch, training):
    """PyTorch's float64 answer; its float32 is 7e-5 off that when ResNet-50 trains."""
    import torch

    model.double().train(training)
    with torch.no_grad():
        logits = model(torch.from_numpy(batch.transpose(0, 3, 1, 2).astype(np.float64)))
    return logits.numpy()


def assert_same_structure(network, variables, batch):
    shapes = jax.eval_shape(network.init, jax.random.key(0), batch)
    given = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), variables)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), shapes) == given


SIZES = {
    "wrn_16_2": 16,
    "wrn_40_1": 16,
    "resnet20": 15,  # odd: where padding would show
    "resnet8x4": 16,
    "resnet18": 65,
    "resnet50_cifar": 16,
}


@pytest.mark.parametrize(("name", "side"), SIZES.items())
def test_same_logits_and_features_in_evaluation(name, side):
    model, batch = torch_model(name), images(side)
    network, variables = create(name, num_classes=CLASSES), to_flax(model)
    assert_same_structure(network, variables, batch)
    expected = torch_call(model, batch, training=False)
    outputs = jax.jit(network.evaluate)(*variables, batch)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(outputs.logits, expected, atol=1e-4)
    assert set(outputs.features) == set(model.features)
    for key, tensor in model.features.items():
        reference = tensor.numpy()
        reference = (
            reference.transpose(0, 2, 3, 1) if reference.ndim == 4 else reference
        )
        scale = np.abs(reference).max()
        np.testing.assert_allclose(
            outputs.features[key] / scale, reference / scale, atol=1e-5, err_msg=key
        )


@pytest.mark.parametrize(("name", "side"), SIZES.items())
def test_same_logits_and_statistics_in_training(name, side):
    model, batch = torch_model(name), images(side)
    network, (params, stats) = create(name, num_classes=CLASSES), to_flax(model)
    expected = torch_call(model, batch, training=True)
    outputs, new = jax.jit(network.train)(params, stats, batch)
    np.testing.assert_allclose(outputs.logits, expected, atol=1e-4)
    _, reference = to_flax(model)
    # The first norm's statistics cover batch * height * width values. PyTorch keeps
    # n / (n - 1) times the variance that normalises, this project that variance itself.
    first = "stem_norm" if "stem_norm" in new else "stage1_block1"
    ours, theirs = new[first], reference[first]
    before = stats[first]
    if first == "stage1_block1":
        ours, theirs, before = ours["norm1"], theirs["norm1"], before["norm1"]
    np.testing.assert_allclose(ours["mean"], theirs["mean"], atol=1e-5)
    values = 6 * np.prod(outputs.features["stem"].shape[1:3])
    kept = 0.9 * np.asarray(before["var"])
    unbiased = (np.asarray(ours["var"]) - kept) * values / (values - 1)
    np.testing.assert_allclose(kept + unbiased, theirs["var"], rtol=1e-5)


class _Absent(type):
    """Stands for any name of a package that is not installed."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(name, (), {})


class _Torchvision:
    """timm imports torchvision, which lacks CPU builds; its ResNets do not need it."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda name: getattr(_Absent("root", (), {}), name)
        return module

    def exec_module(self, module):
        pass


@pytest.fixture(scope="module")
def timm():
    finder = _Torchvision()
    sys.meta_path.append(finder)  # last: a torchvision that is installed wins
    try:
        import timm
    finally:
        sys.meta_path.remove(finder)
    return timm


def test_those_of_the_same_tensors_are_known_by_name(timm):
    """Else an import would take them for ours."""
    import torch

    def shapes(name):
        with torch.device("meta"):
            state = timm.create_model(name).state_dict()
        return {name: tuple(tensor.shape) for name, tensor in state.items()}

    ours = {name: shapes(name) for name in ("resnet18", "resnet50")}
    others = [
        name
        for name in timm.list_models("resnet*")
        if re.fullmatch(r"resnet[a-z]*\d\d", name) and shapes(name) in ours.values()
    ]
    named = {name: variants.unseen([f"{name}.bin"]) for name in others}
    unseen = dict.fromkeys(("resnetaa50", "resnetblur18", "resnetblur50"))
    assert named == {name: name for name in unseen} | dict.fromkeys(ours)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("training", [False, True])
def test_same_logits_as_timm(timm, name, training):
    from tests.parity.torch_models import randomise

    model = timm.create_model(name, pretrained=False, num_classes=CLASSES)
    model, batch = randomise(model, seed=5), images(128 if training else 64)
    network, variables = create(name, num_classes=CLASSES), to_flax(model)
    assert_same_structure(network, variables, batch)
    expected = torch_call(model, batch, training)
    if training:
        logits = jax.jit(network.train)(*variables, batch)[0].logits
    else:
        logits = jax.jit(network.evaluate)(*variables, batch).logits
    np.testing.assert_allclose(logits, expected, atol=1e-4)
