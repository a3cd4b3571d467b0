"""Resizing and other class orders, against interpolation written out in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.models import Network
from kdjax.types import Outputs
from kdjax.weights import input_transforms

KERNELS = {
    "bilinear": (1, lambda x: np.maximum(0, 1 - np.abs(x))),
    # Keys 1981 with a = -1/2.
    "bicubic": (
        2,
        lambda x: (
            np.where(
                x <= 1,
                1.5 * x**3 - 2.5 * x**2 + 1,
                -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2,
            )
            * (x < 2)
        ),
    ),
    "lanczos3": (3, lambda x: np.sinc(x) * np.sinc(x / 3) * (x < 3)),
}


def weights(size, wanted, method):
    """[wanted, size]: what each pixel is of the old ones; centres at one half."""
    _, kernel = KERNELS[method]
    scale = max(size / wanted, 1.0)  # a filter as wide as the new pixels
    centres = (np.arange(wanted) + 0.5) * size / wanted - 0.5
    distance = np.abs(centres[:, None] - np.arange(size)[None, :]) / scale
    actual = kernel(distance)
    return actual / actual.sum(1, keepdims=True)


IMAGES = np.random.default_rng(0).normal(size=(2, 12, 10, 3))
SEEN = Network(None, None, lambda params, stats, images: images)


@pytest.mark.parametrize("method", KERNELS)
@pytest.mark.parametrize("size", [(18, 20), (5, 4), (12, 10), (7, 25)])
def test_images_are_resized_by_the_named_filter(method, size):
    rows, columns = (
        weights(old, new, method) for old, new in zip((12, 10), size, strict=True)
    )
    expected = np.einsum("ih,jw,bhwc->bijc", rows, columns, IMAGES)
    actual = jax.jit(input_transforms.resized(SEEN, size, method).evaluate)(
        {}, {}, jnp.asarray(IMAGES, jnp.float32)
    )
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_a_filter_without_a_name_is_refused():
    with pytest.raises(InputError, match="resize is 'area'; expected one of bilinear"):
        input_transforms.resized(SEEN, (4, 4), "area")
    assert set(input_transforms.METHODS) == set(KERNELS)


def test_logits_come_in_the_order_of_the_run_and_features_stay():
    features = {"pooled": jnp.ones((2, 4))}
    logits = jnp.asarray([[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]])
    network = Network(None, None, lambda *_: Outputs(logits, features))
    theirs, ours = ["ant", "bee", "cow", "dog"], ["dog", "ant", "cow"]
    places = input_transforms.places_of(theirs, ours)
    actual = input_transforms.reordered(network, places).evaluate({}, {}, None)
    assert actual.logits.tolist() == [[3.0, 0.0, 2.0], [7.0, 4.0, 6.0]]
    assert actual.features is features


def test_the_members_of_an_ensemble_are_reordered_with_it():
    members = jnp.arange(6.0).reshape(1, 2, 3)
    outputs = Outputs(members.mean(1), {}, members)
    network = Network(None, None, lambda *_: outputs)
    actual = input_transforms.reordered(network, [2, 0]).evaluate({}, {}, None)
    assert actual.member_logits.tolist() == [[[2.0, 0.0], [5.0, 3.0]]]


def test_classes_that_do_not_fit_are_told():
    with pytest.raises(
        InputError, match="2 of the run's 3 classes are none of the tea"
    ):
        input_transforms.places_of(["cat", "dog"], ["cat", "Dog", "emu"])
    with pytest.raises(InputError, match="the teacher's class 'cat' is named twice"):
        input_transforms.places_of(["cat", "dog", "cat"], ["cat"])
