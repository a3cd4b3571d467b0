"""FLOPs against published tables, against the paper's own layers, and in loops."""

import jax
import jax.numpy as jnp
import pytest

from kdjax.bench.flops import count
from kdjax.contracts import InputError
from kdjax.models import create


def forward(name, side, classes, dtype="float32"):
    network = create(name, num_classes=classes, dtype=dtype)
    images = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
    variables = jax.eval_shape(network.init, jax.random.key(0), images)
    return count(network.train, *variables, images).times(0.5)


# GMAC: the weights' "_ops" in torchvision. Millions of outputs of convolutions: column
# infer_macts of timm's benchmark tables.
@pytest.mark.parametrize(
    ("name", "giga_macs", "mega_outputs"),
    [
        *(("resnet18", 1.814, 2.48), ("resnet34", 3.664, 3.74)),
        *(("resnet50", 4.089, 11.11), ("mobilenet_v2", 0.301, 6.68)),
        ("mobilenet_v1", 0.569, 5.04),  # GMAC: table 4 of arXiv:1704.04861
    ],
)
def test_imagenet_networks_cost_what_torchvision_and_timm_print(
    name, giga_macs, mega_outputs
):
    work = forward(name, 224, 1000)
    assert work.total / 2e9 == pytest.approx(giga_macs, abs=0.0006)
    assert work.bytes / 4e6 == pytest.approx(mega_outputs, abs=0.006)


def wide_macs(depth, k, classes):
    """(MAC, outputs) by Table 1 of arXiv:1605.07146, for images of 32x32."""
    macs, outputs = 3 * 16 * 9 * 32**2, 16 * 32**2
    inputs = 16
    for width, side in ((16 * k, 32), (32 * k, 16), (64 * k, 8)):
        for block in range((depth - 4) // 6):
            macs += (9 * inputs * width + 9 * width * width) * side**2
            outputs += 2 * width * side**2
            if block == 0:  # the 1x1 projection
                macs += inputs * width * side**2
                outputs += width * side**2
            inputs = width
    return macs + inputs * classes, outputs


@pytest.mark.parametrize(("depth", "k"), [(16, 2), (28, 4)])
def test_wide_networks_cost_what_their_paper_draws(depth, k):
    work = forward(f"wrn_{depth}_{k}", 32, 100)
    macs, outputs = wide_macs(depth, k, 100)
    assert work.flops == {"float32": 2.0 * macs}
    assert work.bytes == 4.0 * outputs


def test_each_dtype_is_counted_by_itself_and_halves_its_bytes():
    work = forward("wrn_16_2", 32, 100, dtype="bfloat16")
    macs, outputs = wide_macs(16, 2, 100)
    assert work.flops == {"bfloat16": 2.0 * (macs - 12_800), "float32": 25_600.0}
    assert work.bytes == 2.0 * outputs


def convolve(image, kernel, **more):
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        image, kernel, padding="SAME", dimension_numbers=numbers, **more
    )


@pytest.mark.parametrize("stride", [1, 2])
def test_a_backward_costs_twice_its_forward(stride):
    """The zeros that a stride puts into the gradient are no work."""

    def loss(image, kernel):
        return convolve(image, kernel, window_strides=(stride, stride)).sum()

    shapes = jnp.ones((2, 8, 8, 3)), jnp.ones((3, 3, 3, 5))
    once = count(loss, *shapes)
    assert once.total == 2 * (2 * (8 // stride) ** 2 * 5) * (9 * 3)
    both = count(jax.value_and_grad(loss, argnums=(0, 1)), *shapes)
    assert both.total == pytest.approx(3 * once.total)


def test_groups_share_the_inputs_and_a_batch_of_kernels_does_not():
    image, kernel = jnp.ones((2, 8, 8, 6)), jnp.ones((1, 1, 2, 9))
    grouped = count(
        lambda x, w: convolve(x, w, window_strides=(1, 1), feature_group_count=3),
        *(image, kernel),
    )
    assert grouped.total == 2 * (2 * 64 * 9) * 2
    many = count(
        jax.vmap(lambda x, w: convolve(x, w, window_strides=(1, 1))),
        *(jnp.ones((4, 2, 8, 8, 3)), jnp.ones((4, 3, 3, 3, 5))),
    )
    assert many.total == 4 * 2 * (2 * 64 * 5) * 27


def test_loops_calls_and_branches():
    square = jnp.ones((4, 4))
    once = 2 * 4 * 4 * 4

    def scanned(x):
        return jax.lax.scan(lambda y, _: (y @ x, None), x, length=7)[0]

    def branched(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, lambda x: x @ x, x)

    def wrapped(x):
        return jax.checkpoint(jax.jit(lambda x: x @ x))(x)

    assert count(scanned, square).total == 7 * once
    assert count(branched, square).total == 2 * once
    assert count(wrapped, square).total == once
    assert count(jnp.tanh, square) == ({}, 0.0)


def test_a_loop_of_unknown_length_is_refused_only_if_it_works():
    def doubled(x):
        return jax.lax.while_loop(lambda y: y[0, 0] < 9, lambda y: 2 * y, x)

    def multiplied(x):
        return jax.lax.while_loop(lambda y: y[0, 0] < 9, lambda y: y @ y, x)

    assert count(doubled, jnp.ones((4, 4))).total == 0
    with pytest.raises(InputError, match="inside a while loop"):
        count(multiplied, jnp.ones((4, 4)))


@pytest.mark.parity
@pytest.mark.parametrize("name", ["wrn_16_2", "resnet20", "resnet50_cifar"])
def test_pytorch_counts_the_same(name):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from tests.parity.test_models import CLASSES, torch_model

    model = torch_model(name).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 32, 32))
    assert forward(name, 32, CLASSES).total == counter.get_total_flops()
