"""Files of others give the logits that they gave, and each fault is named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.models import create
from kdjax.weights import prefixes, trees
from tests.weights import numpy_resnet

IMAGES = np.random.default_rng(1).normal(size=(3, 12, 12, 1)).astype(np.float32)
KINDS = {
    "torchvision": {"head": "fc", "projection": "downsample"},
    "other names": {"head": "linear", "projection": "shortcut"},
    "no projections": {"head": "linear", "projection": ""},
}


@pytest.fixture(scope="module")
def network():
    return create("resnet8", num_classes=10)


@pytest.fixture(scope="module")
def wanted(network):
    return jax.eval_shape(network.init, jax.random.key(0), jnp.asarray(IMAGES))


@pytest.fixture(scope="module")
def answer(network):
    return jax.jit(lambda pair, images: network.evaluate(*pair, images).logits)


@pytest.mark.parametrize("kind", KINDS)
def test_the_logits_are_those_of_the_file(kind, wanted, answer):
    tensors = numpy_resnet.draw(3, **KINDS[kind])
    expected = numpy_resnet.logits(tensors, IMAGES)
    assert np.abs(expected).max() > 0.3
    read = trees.to_variables("f", tensors, wanted)
    assert ("without" in read.layout) == (kind == "no projections")
    np.testing.assert_allclose(
        answer(read.variables, IMAGES), expected, atol=2e-5 * np.abs(expected).max()
    )


def test_zero_padding_is_exact_where_the_norm_divides_by_its_deviation(wanted):
    tensors = numpy_resnet.draw(3, **KINDS["no projections"])
    params, stats = trees.to_variables("f", tensors, wanted).variables
    norm = stats["stage2_block1"]["norm_shortcut"]
    multiplier = jax.lax.rsqrt(jnp.asarray(norm["var"]) + jnp.float32(1e-5))
    np.testing.assert_array_equal(multiplier, np.ones(32, np.float32))
    kernel = params["stage2_block1"]["conv_shortcut"]["kernel"][0, 0]
    assert kernel.shape == (16, 32) and kernel.sum() == 16
    np.testing.assert_array_equal(kernel[:, 8:24], np.eye(16))


def test_what_a_wrapped_network_saved_is_the_same(wanted):
    tensors = numpy_resnet.draw(3, **KINDS["torchvision"])
    wrapped = {f"module.{name}": tensor for name, tensor in tensors.items()}

    def read(own, classes):
        assert classes == 10
        return trees.to_variables("f", own, wanted)

    ours, same = (prefixes.find("f", each, None, read) for each in (tensors, wrapped))
    assert (ours.prefix, same.prefix) == ("", "module.")
    jax.tree.map(
        np.testing.assert_array_equal, ours.read.variables, same.read.variables
    )


def test_out_and_in_again_changes_nothing(wanted):
    tensors = numpy_resnet.draw(5, **KINDS["torchvision"])
    out, layout = trees.to_tensors(trees.to_variables("f", tensors, wanted).variables)
    assert layout == "torchvision"
    kept = {n: t for n, t in tensors.items() if t.ndim}
    assert out.keys() == kept.keys()
    for name, tensor in kept.items():
        np.testing.assert_array_equal(out[name], tensor, err_msg=name)


def test_a_network_of_ones_own_keeps_its_names():
    network = create("tests.networks:coarse", num_classes=10)
    variables = jax.jit(network.init)(jax.random.key(0), IMAGES)
    tensors, layout = trees.to_tensors(variables)
    assert layout == "kdjax" and "params.Dense_0.kernel" in tensors
    back = trees.to_variables("f", tensors, variables)
    assert back.layout == "kdjax"
    jax.tree.map(np.testing.assert_array_equal, back.variables, variables)
    with pytest.raises(InputError, match="no names of timm for this.*one of kdjax"):
        trees.to_tensors(variables, "timm")


def test_counters_and_flags_keep_their_type():
    """As of Equinox's batch norm: it raises its momentum to the power of a counter."""
    counter = np.int32(2**24 + 1)  # which float32 rounds
    state = {"norm": {"counter": counter, "first": np.bool_(True)}}
    variables = {"head": {"bias": np.ones(3, np.float32)}}, state
    tensors, _ = trees.to_tensors(variables)
    back = trees.to_variables("f", tensors, variables).variables
    jax.tree.map(np.testing.assert_array_equal, back, variables)
    assert back[1]["norm"]["counter"].dtype == np.int32
    name = "batch_stats.norm.counter"
    before = trees.to_variables("f", tensors | {name: np.float32(9)}, variables)
    assert before.variables[1]["norm"]["counter"] == 9  # as versions before wrote it
    with pytest.raises(InputError, match="norm.counter is float32; expected int32"):
        trees.to_variables("f", tensors | {name: np.float32(0.5)}, variables)


def test_half_precision_is_read_exactly(wanted):
    tensors = numpy_resnet.draw(3, **KINDS["torchvision"])
    half = {n: t.astype(np.float16) if t.ndim else t for n, t in tensors.items()}
    read = trees.to_variables("f", half, wanted).variables
    short = {n: t.astype(np.float32) if t.ndim else t for n, t in half.items()}
    same = trees.to_variables("f", short, wanted).variables
    jax.tree.map(np.testing.assert_array_equal, read, same)
    assert {leaf.dtype for leaf in jax.tree.leaves(read)} == {np.dtype(np.float32)}


def without(tensors, word):
    return {name: tensor for name, tensor in tensors.items() if word not in name}


def changed(name, change):
    return lambda tensors: tensors | {name: change(tensors[name])}


FAULTS = {
    "missing: layer2.0.conv1.weight": lambda t: without(t, "layer2.0.conv1"),
    # fc is torchvision's word, and torchvision has projections.
    r"missing: .*layer2.0.downsample.*layer3": lambda t: without(t, "downsample"),
    "missing: .*layer3.0.downsample.1.running_var": lambda t: without(
        t, "layer3.0.downsample"
    ),
    r"of no array of the network: layer4.0.conv1.weight\.": lambda t: (
        t | {"layer4.0.conv1.weight": t["layer3.0.conv2.weight"]}
    ),
    "of no array of the network: layer1.1.bn1.bias, .*se.fc1": lambda t: (
        t
        | {"layer1.1.bn1.bias": t["bn1.bias"], "layer1.0.se.fc1.weight": t["fc.weight"]}
    ),
    r"conv1.weight \(16, 1, 1, 3\), expected \(16, 1, 3, 3\)": changed(
        "conv1.weight", lambda x: x[:, :, :1]
    ),
    r"fc.bias \(9,\), expected \(10,\)": changed("fc.bias", lambda x: x[:9]),
    "conv1.0 is of a stem of three convolutions": lambda t: (
        without(t, "conv1.weight") | {"conv1.0.weight": t["conv1.weight"]}
    ),
    "shortcuts that average before they project": changed(
        "layer2.0.downsample.1.weight", lambda x: x[:, None, None, None]
    ),
    "layer2.0.conv1.bias.*were batch norms folded": lambda t: (
        t | {"layer2.0.conv1.bias": t["layer2.0.bn1.bias"]}
    ),
    "bn1.weight is int32; expected floating": changed(
        "bn1.weight", lambda x: x.astype(np.int32)
    ),
    "bn1.running_var holds -0.25; expected variances of 0": changed(
        "bn1.running_var", lambda x: np.full_like(x, -0.25)
    ),
    "bn1.bias holds NaN or infinity": changed(
        "bn1.bias", lambda x: np.full_like(x, np.nan)
    ),
    "fc.bias and linear.bias are the same array": lambda t: (
        t | {"linear.bias": t["fc.bias"]}
    ),
    "there are no tensors": lambda t: {},
}


@pytest.mark.parametrize("message", FAULTS)
def test_each_fault_is_named(message, wanted):
    tensors = numpy_resnet.draw(3, **KINDS["torchvision"])
    with pytest.raises(InputError, match=message) as error:
        trees.to_variables("weights.pth", FAULTS[message](tensors), wanted)
    assert str(error.value).startswith("weights.pth: ")


def test_a_file_without_classifier_is_told():
    with pytest.raises(InputError, match="there is no classifier; expected a matrix"):
        prefixes.heads("f", {"conv1.weight": np.zeros((4, 3, 3, 3))})


def test_only_cifars_three_stages_may_lack_projections():
    """Four stages without them are a damaged ResNet-18, whatever its head is called."""
    network = create("resnet18_cifar", num_classes=10)
    images = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    wanted = jax.eval_shape(network.init, jax.random.key(0), images)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, np.float32), wanted)
    tensors, _ = trees.to_tensors(zeros)
    tensors = {
        name.replace("fc.", "linear."): tensor
        for name, tensor in without(tensors, "downsample").items()
    }
    with pytest.raises(InputError, match="missing: .*layer2.0.downsample.0.weight"):
        trees.to_variables("f", tensors, wanted)
