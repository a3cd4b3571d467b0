"""Both ways of a depthwise convolution, and its gradients, against float64 sums."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.bench.flops import count
from kdjax.models import depthwise, layers

SHAPES = [((2, 8, 8, 3), 1), ((2, 8, 8, 3), 2), ((3, 7, 5, 4), 2), ((1, 1, 1, 2), 2)]


def grouped(images, kernel, stride):
    return layers.convolve(images, kernel, stride, pad=1, groups=images.shape[-1])


WAYS = {"cpu": depthwise._shifts, "default": grouped}


def draw(shape):
    rng = np.random.default_rng(0)
    return rng.normal(size=shape), rng.normal(size=(3, 3, 1, shape[-1]))


def expected(images, kernel, stride):
    """Window by window, in float64."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    windows = windows[:, ::stride, ::stride]
    return np.einsum("bhwcij,ijc->bhwc", windows, kernel[:, :, 0])


def as_float32(*arrays):
    return [jnp.asarray(array, jnp.float32) for array in arrays]


@pytest.mark.parametrize(("shape", "stride"), SHAPES)
@pytest.mark.parametrize("way", WAYS)
def test_either_way_is_the_sum(shape, stride, way):
    images, kernel = draw(shape)
    result = WAYS[way](*as_float32(images, kernel), stride)
    np.testing.assert_allclose(result, expected(images, kernel, stride), atol=3e-6)


@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_are_those_of_the_sum(stride):
    """It is linear in each argument, so a difference of any size is exact."""
    images, kernel = draw((2, 7, 6, 3))
    out = np.random.default_rng(1).normal(size=expected(images, kernel, stride).shape)

    def loss(images, kernel):
        y = depthwise.convolve(images, kernel, stride)
        return (y * jnp.asarray(out, jnp.float32)).sum()

    result = jax.jit(jax.grad(loss, (0, 1)))(*as_float32(images, kernel))
    for which, gradient in enumerate(result):
        for place in np.random.default_rng(2).integers(0, gradient.size, 12):
            moved = np.zeros(gradient.size)
            moved[place] = 1
            arguments = [images, kernel]
            arguments[which] = moved.reshape(gradient.shape)
            slope = (expected(*arguments, stride) * out).sum()
            assert gradient.reshape(-1)[place] == pytest.approx(slope, abs=1e-5)


def test_bfloat16_is_summed_in_float32():
    images, kernel = (array.astype(jnp.bfloat16) for array in draw((2, 8, 8, 16)))
    exact = expected(np.float64(images), np.float64(kernel), 1)
    result = jax.jit(depthwise.convolve, static_argnums=2)(
        jnp.asarray(images), jnp.asarray(kernel), 1
    )
    assert result.dtype == jnp.bfloat16
    # Half a last place of bfloat16's 8 digits, once.
    np.testing.assert_allclose(np.float64(result), exact, rtol=2**-8, atol=1e-3)


def test_programs_for_cpus_have_no_convolution_and_others_have_one():
    call = jax.jit(functools.partial(depthwise.convolve, stride=1))
    shapes = [
        jax.ShapeDtypeStruct(s, jnp.float32) for s in ((2, 8, 8, 4), (3, 3, 1, 4))
    ]
    here = call.lower(*shapes).compile().as_text()
    assert " convolution(" not in here and " conditional(" not in here
    for platform in ("cuda", "tpu"):
        text = jax.export.export(call, platforms=[platform])(*shapes).mlir_module()
        assert text.count("stablehlo.convolution") == 1
        assert "stablehlo.multiply" not in text  # nor the other way


def test_its_work_is_counted_on_a_cpu_too():
    images, kernel = as_float32(*draw((2, 8, 8, 6)))
    call = functools.partial(depthwise.convolve, stride=2)
    assert count(call, images, kernel).total == 2 * (2 * 4 * 4 * 6) * 9


def test_initial_values_follow_he_over_the_nine_places():
    conv = depthwise.DepthwiseConv(1, jnp.dtype("float32"))
    images = jnp.zeros((1, 4, 4, 4096))
    kernel = conv.init(jax.random.key(0), images, True)["params"]["kernel"]
    assert kernel.shape == (3, 3, 1, 4096)
    assert kernel.std() == pytest.approx((2 / 9) ** 0.5, rel=0.02)
