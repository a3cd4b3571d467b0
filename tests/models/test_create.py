"""Names, keywords and images: what is refused, and in which words."""

import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from kdjax.models import MODELS, Network, create, from_linen

KEY = jax.random.key(0)


class Tiny(nn.Module):
    classes: int
    scale: float = 1.0

    @nn.compact
    def __call__(self, images):
        return self.scale * nn.Dense(self.classes)(images.mean((1, 2)))


@pytest.fixture
def guests(monkeypatch):
    """A module that can be imported as `guests.nets`."""

    def tiny(*, num_classes, scale=1.0):
        return from_linen(Tiny(num_classes, scale))

    nets = types.ModuleType("guests.nets")
    nets.tiny = tiny
    nets.fixed = lambda: from_linen(Tiny(3))
    nets.bare = lambda num_classes: Tiny(num_classes)
    nets.anything = lambda **rest: from_linen(Tiny(rest["num_classes"]))
    nets.number = 3
    monkeypatch.setitem(sys.modules, "guests", types.ModuleType("guests"))
    monkeypatch.setitem(sys.modules, "guests.nets", nets)


def classes_of(network, side=8):
    images = jnp.zeros((2, side, side, 3))
    variables = jax.eval_shape(network.init, KEY, images)
    return jax.eval_shape(network.evaluate, *variables, images).logits.shape[1]


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"wide_resnet"}))
def test_every_name_takes_classes_and_dtype(name):
    assert isinstance(create(name, num_classes=7, dtype="bfloat16"), Network)
    with pytest.raises(ValueError, match=f"^{name}: dtype is 'int8'; expected float32"):
        create(name, num_classes=7, dtype="int8")


def test_functions_of_other_packages(guests):
    assert classes_of(create("guests.nets:tiny", num_classes=5, scale=2.0)) == 5
    assert classes_of(create("guests.nets:fixed", num_classes=5)) == 3
    assert classes_of(create("guests.nets:anything", num_classes=4, size=1)) == 4


def test_keywords_reach_the_function(guests):
    images = jnp.ones((1, 4, 4, 3))
    one, two = (
        create("guests.nets:tiny", num_classes=2, scale=scale) for scale in (1.0, 2.0)
    )
    variables = one.init(KEY, images)
    twice = two.evaluate(*variables, images).logits
    np.testing.assert_allclose(twice, 2 * one.evaluate(*variables, images).logits)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("name", "rest", "message"),
    [
        ("wrn_16_3", {}, r"no model 'wrn_16_3'; near are .*wrn_16_\d"),
        ("resnet_50", {}, r"no model 'resnet_50'; near are .*resnet50"),
        ("zzz", {}, r"no model 'zzz'; near are mobilenet_v1, .*wrn_40_6"),
        ("resnext101_64x4d", {}, r"are resnext101_32x8d, .* It is a ResNeXt\."),
        ("vit_base_patch16_224", {}, "it is a vision transformer, .* are mobilenet_v1"),
        (
            "wrn_16_2",
            {"depth": 40},
            "depth is not a parameter of wrn_16_2; it takes dty",
        ),
        (
            "wide_resnet",
            {"wide": 2},
            "wide is not a.*takes depth, width, widths, stem, d",
        ),
        ("wide_resnet", {"width": 2}, "wide_resnet: missing.*'depth'; it takes depth"),
        ("wide_resnet", {"depth": 11, "width": 2}, r"wrn_11_2: depth is 11; .*6n \+ 4"),
        ("wide_resnet", {"depth": 4, "width": 2}, "wrn_4_2: depth is 4; expected"),
        ("wide_resnet", {"depth": 10}, "width is None, widths is None; expected one"),
        ("wide_resnet", {"depth": 10, "width": 0}, "width is 0; expected a whole num"),
        (
            "wide_resnet",
            {"depth": 10, "widths": (8, 16)},
            r"widths is \(8, 16\); .*thr",
        ),
        (
            "wide_resnet",
            {"depth": 10, "widths": (8, 0, 8)},
            r"widths\[1\] is 0; expect",
        ),
        (
            "wide_resnet",
            {"depth": 10, "width": 1, "widths": (8, 8, 8)},
            r"width is 1, widths is \(8, 8, 8\); expected one",
        ),
        (
            "resnet20",
            {"dtype": "float16"},
            "resnet20: dtype is 'float16'; expected flo",
        ),
        (
            "resnet20",
            {"num_classes": 0},
            "resnet20: num_classes is 0; expected a whole",
        ),
        (
            "mobilenet_v1",
            {"activation": "relu6"},
            "activation is not a parameter of mobilenet_v1; it takes dtype",
        ),
        ("guests.nets:tini", {}, "guests.nets has no function 'tini'; near are tiny"),
        ("guests.nets:number", {}, "guests.nets has no function 'number'"),
        ("guests.nest:tiny", {}, "cannot import 'guests.nest' .*PYTHONPATH"),
        (":tiny", {}, "cannot import ''"),
        ("guests.nets:tiny", {"size": 1}, "size is not a param.*tiny; it takes scale"),
        ("guests.nets:fixed", {"size": 1}, "size is not a.*takes nothing else"),
    ],
)
def test_refused(guests, name, rest, message):
    with pytest.raises(ValueError, match=message):
        create(name, **{"num_classes": 10} | rest)


@pytest.mark.errors
def test_a_function_must_return_a_network(guests):
    with pytest.raises(
        TypeError, match="bare returned Tiny; expected a Network.*from_l"
    ):
        create("guests.nets:bare", num_classes=2)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        (
            "resnet50",
            (28, 28, 3),
            "^resnet50: images are 28x28; it halves them 5 times and needs at least "
            "32x32; resnet50_cifar takes smaller ones.$",
        ),
        ("resnet152", (32, 31, 3), "resnet152: images are 32x31; .* least 32x32.$"),
        ("mobilenet_v1", (32, 28, 3), "mobilenet_v1: images are 32x28; .* 5 times"),
        ("mobilenet_v2", (28, 28, 3), "mobilenet_v2: images are 28x28; .* 32x32.$"),
        ("resnet18_cifar", (7, 8, 3), "halves them 3 times and needs at least 8x8.$"),
        ("resnet8x4", (3, 3, 1), "resnet8x4: images are 3x3; .* 2 times .* 4x4.$"),
        ("wrn_16_2", (4, 3, 3), "wrn_16_2: images are 4x3; .* 2 times .* 4x4.$"),
        ("wrn_16_2", (32, 32), r"wrn_16_2: images has shape \(2, 32, 32\).*channels\]"),
    ],
)
def test_images_too_small_or_of_another_rank(name, shape, message):
    network = create(name, num_classes=2)
    # (?m): jax appends lines of its own to what is raised while tracing.
    with pytest.raises(ValueError, match=f"(?m){message}"):
        jax.eval_shape(network.init, KEY, jnp.zeros((2, *shape)))


@pytest.mark.errors
def test_pixels_must_be_normalised():
    network = create("resnet8", num_classes=2)
    variables = jax.eval_shape(network.init, KEY, jnp.zeros((2, 8, 8, 3)))
    with pytest.raises(ValueError, match="resnet8: images are uint8; expected normal"):
        jax.eval_shape(network.evaluate, *variables, jnp.zeros((2, 8, 8, 3), jnp.uint8))


@pytest.mark.parametrize(
    ("name", "side"), [("resnet18", 32), ("resnet18_cifar", 8), ("resnet8", 4)]
)
def test_the_smallest_images_pass(name, side):
    assert classes_of(create(name, num_classes=2), side) == 2
