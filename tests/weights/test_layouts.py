"""Networks of the benchmarks under the names that PyTorch's packages have for them.

The names of timm are compared with timm itself, in tests/parity.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.models import create
from kdjax.weights import layouts, prefixes, trees
from tests.weights import numpy_cifar, numpy_mobile

# Arrays without counters, and some of them as they are published.
PUBLISHED = {
    ("mobilenet_v2", "torchvision"): (
        262,
        {
            "features.0.0.weight": (32, 3, 3, 3),
            "features.1.conv.0.0.weight": (32, 1, 3, 3),
            "features.1.conv.1.weight": (16, 32, 1, 1),
            "features.1.conv.2.running_var": (16,),
            "features.2.conv.0.0.weight": (96, 16, 1, 1),
            "features.2.conv.1.0.weight": (96, 1, 3, 3),
            "features.2.conv.1.1.bias": (96,),
            "features.17.conv.2.weight": (320, 960, 1, 1),
            "features.17.conv.3.weight": (320,),
            "features.18.0.weight": (1280, 320, 1, 1),
            "features.18.1.running_mean": (1280,),
            "classifier.1.weight": (11, 1280),
        },
    ),
    ("resnext50_32x4d", "torchvision"): (
        267,
        {
            "conv1.weight": (64, 3, 7, 7),
            "layer1.0.conv1.weight": (128, 64, 1, 1),
            "layer1.0.conv2.weight": (128, 4, 3, 3),
            "layer1.0.conv3.weight": (256, 128, 1, 1),
            "layer4.2.conv2.weight": (1024, 32, 3, 3),
            "layer4.0.downsample.1.running_var": (2048,),
            "fc.weight": (11, 2048),
        },
    ),
    ("resnet50d", "timm"): (
        277,
        {
            "conv1.0.weight": (32, 3, 3, 3),
            "conv1.1.running_mean": (32,),
            "conv1.3.weight": (32, 32, 3, 3),
            "conv1.4.bias": (32,),
            "conv1.6.weight": (64, 32, 3, 3),
            "bn1.weight": (64,),
            "layer1.0.downsample.1.weight": (256, 64, 1, 1),
            "layer1.0.downsample.2.bias": (256,),
            "layer4.0.downsample.2.running_var": (2048,),
            "layer4.0.conv2.weight": (512, 512, 3, 3),
            "fc.bias": (11,),
        },
    ),
    ("mobilenet_v1", "mdistiller"): (
        137,
        {
            "model.0.0.weight": (32, 3, 3, 3),
            "model.1.0.weight": (32, 1, 3, 3),
            "model.1.3.weight": (64, 32, 1, 1),
            "model.6.4.running_mean": (512,),
            "model.13.1.running_var": (1024,),
            "model.13.3.weight": (1024, 1024, 1, 1),
            "fc.weight": (11, 1024),
        },
    ),
    ("wrn_40_2", "repdistiller"): (
        190,
        {
            "conv1.weight": (16, 3, 3, 3),
            "block1.layer.0.bn1.running_mean": (16,),
            "block1.layer.0.convShortcut.weight": (32, 16, 1, 1),
            "block2.layer.0.conv1.weight": (64, 32, 3, 3),
            "block3.layer.5.bn2.weight": (128,),
            "bn1.running_var": (128,),
            "fc.bias": (11,),
        },
    ),
    ("vgg13", "repdistiller"): (
        62,
        {
            "block0.0.weight": (64, 3, 3, 3),
            "block0.0.bias": (64,),
            "block0.1.running_mean": (64,),
            "block0.3.weight": (64, 64, 3, 3),
            "block3.3.weight": (512, 512, 3, 3),
            "block4.4.running_var": (512,),
            "classifier.weight": (11, 512),
        },
    ),
    ("mobilenet_v2_half", "repdistiller"): (
        267,
        {
            "conv1.0.weight": (16, 3, 3, 3),
            "blocks.0.0.conv.0.weight": (16, 16, 1, 1),
            "blocks.0.0.conv.3.weight": (16, 1, 3, 3),
            "blocks.1.0.conv.1.running_mean": (48,),
            "blocks.6.0.conv.6.weight": (160, 480, 1, 1),
            "blocks.6.0.conv.7.bias": (160,),
            "conv2.0.weight": (1280, 160, 1, 1),
            "conv2.1.running_var": (1280,),
            "classifier.0.bias": (11,),
        },
    ),
    ("shufflenet_v1", "repdistiller"): (
        247,
        {
            "conv1.weight": (24, 3, 1, 1),
            "layer1.0.conv1.weight": (54, 24, 1, 1),
            "layer1.0.conv3.weight": (216, 18, 1, 1),
            "layer1.1.conv1.weight": (60, 80, 1, 1),
            "layer2.0.conv2.weight": (60, 1, 3, 3),
            "layer3.3.bn3.running_var": (960,),
            "linear.weight": (11, 960),
        },
    ),
    ("shufflenet_v2", "repdistiller"): (
        282,
        {
            "conv1.weight": (24, 3, 1, 1),
            "layer1.0.conv1.weight": (24, 1, 3, 3),
            "layer1.0.conv5.weight": (58, 58, 1, 1),
            "layer2.7.bn3.running_mean": (116,),
            "conv2.weight": (1024, 464, 1, 1),
            "bn2.bias": (1024,),
            "linear.bias": (11,),
        },
    ),
}
REFERENCES = {
    ("mobilenet_v1", "mdistiller"): numpy_mobile.mdistiller,
    ("mobilenet_v1_relu6", "mdistiller"): functools.partial(
        numpy_mobile.mdistiller, activate=numpy_mobile.relu6
    ),
    ("mobilenet_v2", "torchvision"): numpy_mobile.torchvision,
    ("wrn_16_2", "repdistiller"): numpy_mobile.repdistiller,
    ("vgg8", "repdistiller"): numpy_cifar.vgg,
    ("mobilenet_v2_half", "repdistiller"): numpy_cifar.mobilenet_v2_half,
    ("shufflenet_v1", "repdistiller"): numpy_cifar.shufflenet_v1,
    ("shufflenet_v2", "repdistiller"): numpy_cifar.shufflenet_v2,
}


def wanted(name):
    network = create(name, num_classes=11)
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    return network, jax.eval_shape(network.init, jax.random.key(0), images)


def draw(name, layout):
    """Tensors of that layout."""
    rng = np.random.default_rng(5)
    network, shapes = wanted(name)
    variables = jax.tree.map(lambda leaf: numpy_mobile.fill(rng, leaf.shape), shapes)
    tensors, actual = trees.to_tensors(variables, layout)
    assert actual == layout
    return network, shapes, tensors


@pytest.mark.parametrize(("name", "layout"), PUBLISHED)
def test_the_names_and_shapes_are_the_published_ones(name, layout):
    arrays, published = PUBLISHED[name, layout]
    _, _, tensors = draw(name, layout)
    assert len(tensors) == arrays
    assert {name: tensors[name].shape for name in published} == published


@pytest.mark.parametrize(("name", "layout"), REFERENCES)
def test_the_logits_are_those_of_the_names(name, layout):
    network, shapes, tensors = draw(name, layout)
    images = np.random.default_rng(6).normal(size=(2, 48, 32, 3)).astype(np.float32)
    expected = REFERENCES[name, layout](tensors, images)
    read = trees.to_variables("f", tensors, shapes)
    assert read.layout == layout
    actual = jax.jit(network.evaluate)(*read.variables, images).logits
    np.testing.assert_allclose(actual, expected, atol=3e-5 * np.abs(expected).max())


def test_the_two_activations_differ_on_these_weights():
    """Otherwise the test above could not tell them apart."""
    _, _, tensors = draw("mobilenet_v1", "mdistiller")
    images = np.random.default_rng(6).normal(size=(1, 32, 32, 3))
    one, other = (REFERENCES[n, "mdistiller"] for n in layouts.ACTIVATIONS.values())
    assert np.abs(one(tensors, images) - other(tensors, images)).max() > 1e-2


ROUND_TRIPS = ["mobilenet_v1", "mobilenet_v2", "wrn_16_2", "vgg8"]
ROUND_TRIPS += ["mobilenet_v2_half", "shufflenet_v1", "shufflenet_v2"]


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_every_layout_finds_back(name):
    _, shapes = wanted(name)
    paths = {path: leaf.shape for path, leaf in trees.flatten(shapes).items()}
    kind = layouts.family(paths)
    for layout in layouts.LAYOUTS[kind]:
        theirs = layouts.names_of(kind, layout, paths)
        assert None not in theirs.values()
        assert len(set(theirs.values())) == len(paths)
        _, _, tensors = draw(name, layout)
        wrapped = {f"module.{n}": tensor for n, tensor in tensors.items()}
        wrapped["module.x.num_batches_tracked"] = np.array(3)
        found = prefixes.find(
            "f", wrapped, None, lambda own, _: trees.to_variables("f", own, shapes)
        )
        assert (found.prefix, found.classes) == ("module.", 11)
        read = found.read
        assert read.layout == layout
        again, _ = trees.to_tensors(read.variables, layout)
        for key, tensor in tensors.items():
            np.testing.assert_array_equal(again[key], tensor)


def test_a_fault_is_named_as_the_file_names_it():
    _, shapes, tensors = draw("mobilenet_v2", "timm")
    assert tensors.pop("blocks.1.0.conv_dw.weight").shape == (96, 1, 3, 3)
    tensors["blocks.1.0.se.fc1.weight"] = np.zeros((4, 96, 1, 1), np.float32)
    words = r"no array.*: blocks.1.0.se.fc1.weight; missing: blocks.1.0.conv_dw.weight"
    with pytest.raises(InputError, match=words + r"\. se and attn are of squeeze"):
        trees.to_variables("f", tensors, shapes)


def test_another_network_is_told():
    _, _, tensors = draw("mobilenet_v1", "mdistiller")
    _, shapes = wanted("mobilenet_v2")
    with pytest.raises(
        InputError, match="missing: classifier.1.*Is --model the network"
    ):
        trees.to_variables("f", tensors, shapes)


@pytest.mark.parametrize(
    ("file", "name", "message"),
    (
        ("vgg8", "vgg13", r"missing: block1.3.*Is --model the network"),
        ("vgg13", "vgg8", r"of no array of the network: block\d\.3"),
        (
            "mobilenet_v2_half",
            "shufflenet_v1",
            r"missing: linear.*Is --model the network",
        ),
        (
            "shufflenet_v1",
            "shufflenet_v2",
            r"of another shape: .*layer1.0.conv1.weight",
        ),
    ),
)
def test_a_file_of_another_network_of_the_benchmark_is_refused(file, name, message):
    _, _, tensors = draw(file, "repdistiller")
    _, shapes = wanted(name)
    with pytest.raises(InputError, match=message):
        trees.to_variables("f", tensors, shapes)


def test_a_family_is_known_by_its_arrays():
    for name, kind in (
        *(("resnet8", "resnet"), ("resnet50", "resnet"), ("wrn_40_1", "wide_resnet")),
        *(("mobilenet_v1", "mobilenet_v1"), ("mobilenet_v2", "mobilenet_v2")),
        *((name, name) for name in ROUND_TRIPS[-3:]),
        *((f"vgg{depth}", "vgg") for depth in (8, 19)),
        ("tests.networks:coarse", None),
    ):
        _, shapes = wanted(name)
        paths = {path: leaf.shape for path, leaf in trees.flatten(shapes).items()}
        assert layouts.family(paths) == kind, name
