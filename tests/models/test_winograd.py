"""Winograd's convolution against a float64 sum, and where it is used."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.models import create, winograd
from kdjax.training import sharding


def convolve(images, kernel):
    return winograd.convolve(images, winograd.factors(kernel))


def direct(images, kernel):
    """The 3x3 convolution in float64, by its definition."""
    padded = np.pad(np.float64(images), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    return np.einsum("bhwcij,ijco->bhwo", windows, np.float64(kernel))


def draw(*shape, channels, features):
    random = np.random.default_rng(0)
    images = random.normal(size=(*shape, channels)).astype(np.float32)
    kernel = random.normal(size=(3, 3, channels, features)) / (3 * np.sqrt(channels))
    return images, kernel.astype(np.float32)


# Batches that 8 devices share, that they do not, that make groups of 1, 3, 6 and 8.
@pytest.mark.parametrize(
    "batch, size", ((1, (4, 4)), (3, (12, 4)), (8, (8, 12)), (48, (4, 8)), (64, (4, 4)))
)
def test_is_the_convolution(batch, size):
    images, kernel = draw(batch, *size, channels=5, features=7)
    y = jax.jit(convolve)(images, kernel)
    np.testing.assert_allclose(y, direct(images, kernel), rtol=0, atol=5e-5)


def test_rounding_is_what_the_docstring_says():
    images, kernel = draw(8, 16, 16, channels=64, features=64)
    exact = direct(images, kernel)
    error = np.asarray(jax.jit(convolve)(images, kernel)) - exact
    assert 0.9 < exact.std() < 1.1
    assert np.sqrt(np.mean(error**2)) < 3e-6
    assert np.abs(error).max() < 1e-4


def test_devices_share_the_batch_without_talking():
    mesh = sharding.make_mesh()
    rows, same = sharding.split(mesh), sharding.replicated(mesh)
    images, kernel = draw(64, 8, 8, channels=4, features=4)
    program = jax.jit(convolve, in_shardings=(rows, same), out_shardings=rows).lower(
        images, kernel
    )
    text = program.compile().as_text()
    assert not any(word in text for word in ("all-", "collective-permute"))


def test_gradients_of_both_arguments():
    images, kernel = draw(8, 8, 8, channels=3, features=4)
    weights = np.random.default_rng(1).normal(size=(8, 8, 8, 4)).astype(np.float32)

    def loss(images, kernel):
        return jnp.sum(convolve(images, kernel) * weights)

    by_images, by_kernel = jax.jit(jax.grad(loss, (0, 1)))(images, kernel)
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    np.testing.assert_allclose(by_images, direct(weights, turned), atol=2e-4)
    padded = np.pad(np.float64(images), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (8, 8), (1, 2))
    expected = np.einsum("bijchw,bhwo->ijco", windows, np.float64(weights))
    np.testing.assert_allclose(by_kernel, expected, atol=5e-4)


def suits(shape, features, kernel=3, stride=1, dtype="float32"):
    images = jax.ShapeDtypeStruct(shape, dtype)
    kernel = jax.ShapeDtypeStruct((kernel, kernel, shape[-1], features), dtype)
    return winograd.suits(images, kernel, stride)


# 8 devices: 64 is 8 for each.
def test_what_it_suits():
    assert suits((64, 16, 16, 64), 64)
    assert suits((64, 32, 8, 64), 128)
    assert suits((64, 8, 8, 256), 256)
    assert suits((64, 8, 8, 32), 32)
    assert suits((32, 8, 8, 64), 64)  # 4 images have 16 tiles
    assert suits((500, 16, 16, 64), 64)  # what evaluation takes
    assert suits((8, 56, 56, 64), 64)


def test_what_it_does_not_suit():
    assert not suits((64, 16, 16, 64), 64, stride=2)
    assert not suits((64, 16, 16, 64), 64, kernel=1)
    assert not suits((64, 16, 16, 64), 64, dtype="bfloat16")
    assert not suits((64, 16, 16, 16), 32)
    assert not suits((64, 16, 16, 32), 16)
    assert not suits((64, 18, 16, 64), 64)
    assert not suits((64, 4, 4, 256), 256)  # 8 tiles
    assert not suits((8 * 127, 8, 8, 64), 64)  # in groups of one image: 4 tiles
    assert not suits((8, 224, 224, 64), 64)  # no cache has one image's tiles
    assert not suits((0, 16, 16, 64), 64)
    images = jax.ShapeDtypeStruct((64, 16, 16, 64), "float32")
    grouped = jax.ShapeDtypeStruct((3, 3, 1, 64), "float32")
    assert not winograd.suits(images, grouped, 1)


@pytest.mark.filterwarnings("ignore")  # of export, about platforms
def test_a_network_of_any_batch_can_be_exported():
    network = create("wide_resnet", depth=10, width=2, num_classes=3)
    variables = jax.jit(network.init)(jax.random.key(0), jnp.ones((1, 16, 16, 3)))
    (batch,) = jax.export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, 16, 16, 3), jnp.float32)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), variables)
    exported = jax.export.export(jax.jit(lambda v, x: network.evaluate(*v, x).logits))
    images, answer = np.ones((5, 16, 16, 3), np.float32), exported(shapes, images)
    wanted = network.evaluate(*variables, images).logits
    np.testing.assert_allclose(answer.call(variables, images), wanted, atol=1e-4)


def test_an_outlier_costs_its_neighbours_a_millionth():
    images, kernel = draw(8, 8, 8, channels=32, features=32)
    images[:, 2, 2, 0] = 1e4
    error = jax.jit(convolve)(images, kernel) - direct(images, kernel)
    assert np.abs(error).max() < 1e4 * 2e-6


def test_suits_nothing_on_an_accelerator(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not suits((64, 16, 16, 64), 64)


def convolutions(function, *arguments):
    return str(jax.make_jaxpr(function)(*arguments)).count("conv_general_dilated")


def test_a_network_answers_by_it_and_trains_without_it():
    """WRN-10-4 at 16x16: stages of 64 and 128 channels have one that it suits, each."""
    network = create("wide_resnet", depth=10, width=4, num_classes=3)
    images = jnp.asarray(
        np.random.default_rng(2).normal(size=(64, 16, 16, 3)), "float32"
    )
    variables = jax.jit(network.init)(jax.random.key(0), images)
    trains = convolutions(network.train, *variables, images)
    answers = convolutions(network.evaluate, *variables, images)
    assert (trains, answers) == (10, 8)


def test_a_network_answers_the_same_either_way(monkeypatch):
    network = create("wide_resnet", depth=10, width=4, num_classes=3)
    images = jnp.asarray(
        np.random.default_rng(2).normal(size=(64, 16, 16, 3)), "float32"
    )
    variables = jax.jit(network.init)(jax.random.key(0), images)
    ours = jax.jit(lambda *a: network.evaluate(*a))(*variables, images).logits
    monkeypatch.setattr(winograd, "suits", lambda *_: False)
    theirs = jax.jit(lambda *a: network.evaluate(*a))(*variables, images).logits
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max()
    assert not np.array_equal(ours, theirs)
