"""NNX modules as networks, against the modules called by NNX itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from kdjax.models import Network, from_linen, from_nnx

IMAGES = jax.random.normal(jax.random.key(0), (6, 8, 8, 3))
LABELS = jnp.arange(6) % 5
KEY = jax.random.key(1)


@pytest.fixture(scope="module", autouse=True)
def as_users_have_it():
    """Modules of others promote, and know nothing of what our tests forbid."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


class Net(nnx.Module):
    """Batch norm, dropout, a list of layers and a table that nothing trains."""

    def __init__(self, width: int = 4, *, rngs: nnx.Rngs):
        self.conv = nnx.Conv(3, width, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        sizes = [nnx.Linear(width, width, rngs=rngs) for _ in range(2)]
        self.blocks = nnx.List(sizes)
        self.offset = jnp.arange(5.0)
        self.head = nnx.Linear(width, 5, rngs=rngs)

    def __call__(self, images):
        x = nnx.relu(self.norm(self.conv(images))).mean((1, 2))
        for block in self.blocks:
            x = x + block(x)
        return self.head(self.drop(x)) + self.offset


class Noisy(nnx.Module):
    """Random in evaluation too."""

    def __init__(self, rngs: nnx.Rngs):
        self.head, self.rngs = nnx.Linear(3, 5, rngs=rngs), rngs

    def __call__(self, images):
        noise = jax.random.normal(self.rngs.noise(), (len(images), 5))
        return self.head(images.mean((1, 2))) + noise


class Flagged(nnx.Module):
    """Doubles its logits in training; takes its random numbers by the call."""

    def __init__(self, rngs: nnx.Rngs):
        self.head = nnx.Linear(3, 5, rngs=rngs)
        self.drop = nnx.Dropout(0.5)

    def __call__(self, images, train: bool, rngs=None):
        x = self.drop(images.mean((1, 2)), deterministic=not train, rngs=rngs)
        return self.head(x) * (2.0 if train else 1.0)


class Growing(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.head = nnx.Linear(3, 5, rngs=rngs)

    def __call__(self, images):
        self.seen = nnx.Variable(jnp.zeros(()))
        return self.head(images.mean((1, 2)))


def pair():
    """A module, the network of it, and its variables."""
    module = Net(rngs=nnx.Rngs(7))
    module.norm.mean[...] = jnp.array([0.1, -0.2, 0.3, 0.0])
    network = from_nnx(module)
    return module, network, network.init(KEY, IMAGES)


def seeded(module, key):
    """The module with its stream as `train` starts it; NNX counts from 0 by itself."""
    stream = module.drop.rngs
    # Of the two arrays of the one stream, count and key, the key is the second.
    stream.key[...] = jax.random.fold_in(key, 1)
    return module


def flat(tree):
    return {
        "/".join(str(getattr(k, "key", getattr(k, "name", k))) for k in path): leaf
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }


def loss_of(logits):
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(6), LABELS])


@pytest.fixture(scope="module")
def trained():
    """(the network's logits, gradients and statistics, NNX's own) of one step."""
    module, network, (params, stats) = pair()
    seeded(module, KEY).train()

    @nnx.jit
    def theirs(module):
        def loss(module):
            logits = module(IMAGES)
            return loss_of(logits), logits

        (_, logits), gradients = nnx.value_and_grad(loss, has_aux=True)(module)
        return logits, gradients

    @jax.jit
    def ours(params):
        def loss(params):
            outputs, following = network.train(params, stats, IMAGES, KEY)
            return loss_of(outputs.logits), (outputs.logits, following)

        gradients, rest = jax.grad(loss, has_aux=True)(params)
        return *rest, gradients

    logits, gradients = theirs(module)
    statistics = {"mean": module.norm.mean[...], "var": module.norm.var[...]}
    return ours(params), (logits, statistics, nnx.to_pure_dict(gradients))


def test_logits_with_dropout_are_those_of_the_module(trained):
    (ours, _, _), (theirs, _, _) = trained
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_running_statistics_are_those_of_the_module(trained):
    (_, ours, _), (_, theirs, _) = trained
    assert set(ours) == {"norm", "offset"} and set(ours["norm"]) == set(theirs)
    for name, expected in theirs.items():
        np.testing.assert_allclose(ours["norm"][name], expected, rtol=1e-5)
    np.testing.assert_array_equal(ours["offset"], np.arange(5.0))


def test_gradients_are_those_of_the_module(trained):
    (_, _, ours), (_, _, theirs) = trained
    assert flat(ours).keys() == flat(theirs).keys() and len(flat(ours)) == 10
    for name, expected in flat(theirs).items():
        np.testing.assert_allclose(flat(ours)[name], expected, rtol=1e-4, atol=1e-6)


def test_evaluation_is_that_of_the_module():
    module, network, variables = pair()
    outputs = jax.jit(network.evaluate)(*variables, IMAGES)
    module.eval()
    np.testing.assert_allclose(outputs.logits, module(IMAGES), rtol=1e-5, atol=1e-6)
    module.train()
    assert np.abs(outputs.logits - module(IMAGES)).max() > 0.01  # the modes differ


def test_a_function_draws_from_the_key_and_a_module_keeps_its_weights():
    drawn = from_nnx(lambda rngs: Net(rngs=rngs))
    one, again, other = (drawn.init(jax.random.key(k), IMAGES)[0] for k in (1, 1, 2))
    kernel = np.asarray(one["head"]["kernel"])
    np.testing.assert_array_equal(kernel, again["head"]["kernel"])
    assert (kernel != other["head"]["kernel"]).all()
    module, network, (params, _) = pair()
    module.head.kernel[...] *= 2.0  # the network has a copy
    np.testing.assert_allclose(2 * params["head"]["kernel"], module.head.kernel[...])
    for key in (1, 2):
        kept = network.init(jax.random.key(key), IMAGES)[0]["head"]["kernel"]
        np.testing.assert_array_equal(kept, params["head"]["kernel"])


def test_dropout_draws_from_the_key_alone():
    _, network, variables = pair()
    first, again, other = (
        network.train(*variables, IMAGES, jax.random.key(k))[0].logits
        for k in (1, 1, 2)
    )
    assert (first == again).all() and (first != other).any()


def test_a_flag_and_random_numbers_by_the_call():
    network = from_nnx(Flagged)
    variables = network.init(KEY, IMAGES)
    evaluated = network.evaluate(*variables, IMAGES).logits
    head = variables[0]["head"]
    expected = np.asarray(IMAGES).mean((1, 2)) @ np.asarray(head["kernel"])
    np.testing.assert_allclose(evaluated, expected + head["bias"], rtol=1e-4, atol=1e-5)
    # Of three channels one at least is dropped or doubled in some image.
    logits = network.train(*variables, IMAGES, KEY)[0].logits
    assert (np.abs(logits / 2 - evaluated) > 1e-4).any()


def test_features_are_what_submodules_return():
    module, _, variables = pair()
    network = from_nnx(module, features={"first": "blocks/0", "map": "conv"})
    features = network.evaluate(*variables, IMAGES).features
    np.testing.assert_allclose(features["map"], module.conv(IMAGES), rtol=1e-5)
    module.eval()
    pooled = nnx.relu(module.norm(module.conv(IMAGES))).mean((1, 2))
    expected = module.blocks[0](pooled)
    np.testing.assert_allclose(features["first"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("make", "call", "message"),
    [
        (lambda: from_nnx(Noisy), "evaluate", "Noisy.*random numbers.*evaluated"),
        (lambda: from_nnx(Net), "train", "Net.*random numbers.*without one"),
        (lambda: from_nnx(Growing), "train", "Growing.*which Variables.*seen"),
        (lambda: from_nnx(Net, features={"a": "tail"}), "evaluate", "no submodule"),
        (lambda: from_nnx(Net, features={"a": "offset"}), "evaluate", "no submodule"),
    ],
)
def test_modules_that_cannot_be_networks(make, call, message):
    network = make()
    variables = network.init(KEY, IMAGES)
    with pytest.raises(ValueError, match=message):
        getattr(network, call)(*variables, IMAGES)


@pytest.mark.errors
def test_what_is_no_module_is_said():
    with pytest.raises(TypeError, match="module is int; expected an nnx.Module"):
        from_nnx(3)
    with pytest.raises(TypeError, match="returned int; expected an nnx.Module"):
        from_nnx(lambda rngs: 3).init(KEY, IMAGES)


class Bridged(nn.Module):
    """A Linen module with layers of NNX, in one mode or in that of its flag."""

    says_its_mode: bool

    @nn.compact
    def __call__(self, images, train: bool):
        mode = {"use_running_average": not train} if self.says_its_mode else {}
        hidden = nnx.bridge.to_linen(nnx.BatchNorm, 3)(images, **mode)
        return nnx.bridge.to_linen(nnx.Linear, 3, 5)(hidden.mean((1, 2)))


@pytest.mark.errors
@pytest.mark.parametrize(
    "module", [nnx.bridge.to_linen(Net), Bridged(says_its_mode=False)]
)
def test_a_bridged_module_that_would_evaluate_as_it_trains_is_refused(module):
    with pytest.raises(
        ValueError, match="to_linen.*would evaluate as it trains.*from_nnx"
    ):
        from_linen(module).init(KEY, IMAGES)


def test_a_bridged_module_that_is_told_its_mode_is_right():
    network = from_linen(Bridged(says_its_mode=True))
    params, stats = network.init(KEY, IMAGES)
    _, following = network.train(params, stats, IMAGES)
    moved = [
        (a != b).any()
        for a, b in zip(*map(jax.tree.leaves, (stats, following)), strict=True)
    ]
    assert all(moved) and len(moved) == 2
    one = network.evaluate(params, following, IMAGES[:1]).logits
    both = network.evaluate(params, following, IMAGES[:2]).logits
    np.testing.assert_allclose(one, both[:1], rtol=1e-5)


def test_it_is_a_network():
    assert isinstance(from_nnx(Net), Network)
