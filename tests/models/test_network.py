"""Conformance: what the project relies on, for every family and for a guest."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from kdjax.models import create, from_linen
from kdjax.models.imagenet_resnet import Bottleneck
from kdjax.models.mobilenet_v1 import MobileNetV1
from kdjax.models.mobilenet_v2 import MobileNetV2
from kdjax.models.residual import BasicBlock, ResNet
from kdjax.models.shufflenet_v1 import ShuffleNetV1
from kdjax.models.shufflenet_v2 import ShuffleNetV2
from kdjax.models.vgg import VGG
from kdjax.types import Outputs

CLASSES = 7
STAGES = {"stage1", "stage2", "stage3"}
PREACTS = {"stage1_preact", "stage2_preact", "stage3_preact"}


class Plain(nn.Module):
    """What a user would write: logits only, flax's own batch norm, a `train` flag."""

    @nn.compact
    def __call__(self, images, train: bool):
        x = nn.Conv(8, (3, 3), strides=2)(images)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        return nn.Dense(CLASSES)(x.mean((1, 2)))


def plain(dtype):
    return from_linen(Plain(), features={"stage1": "Conv_0", "normed": "BatchNorm_0"})


def named(name, **rest):
    return lambda dtype: create(name, num_classes=CLASSES, dtype=dtype, **rest)


def four_stages(block, large_images):
    """The ImageNet family with one narrow block a stage: same code, soon compiled."""
    shape = {"stem": 8, "widths": (8, 8, 12, 16), "blocks": (1, 1, 1, 1)}

    def build(dtype):
        dtype = jnp.dtype(dtype)
        module = ResNet(
            "tiny", CLASSES, block, dtype=dtype, large_images=large_images, **shape
        )
        return from_linen(module)

    return build


def mobile(family, widths, *rest, **more):
    """The MobileNets with one narrow block a stage."""
    strides = (1, 2, 2, 2, 2) if len(widths) == 5 else (1, 2, 2, 2, 1, 2, 1)
    stages = tuple(
        (width, 1, stride) for width, stride in zip(widths, strides, strict=True)
    )

    def build(dtype):
        dtype = jnp.dtype(dtype)
        args = ("tiny", CLASSES, *rest, dtype)
        return from_linen(family(*args, stem=8, stages=stages, **more))

    return build


def small(family, *args, **rest):
    """A family of the benchmark on CIFAR-100 with few and narrow blocks."""

    def build(dtype):
        if family is VGG:
            return from_linen(VGG("tiny", CLASSES, *args, jnp.dtype(dtype), **rest))
        return from_linen(family("tiny", CLASSES, jnp.dtype(dtype), **rest))

    return build


# name -> (builder, side of the image, sides and channels of the features)
NETWORKS = {
    "wide_resnet": (
        named("wide_resnet", depth=10, widths=(8, 12, 16)),
        12,
        {"stem": (12, 16), "stage1": (12, 8), "stage2": (6, 12), "stage3": (3, 16)},
    ),
    "cifar_resnet": (
        named("resnet8"),
        12,
        {"stem": (12, 16), "stage1": (12, 16), "stage2": (6, 32), "stage3": (3, 64)},
    ),
    "imagenet_resnet": (
        four_stages(BasicBlock, large_images=True),
        32,
        {"stem": (16, 8), "stage1": (8, 8), "stage2": (4, 8), "stage4": (1, 16)},
    ),
    "small_images": (
        four_stages(Bottleneck, large_images=False),
        8,
        {"stem": (8, 8), "stage1": (8, 32), "stage2": (4, 32), "stage4": (1, 64)},
    ),
    "mobilenet_v1": (
        mobile(MobileNetV1, (8, 8, 12, 12, 16), "relu"),
        32,
        {"stem": (16, 8), "stage1": (16, 8), "stage2": (8, 8), "stage5": (1, 16)},
    ),
    "mobilenet_v2": (
        mobile(MobileNetV2, (4, 4, 8, 8, 8, 12, 12), last=24),
        32,
        {"stem": (16, 8), "stage2": (8, 4), "stage5": (2, 8), "last": (1, 24)},
    ),
    "mobilenet_v2_half": (
        mobile(MobileNetV2, (4, 4, 8, 8, 8, 12, 12), last=24, benchmark=True),
        32,
        {"stem": (16, 8), "stage1": (8, 4), "stage3": (2, 8), "last": (1, 24)},
    ),
    "shufflenet_v1": (
        small(ShuffleNetV1, stages=((36, 2), (60, 1))),
        12,
        {"stem": (12, 24), "stage1": (6, 36), "stage2": (3, 60)},
    ),
    "shufflenet_v2": (
        small(ShuffleNetV2, stages=((8, 2), (12, 2)), last=16),
        12,
        {"stem": (12, 24), "stage1": (6, 8), "stage2": (3, 12), "last": (3, 16)},
    ),
    "vgg": (
        small(VGG, (1, 1, 1, 2, 1), widths=(8, 8, 8, 12, 16)),
        16,
        {"stem": (16, 8), "stage1": (8, 8), "stage3": (2, 12), "stage4": (2, 16)},
    ),
    "plain": (plain, 12, {"stage1": (6, 8), "normed": (6, 8)}),
}
CASES = [(name, "float32", 3) for name in NETWORKS]
CASES += [(name, "bfloat16", 1) for name in ("wide_resnet", "imagenet_resnet")]
SLOW = [("mobilenet_v1", "bfloat16", 1), ("shufflenet_v1", "bfloat16", 1)]
SLOW += [("vgg", "bfloat16", 1)]
SLOW += [c for c in CASES if c[0] in ("mobilenet_v2", "shufflenet_v1")]
CASES = [c for c in CASES if c not in SLOW]
CASES += [pytest.param(c, marks=pytest.mark.long) for c in SLOW]


class Case:
    """One network with its variables and one call of each function, compiled once."""

    def __init__(self, name, dtype, channels):
        build, side, self.sizes = NETWORKS[name]
        self.name, self.dtype = name, jnp.dtype(dtype)
        self.network = build(dtype)
        self.images = jax.random.normal(jax.random.key(1), (4, side, side, channels))
        init = jax.jit(self.network.init)
        self.params, self.stats = init(jax.random.key(0), self.images)
        if name.startswith("mobilenet_v2") or name == "shufflenet_v2":
            # Between its blocks all is linear, so means are 0 until biases are not.
            self.params = jax.tree_util.tree_map_with_path(
                lambda path, x: x + 0.1 * (path[-1].key == "bias"), self.params
            )
        if name in ("mobilenet_v2_half", "shufflenet_v2", "vgg"):
            # Their first kernels are so small that images hardly change the logits.
            self.params = jax.tree_util.tree_map_with_path(
                lambda path, x: x * (3.0 if path[-1].key == "kernel" else 1.0),
                self.params,
            )
        self.before = jax.tree.map(np.array, self.stats)
        train, evaluate = jax.jit(self.network.train), jax.jit(self.network.evaluate)
        self.trained, self.new_stats = train(self.params, self.stats, self.images)
        self.evaluated = evaluate(self.params, self.stats, self.images)
        self.evaluated_again = evaluate(self.params, self.stats, self.images)
        self.evaluated_trained = evaluate(self.params, self.new_stats, self.images)
        others = self.images.at[2:].set(5.0)
        self.evaluated_beside_others = evaluate(self.params, self.stats, others)


@pytest.fixture(scope="module", params=CASES, ids=lambda c: "-".join(map(str, c)))
def case(request):
    return Case(*request.param)


def test_logits_are_float32_rows(case):
    for outputs in (case.trained, case.evaluated):
        assert isinstance(outputs, Outputs)
        assert outputs.logits.shape == (4, CLASSES)
        assert outputs.logits.dtype == jnp.float32
        assert jnp.isfinite(outputs.logits).all()


def test_features_have_the_documented_sizes_and_dtype(case):
    for outputs in (case.trained, case.evaluated):
        for name, (side, channels) in case.sizes.items():
            assert outputs.features[name].shape == (4, side, side, channels), name
            assert outputs.features[name].dtype == case.dtype, name


def test_feature_names(case):
    expected = {
        "wide_resnet": STAGES | PREACTS | {"stem", "pooled"},
        "cifar_resnet": STAGES | PREACTS | {"stem", "pooled"},
        "plain": {"stage1", "normed"},
    }
    for version, stages in ((1, 5), (2, 7)):
        names = {f"stage{stage}" for stage in range(1, stages + 1)}
        names |= {f"{name}_preact" for name in names} if version == 1 else {"last"}
        names |= {"last_preact"} if version == 2 else set()
        expected[f"mobilenet_v{version}"] = names | {"stem", "pooled"}
    two = {"stem", "pooled", "stage1", "stage2", "stage1_preact", "stage2_preact"}
    expected["shufflenet_v1"] = two
    expected["shufflenet_v2"] = two | {"last", "last_preact"}
    four = STAGES | PREACTS | {"stem", "pooled", "stage4", "stage4_preact"}
    expected["mobilenet_v2_half"] = four | {"last", "last_preact"}
    assert set(case.trained.features) == expected.get(case.name, four)
    assert set(case.evaluated.features) == expected.get(case.name, four)


def test_stages_are_the_rectified_preactivations_and_pooled_is_their_mean(case):
    if case.name == "plain":  # promises no such features
        assert "pooled" not in case.evaluated.features
        return
    features = {k: np.float32(v) for k, v in case.evaluated.features.items()}
    preacts = [name for name in features if name.endswith("_preact")]
    last = "last_preact" if "last_preact" in preacts else max(preacts)
    most = 6 if case.name == "mobilenet_v2" else None
    rectified = np.clip(features[last], 0, most)
    np.testing.assert_allclose(features["pooled"], rectified.mean((1, 2)), rtol=1e-5)
    assert case.evaluated.features["pooled"].dtype == jnp.float32
    if case.name == "mobilenet_v2_half":  # its stages are linear
        stages = [name for name in features if f"{name}_preact" in features]
        for name in set(stages) - {"last"}:
            np.testing.assert_array_equal(features[name], features[f"{name}_preact"])
        return
    if case.name == "shufflenet_v2":  # its stages are shuffled, and half is linear
        features.pop("stage1"), features.pop("stage2")
    for name in features:
        if case.name != "wide_resnet" and f"{name}_preact" in features:
            rectified = np.clip(features[f"{name}_preact"], 0, most)
            np.testing.assert_array_equal(features[name], rectified)
            assert features[f"{name}_preact"].min() < 0


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_2"])
def test_logits_alone_are_finite_and_near_those_of_float32(name):
    """Without features a compiler fuses more; jax 0.11.2 made NaN of it on CPUs."""
    images = jax.random.normal(jax.random.key(1), (3, 28, 28, 1))
    low, high = (
        create(name, num_classes=10, dtype=dtype) for dtype in ("bfloat16", "float32")
    )
    variables = jax.jit(low.init)(jax.random.key(0), images)
    result, expected = (
        jax.jit(lambda v, x, n=n: n.evaluate(*v, x).logits)(variables, images)
        for n in (low, high)
    )
    np.testing.assert_allclose(result, expected, atol=5e-2 * abs(expected).max())


def test_params_and_statistics_are_plain_float32_dicts(case):
    def check(tree):
        if isinstance(tree, jax.Array):
            assert tree.dtype == jnp.float32
        else:
            assert type(tree) is dict
            for value in tree.values():
                check(value)

    check(case.params)
    check(case.stats)
    check(case.new_stats)
    assert jax.tree.structure(case.stats) == jax.tree.structure(case.new_stats)


def test_train_changes_every_statistic_and_evaluate_reads_them(case):
    changed = jax.tree.map(
        lambda a, b: not np.allclose(a, b), case.stats, case.new_stats
    )
    assert len(jax.tree.leaves(changed)) > 0
    assert all(jax.tree.leaves(changed))
    assert not np.allclose(case.evaluated.logits, case.evaluated_trained.logits)


def test_evaluate_changes_nothing_and_repeats_itself_exactly(case):
    jax.tree.map(np.testing.assert_array_equal, case.stats, case.before)
    jax.tree.map(np.testing.assert_array_equal, case.evaluated, case.evaluated_again)


def test_evaluate_sees_each_image_alone(case):
    logits, beside = case.evaluated.logits, case.evaluated_beside_others.logits
    np.testing.assert_allclose(logits[:2], beside[:2], atol=1e-5)
    assert not np.allclose(logits[2:], beside[2:], atol=1e-2)


def test_train_normalises_over_the_batch(case):
    alone, _ = jax.eval_shape(
        case.network.train, case.params, case.stats, case.images[:1]
    )
    assert alone.logits.shape == (1, CLASSES)
    assert not np.allclose(case.trained.logits, case.evaluated.logits, atol=1e-3)
