"""PyTorch's names and our paths: the known ones, both ways, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.models import create
from kdjax.weights import layouts, trees

# Arrays in a torchvision state dict without its counters, and parameters at 1000
# classes, as torchvision's documentation has them.
TORCHVISION = {
    "resnet18": (102, 11_689_512),
    "resnet34": (182, 21_797_672),
    "resnet50": (267, 25_557_032),
    "resnet101": (522, 44_549_160),
    "resnet152": (777, 60_192_808),
}
SHAPES = {  # of torchvision's resnet50
    "conv1.weight": (64, 3, 7, 7),
    "bn1.running_mean": (64,),
    "layer1.0.downsample.0.weight": (256, 64, 1, 1),
    "layer1.0.downsample.1.bias": (256,),
    "layer2.3.conv2.weight": (128, 128, 3, 3),
    "layer3.5.bn3.running_var": (1024,),
    "layer4.0.downsample.0.weight": (2048, 1024, 1, 1),
    "layer4.2.conv3.weight": (2048, 512, 1, 1),
    "fc.weight": (1000, 2048),
    "fc.bias": (1000,),
}


def shapes_of(name, classes, channels=3):
    network = create(name, num_classes=classes)
    images = jax.ShapeDtypeStruct((1, 64, 64, channels), jnp.float32)
    variables = jax.eval_shape(network.init, jax.random.key(0), images)
    return {path: leaf.shape for path, leaf in trees.flatten(variables).items()}


def names_of(shapes):
    return layouts.names_of("resnet", "torchvision", shapes)


def our_path(name):
    """Where a ResNet's tensor of that name belongs; None where it belongs nowhere."""
    named = names_of([*shapes_of("resnet50", 10), *shapes_of("resnet8", 10, 1)])
    paths = {theirs: path for path, theirs in named.items()}
    return paths.get(layouts.torchvision_name(name))


@pytest.mark.parametrize("name", TORCHVISION)
def test_every_array_has_torchvisions_name_and_finds_back(name):
    arrays, parameters = TORCHVISION[name]
    shapes = shapes_of(name, 1000)
    theirs = {name: path for path, name in names_of(shapes).items()}
    assert len(theirs) == len(shapes) == arrays
    counted = [np.prod(shape) for p, shape in shapes.items() if p[0] == "params"]
    assert sum(counted) == parameters
    assert None not in theirs
    assert {layouts.torchvision_name(name) for name in theirs} == theirs.keys()
    if name == "resnet50":
        for published, shape in SHAPES.items():
            array = np.broadcast_to(0.0, shapes[theirs[published]])
            assert layouts.to_torch(array).shape == shape


@pytest.mark.parametrize(
    ("name", "path"),
    (
        ("linear.weight", ("params", "head", "kernel")),
        (
            "layer3.0.shortcut.0.weight",
            ("params", "stage3_block1", "conv_shortcut", "kernel"),
        ),
        (
            "layer3.0.shortcut.1.running_mean",
            ("batch_stats", "stage3_block1", "norm_shortcut", "mean"),
        ),
    ),
)
def test_what_others_call_head_and_projection(name, path):
    assert our_path(name) == path


@pytest.mark.parametrize(
    "name",
    (
        "conv1.bias",
        "conv1",
        "conv1.0.weight",  # of timm's resnet50d
        "layer1.0.conv4.weight",
        "layer01.0.conv1.weight",
        "layer1.00.conv1.weight",
        "layer1.0.downsample.2.weight",
        "layer1.0.downsample.weight",
        "layer1.0.se.fc1.weight",
        "layer1.0.conv1.bn1.weight",
        "fc.running_mean",
        "",
    ),
)
def test_what_belongs_nowhere(name):
    assert our_path(name) is None


def test_layouts_are_permuted_as_convolutions_read_them():
    tensor = np.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7)  # OIHW
    ours = layouts.to_ours(tensor)
    assert ours.shape == (5, 7, 3, 2)
    assert ours[4, 6, 2, 1] == tensor[1, 2, 4, 6]
    np.testing.assert_array_equal(layouts.to_torch(ours), tensor)
    matrix = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(layouts.to_ours(matrix), matrix.T)
