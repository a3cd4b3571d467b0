"""A network that predicts with another one's classifier."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.models.classifiers import Projector, Reuse, classifier_of
from kdjax.models.classifiers import with_reused_classifier as reusing
from tests.models.test_connectors_reference import close, convolve, normalise, relu
from tests.networks import linear, staged

IMAGES = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype(np.float32)
KERNEL = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32)
BIAS = np.float32([1, 2, 3, 4, 5])
REUSE = Reuse("stage1_preact", channels=6, factor=2, sides=(4, 4))


def drawn(network):
    """Variables of which none is 0 or 1, but for the classifier."""
    params, batch_stats = jax.jit(network.init)(jax.random.key(0), IMAGES)
    random = np.random.default_rng(2)
    drawn = jax.tree.map(
        lambda x: np.float32(random.uniform(0.2, 0.9, x.shape)), (params, batch_stats)
    )
    return drawn[0], drawn[1] | {"classifier": batch_stats["classifier"]}


def test_training_is_the_equation_and_evaluation_has_running_moments():
    backbone = staged(5)
    network = reusing(backbone, REUSE, (KERNEL, BIAS))
    params, batch_stats = drawn(network)
    outputs, changed = network.train(params, batch_stats, IMAGES)
    own, _ = backbone.train(params["network"], batch_stats["network"], IMAGES)
    x = relu(np.float64(own.features["stage1_preact"]))
    x = x.reshape(3, 4, 2, 4, 2, 4).mean((2, 4))  # 8x8 to the teacher's 4x4
    weights = params["projector"]
    for i, pad in ((1, 0), (2, 1), (3, 0)):
        x = convolve(x, weights[f"conv{i}"], pad=pad)
        x = relu(normalise(x, weights[f"norm{i}"]))
    close(outputs.features["projected"], x, rtol=1e-4)
    close(outputs.features["pooled"], x.mean((1, 2)), rtol=1e-4)
    close(outputs.logits, x.mean((1, 2)) @ KERNEL + BIAS, rtol=1e-4)
    assert outputs.features.keys() > {"stage1", "stage3_preact"}
    # The classifier stays, all statistics move.
    np.testing.assert_array_equal(changed["classifier"]["kernel"], KERNEL)
    for name in ("network", "projector"):
        for new, old in zip(
            *map(jax.tree.leaves, (changed[name], batch_stats[name])), strict=True
        ):
            assert (np.asarray(new) != old).any()
    evaluated = network.evaluate(params, changed, IMAGES)
    assert (np.asarray(evaluated.logits) != outputs.logits).any()


def test_the_gradient_reaches_both_parts_and_not_the_unused_head():
    network = reusing(staged(5), REUSE._replace(bias=False), (KERNEL, None))
    params, batch_stats = drawn(network)

    def loss(params):
        outputs, _ = network.train(params, batch_stats, IMAGES)
        return jnp.mean(outputs.features["projected"] ** 2)

    slope = jax.grad(loss)(params)
    assert np.abs(slope["network"]["stem_conv"]["kernel"]).max() > 0
    assert np.abs(slope["projector"]["conv1"]["kernel"]).max() > 0
    assert not np.abs(slope["network"]["head"]["kernel"]).max()


def test_counts_and_zeros_without_a_classifier():
    network = reusing(staged(5), REUSE._replace(bias=False, sides=None))
    shape = jax.ShapeDtypeStruct(IMAGES.shape, jnp.float32)
    params, batch_stats = jax.eval_shape(network.init, jax.random.key(0), shape)
    leaves = jax.tree.leaves(params["projector"])
    own = 4 * 3 + 9 * 3 * 3 + 3 * 6 + 2 * (3 + 3 + 6)
    assert sum(leaf.size for leaf in leaves) == own
    assert batch_stats["classifier"].keys() == {"kernel"}
    assert jax.eval_shape(
        network.evaluate, params, batch_stats, shape
    ).logits.shape == (
        3,
        5,
    )


def test_smaller_images_than_the_teachers_map_are_not_enlarged():
    network = reusing(staged(5), REUSE)
    params, batch_stats = drawn(network)
    outputs = network.evaluate(params, batch_stats, IMAGES[:, :2, :2])
    assert outputs.features["projected"].shape == (3, 2, 2, 6)


@pytest.mark.parametrize(
    ("reuse", "message"),
    [
        (REUSE._replace(factor=7), "factor is 7; expected at most 6"),
        (REUSE._replace(factor=0), "factor is 0"),
        (REUSE._replace(feature="stage9"), "the student has no feature 'stage9'"),
        (REUSE._replace(feature="pooled"), "the student's pooled has shape"),
    ],
)
def test_what_cannot_work_is_named(reuse, message):
    network = reusing(staged(5), reuse)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(network.init, jax.random.key(0), IMAGES)


def test_the_classifier_of_a_network():
    params, _ = jax.eval_shape(staged(5).init, jax.random.key(0), IMAGES)
    kernel, bias = classifier_of(params, "teacher")
    assert kernel.shape == (16, 5) and bias.shape == (5,)
    others, _ = jax.eval_shape(linear(5).init, jax.random.key(0), IMAGES)
    with pytest.raises(InputError, match="the teacher has no classifier head/kernel"):
        classifier_of(others, "teacher")
    assert Projector(6).factor == 2
