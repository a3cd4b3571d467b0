"""The batch norm before a feature: the feature has its moments, or the known place."""

import jax
import jax.numpy as jnp
import pytest

from kdjax.contracts import InputError
from kdjax.models import create
from kdjax.models.batch_norms import norm_before
from tests.networks import staged

# network -> feature -> path of the norm.
PLACES = {
    "resnet8": {"stage1_preact": "stage1_block1/norm2"},
    "resnet32": {"stage3_preact": "stage3_block5/norm2"},
    "resnet50": {"stage4_preact": "stage4_block3/norm3"},
    "wrn_16_1": {"stage1_preact": "stage2_block1/norm1", "stage3_preact": "norm"},
    "vgg13": {"stage1_preact": "stage1_block2/norm"},
    "mobilenet_v1": {"stage4_preact": "stage4_block6/norm2"},
    "mobilenet_v2": {"last_preact": "last_norm"},
    "mobilenet_v2_half": {
        "stage1_preact": "stage2_block2/norm3",
        "stage4_preact": "stage7_block1/norm3",
        "last_preact": "last_norm",
    },
    "shufflenet_v1": {"stage2_preact": "stage2_block8/norm3"},
    "shufflenet_v2": {"last_preact": "last_norm"},
}
IMAGES = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)


def shapes_of(network):
    variables = jax.eval_shape(network.init, jax.random.key(0), IMAGES)
    return variables[0], jax.eval_shape(network.evaluate, *variables, IMAGES).features


@pytest.mark.parametrize("name", PLACES)
def test_the_norm_is_where_it_is_known_to_be(name):
    params, features = shapes_of(create(name, num_classes=10))
    for feature, path in PLACES[name].items():
        expected = params
        for key in path.split("/"):
            expected = expected[key]
        scale, bias = norm_before(params, feature)
        assert scale is expected["scale"] and bias is expected["bias"]
        assert scale.shape == features[feature].shape[-1:]


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_1", "vgg8", "mobilenet_v2_half"])
def test_every_such_feature_has_one(name):
    params, features = shapes_of(create(name, num_classes=10))
    for feature in features:
        if feature.endswith("_preact"):
            assert norm_before(params, feature)[0].shape == features[feature].shape[-1:]


def test_a_norm_called_as_the_feature():
    params, _ = shapes_of(staged(10))
    assert norm_before(params, "stage2_preact")[0] is params["stage2_norm"]["scale"]


@pytest.mark.parametrize(
    ("name", "feature", "message"),
    [
        ("shufflenet_v2", "stage1_preact", "expected one of last_preact, or"),
        ("mobilenet_v2", "stage3_preact", "expected one of last_preact, or"),
        ("resnet8", "stage4_preact", "one of stage1_preact, stage2_preact, stage3_pre"),
        ("resnet8", "stage1", "no batch norm of its own before 'stage1'"),
        (
            "wrn_16_1",
            "stage4_preact",
            "one of stage1_preact, stage2_preact, stage3_pre",
        ),
    ],
)
def test_what_has_none_is_named(name, feature, message):
    params, _ = shapes_of(create(name, num_classes=10))
    with pytest.raises(InputError, match=message):
        norm_before(params, feature)
