"""What parameters begin with: functions of the key, of the published distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.models import create
from kdjax.models.layers import fan_out_normal
from kdjax.models.mobilenet_v2 import InvertedResidual
from kdjax.models.shufflenet_v1 import ShuffleBlock


def test_init_is_a_function_of_the_key_and_of_shapes_only():
    network = create("wide_resnet", num_classes=3, depth=10, widths=(4, 4, 4), stem=4)
    init = jax.jit(network.init)
    images = jnp.zeros((2, 8, 8, 3))
    first = init(jax.random.key(0), images)
    jax.tree.map(
        np.testing.assert_array_equal, first, init(jax.random.key(0), images + 1)
    )
    other = init(jax.random.key(1), images)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), first[0], other[0])
    kernels = [same["stem_conv"]["kernel"], same["head"]["kernel"]]
    assert kernels == [False, False]


def test_initial_values_follow_he_and_pytorch():
    network = create("resnet8x4", num_classes=100)
    params, stats = jax.jit(network.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    kernel = params["stage3_block1"]["conv2"]["kernel"]  # 3 x 3 x 256 x 256
    assert kernel.std() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)
    assert abs(kernel.mean()) < 2e-4
    fan_out = params["stage2_block1"]["conv1"]["kernel"]  # 3 x 3 x 64 x 128
    assert fan_out.std() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    bound = 256**-0.5
    for leaf in params["head"].values():
        assert 0.9 * bound < float(abs(leaf).max()) <= bound
    assert params["head"]["kernel"].std() == pytest.approx(bound / 3**0.5, rel=0.02)
    for norm in (params["stem_norm"], params["stage1_block1"]["norm2"]):
        assert (norm["scale"] == 1).all() and (norm["bias"] == 0).all()
    assert (stats["stem_norm"]["mean"] == 0).all()
    assert (stats["stem_norm"]["var"] == 1).all()
    network = create("wide_resnet", num_classes=10, depth=10, width=1)
    wide, _ = jax.jit(network.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    assert (wide["head"]["bias"] == 0).all()


def test_benchmark_vgg_begins_as_published():
    network = create("vgg8", num_classes=100)
    params, _ = jax.jit(network.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    kernel, bias = params["stage2_block1"]["conv"].values()
    kernel, bias = (kernel, bias) if kernel.ndim == 4 else (bias, kernel)
    assert kernel.std() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)
    assert (bias == 0).all() and (params["head"]["bias"] == 0).all()
    assert params["head"]["kernel"].std() == pytest.approx(0.01, rel=0.02)


def test_benchmark_shufflenet_begins_as_pytorchs_convolutions():
    """U(-b, b) with b = 1 / sqrt(fan-in of a group)."""
    block = ShuffleBlock(480, 1, jnp.float32)
    params = block.init(jax.random.key(0), jnp.zeros((1, 4, 4, 480)), True)["params"]
    for name, fan_in in (("conv1", 160), ("conv2", 9), ("conv3", 40)):
        largest = float(abs(params[name]["kernel"]).max())
        assert 0.97 * fan_in**-0.5 < largest <= fan_in**-0.5


def test_benchmark_mobilenet_counts_all_channels_in_a_depthwise_fan_out():
    options = {"dtype": jnp.float32, "depthwise_init": fan_out_normal}
    block = InvertedResidual(32, 1, **options)
    params = block.init(jax.random.key(0), jnp.zeros((1, 4, 4, 64)), True)["params"]
    kernel = params["conv2"]["kernel"]
    assert kernel.shape == (3, 3, 1, 384)
    assert kernel.std() == pytest.approx((2 / (9 * 384)) ** 0.5, rel=0.05)
