"""Both ways of a convolution in groups, and its gradients, against float64 sums."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.models import grouped, layers


def whole(images, kernel, stride, groups):
    full = grouped._with_zeros(kernel, groups)
    return layers.convolve(images, full, stride, pad=1)


def plain(images, kernel, stride, groups):
    return layers.convolve(images, kernel, stride, pad=1, groups=groups)


def expected(images, kernel, stride, groups):
    """Window by window and group by group, in float64."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = (-(-size // stride) for size in images.shape[1:3])
    result = np.zeros((len(images), height, width, kernel.shape[-1]))
    inputs, outputs = kernel.shape[2], kernel.shape[-1] // groups
    for row in range(height):
        for column in range(width):
            y, x = stride * row, stride * column
            window = padded[:, y : y + 3, x : x + 3]
            for group in range(groups):
                own = slice(group * outputs, (group + 1) * outputs)
                read = window[..., group * inputs : (group + 1) * inputs]
                sums = np.einsum("bhwi,hwio->bo", read, kernel[..., own])
                result[:, row, column, own] = sums
    return result


@pytest.mark.parametrize("way", [whole, plain, grouped.convolve])
@pytest.mark.parametrize(("size", "stride"), [((4, 6), 1), ((5, 4), 2)])
def test_each_group_sees_its_own_channels(way, size, stride):
    rng = np.random.default_rng(0)
    images, kernel = rng.normal(size=(2, *size, 6)), rng.normal(size=(3, 3, 2, 12))
    given = [jnp.asarray(x, jnp.float32) for x in (images, kernel)]
    compute = functools.partial(way, stride=stride, groups=3)
    reference = expected(images, kernel, stride, 3)
    np.testing.assert_allclose(jax.jit(compute)(*given), reference, atol=1e-5)
    # The sum is linear in both: its slope along a direction is a difference.
    weights = rng.normal(size=reference.shape)

    def total(images, kernel):
        return jnp.sum(compute(images, kernel) * jnp.asarray(weights, jnp.float32))

    slopes = jax.jit(jax.grad(total, (0, 1)))(*given)
    for number, slope in enumerate(slopes):
        moved = [images, kernel]
        moved[number] = step = rng.normal(size=moved[number].shape)
        change = np.sum(expected(*moved, stride, 3) * weights)
        np.testing.assert_allclose(np.sum(slope * step), change, rtol=1e-4)
