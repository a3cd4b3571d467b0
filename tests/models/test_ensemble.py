"""An ensemble is its members side by side, and nothing of one reaches another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.models.ensemble import ensemble
from tests.networks import linear, tiny

KEY = jax.random.key(3)


def images(seed=0):
    return jax.random.normal(jax.random.key(seed), (4, 8, 8, 1))


@pytest.fixture(scope="module")
def pair():
    network = ensemble((tiny(5), tiny(5)))
    return network, jax.jit(network.init)(KEY, images())


def test_members_begin_differently_and_answer_for_themselves(pair):
    network, (params, stats) = pair
    outputs = network.evaluate(params, stats, images())
    alone = [
        tiny(5).evaluate(params[name], stats[name], images()).logits
        for name in ("member0", "member1")
    ]
    assert np.abs(alone[0] - alone[1]).max() > 1e-3
    np.testing.assert_allclose(
        outputs.member_logits, np.stack(alone, 1), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(outputs.logits, sum(alone) / 2, rtol=1e-5, atol=1e-6)
    assert outputs.features["pooled"].shape == (4, 2, 8)


def test_each_member_may_train_on_images_of_its_own(pair):
    network, (params, stats) = pair
    together, moved = network.train(params, stats, (images(1), images(2)))
    for i, seed in enumerate((1, 2)):
        name = f"member{i}"
        alone, own = tiny(5).train(params[name], stats[name], images(seed))
        np.testing.assert_allclose(
            together.member_logits[:, i], alone.logits, rtol=1e-5, atol=1e-6
        )
        jax.tree.map(np.testing.assert_array_equal, own, moved[name])


def test_a_loss_of_one_member_does_not_move_the_other(pair):
    network, (params, stats) = pair

    def first(params):
        outputs, _ = network.train(params, stats, images())
        return jnp.sum(outputs.member_logits[:, 0] ** 2)

    gradient = jax.grad(first)(params)
    assert not any(np.asarray(g).any() for g in jax.tree.leaves(gradient["member1"]))
    assert any(np.asarray(g).any() for g in jax.tree.leaves(gradient["member0"]))


def test_networks_without_pooled_features_have_none_together():
    network = ensemble((linear(5), tiny(5), linear(5)))
    variables = jax.eval_shape(network.init, KEY, images())
    outputs = jax.eval_shape(network.evaluate, *variables, images())
    assert not outputs.features
    assert outputs.member_logits.shape == (4, 3, 5)


@pytest.mark.errors
def test_errors(pair):
    with pytest.raises(ValueError, match="1 network.*expected two or more"):
        ensemble((tiny(5),))
    network, (params, stats) = pair
    with pytest.raises(ValueError, match="3 arrays of images for 2 networks"):
        network.train(params, stats, (images(),) * 3)
    mixed = ensemble((linear(5), linear(6)))
    variables = jax.eval_shape(mixed.init, KEY, images())
    with pytest.raises(ValueError, match="expected the same classes"):
        jax.eval_shape(mixed.evaluate, *variables, images())
