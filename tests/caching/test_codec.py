"""What is stored of logits, and what is lost, against float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.caching.codec import StoredFeatures, decode, encode
from kdjax.caching.layout import Layout
from kdjax.contracts import InputError
from kdjax.types import Outputs

CLASSES = 1000


def layout(classes=CLASSES, **changes):
    plain = {"examples": 8, "classes": classes, "members": 0, "dtype": "float32"}
    return Layout(**plain | {"top_k": 0, "features": {}} | changes)


@pytest.fixture(scope="module")
def logits():
    """Classes in groups of ten, as species are; three of four are certain."""
    random = np.random.default_rng(0)
    groups = np.repeat(random.normal(size=(CLASSES // 10, 64)), 10, 0)
    weights = groups + random.normal(size=(CLASSES, 64))
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    own = weights[random.integers(0, CLASSES, 1000)]
    pull = random.normal(12.0, 3.0, (1000, 1))
    return (1.6 * random.normal(size=(1000, 64)) + pull * own) @ weights.T


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def kl(teacher, other, tau):
    """Mean KL(teacher || other) of softened predictions, in float64."""
    p, q = (log_softmax(np.asarray(z, np.float64) / tau) for z in (teacher, other))
    return (np.exp(p) * (p - q)).sum(-1).mean()


def there_and_back(logits, here):
    @jax.jit
    def both(logits):
        rows = encode(Outputs(logits, {}), here)
        rows = {
            name: rows[name].astype(dtype) for name, (_, dtype) in here.arrays().items()
        }
        return decode(rows, here).logits

    return np.asarray(both(jnp.asarray(logits, jnp.float32)))


def reference(logits, k):
    """The k largest as they are; all others share their probability evenly."""
    p = np.exp(log_softmax(logits))
    order = np.argsort(-logits, -1)
    top, rest = order[:, :k], order[:, k:]
    shared = np.take_along_axis(p, rest, -1).mean(-1, keepdims=True)
    out = np.repeat(shared, logits.shape[-1], 1)
    np.put_along_axis(out, top, np.take_along_axis(p, top, -1), -1)
    return out


def test_all_logits_come_back_bit_for_bit(logits):
    single = np.asarray(logits, np.float32)
    np.testing.assert_array_equal(there_and_back(single, layout()), single)


def test_half_precision_loses_half_a_unit(logits):
    found = there_and_back(logits, layout(dtype="float16"))
    np.testing.assert_allclose(found, logits, rtol=2**-11, atol=1e-6)
    assert 1e-9 < kl(logits, found, 1.0) < 1e-5


@pytest.mark.parametrize("k", (1, 20, 999))
def test_at_temperature_one_every_mass_is_exact(logits, k):
    found = np.exp(log_softmax(there_and_back(logits, layout(top_k=k)).astype(float)))
    np.testing.assert_allclose(found, reference(logits, k), rtol=2e-5)


# KL(teacher || stored) in nats, and its share of KL(teacher || uniform), all that the
# target says. As the docstring of the codec has it.
LOST = {(10, 1): 0.035, (50, 1): 0.0136, (200, 1): 0.0030, (50, 2): 0.118}
LOST |= {(10, 4): 0.624, (50, 4): 0.440, (200, 4): 0.209, (50, 20): 0.707}


@pytest.mark.parametrize(("k", "tau"), LOST)
def test_how_much_of_the_target_is_lost(logits, k, tau):
    found = there_and_back(logits, layout(top_k=k, dtype="float16"))
    share = kl(logits, found, tau) / kl(logits, 0 * logits, tau)
    assert share == pytest.approx(LOST[k, tau], rel=0.02)


@pytest.mark.parametrize("tau", (1.0, 4.0))
def test_the_error_falls_with_k(logits, tau):
    ks = (1, 20, 100, 500)
    errors = [kl(logits, there_and_back(logits, layout(top_k=k)), tau) for k in ks]
    assert all(a > b > 0 for a, b in zip(errors, errors[1:], strict=False))
    np.testing.assert_array_less(errors[-1], errors[0] / 10)


@pytest.mark.parametrize("tau", (0.5, 2.0, 4.0))
def test_above_temperature_one_the_rest_weighs_too_much(logits, tau):
    """Jensen: sum_j exp(z_j)^(1/tau) <= m (mean_j exp(z_j))^(1/tau) for tau > 1."""
    found = there_and_back(logits, layout(top_k=50)).astype(float)
    rest = np.argsort(-logits, -1)[:, 50:]
    true, kept = (
        np.take_along_axis(np.exp(log_softmax(z / tau)), rest, -1).sum(-1)
        for z in (logits, found)
    )
    assert np.all(kept > true if tau > 1 else kept < true)


def test_logits_of_a_hundred_thousand_and_ties(logits):
    big = np.asarray(logits * 1e4, np.float32)
    assert np.isfinite(there_and_back(big, layout(top_k=5))).all()
    flat = there_and_back(np.zeros((2, CLASSES)), layout(top_k=5))
    np.testing.assert_allclose(flat, 0.0, atol=1e-6)


def test_class_numbers_are_as_small_as_they_can_be():
    assert layout(top_k=5).arrays()["classes"][1] == np.uint16
    assert layout(classes=70_000, top_k=5).arrays()["classes"][1] == np.uint32
    high = np.zeros((1, 70_000), np.float32)
    high[0, 69_999] = 3.0
    found = there_and_back(high, layout(classes=70_000, top_k=2))
    assert found.argmax() == 69_999


@pytest.mark.parametrize("top_k", (0, 3))
def test_members_come_back_each_and_as_their_mean(top_k):
    random = np.random.default_rng(1)
    members = random.normal(size=(4, 2, 6)).astype(np.float32)
    here = layout(classes=6, members=2, top_k=top_k, features={"pooled": (2, 5)})
    pooled = random.normal(size=(4, 2, 5)).astype(np.float32)
    features = {"pooled": jnp.asarray(pooled)}
    logits = jnp.asarray(members.mean(1))
    outputs = Outputs(logits, features, jnp.asarray(members))
    found = jax.jit(lambda outputs: decode(encode(outputs, here), here))(outputs)
    np.testing.assert_array_equal(found.features["pooled"], pooled)
    each = members.reshape(8, 6)
    wanted = log_softmax(np.log(reference(each, 3))) if top_k else log_softmax(each)
    own = np.asarray(found.member_logits, np.float64).reshape(8, 6)
    np.testing.assert_allclose(log_softmax(own), wanted, atol=1e-5)
    mean = np.asarray(found.member_logits).mean(1)
    np.testing.assert_allclose(found.logits, mean, atol=1e-6)


def test_a_divided_batch_is_decoded_where_it_lies():
    """No rows travel between devices: a scatter over the batch would gather them."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    here = layout(classes=40, top_k=4)
    stored = {
        name: jax.ShapeDtypeStruct((16, *shape), dtype, sharding=rows)
        for name, (shape, dtype) in here.arrays().items()
    }
    both = jax.jit(lambda rows: decode(rows, here).logits, out_shardings=rows)
    program = both.lower(stored).compile().as_text()
    assert "all-" not in program and "collective" not in program


@pytest.mark.errors
def test_a_feature_that_is_not_there_is_named():
    stored = StoredFeatures(pooled=jnp.ones(3))
    assert "members" not in stored and stored.get("members") is None
    with pytest.raises(InputError, match=r"feature 'stage1', and the cache holds pool"):
        stored["stage1"]
    doubled = jax.jit(lambda s: jax.tree.map(lambda x: 2 * x, s))(stored)
    assert type(doubled) is StoredFeatures and doubled["pooled"][0] == 2
