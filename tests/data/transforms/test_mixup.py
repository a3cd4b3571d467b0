"""Mixtures against NumPy and SciPy, on one device and on eight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from kdjax.data.transforms import mixup
from kdjax.data.transforms.augment import Augment
from kdjax.types import Batch
from tests.datasets.miniatures import images

PLAIN = Augment(mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3), padding=2, flip=True)
MIXED = Augment(
    mean=PLAIN.mean, std=PLAIN.std, padding=PLAIN.padding, flip=True, mixup=1.0
)
shares = jax.jit(mixup.draw_shares, static_argnames="alpha")
train = jax.jit(MIXED.train, static_argnums=1)


def batch_of(index, epoch=0, shape=(8, 8, 3)):
    pictures = images(0, 200, shape)
    index = np.asarray(index, np.int32)
    return Batch(
        image=jnp.asarray(pictures[index]),
        label=jnp.zeros(len(index), jnp.int32),
        index=jnp.asarray(index),
        epoch=jnp.full(len(index), epoch, jnp.int32),
        sample_info={},
    )


def test_a_row_gets_a_share_of_the_row_before_it():
    random = np.random.default_rng(0)
    image = random.normal(size=(5, 3, 4, 2)).astype(np.float32)
    share = random.uniform(0.5, 1.0, 5).astype(np.float32)
    actual = mixup.mix(jnp.asarray(image), jnp.asarray(share))
    for row in range(5):
        own, other = np.float64(image[row]), np.float64(image[(row + 4) % 5])
        expected = share[row] * own + (1.0 - share[row]) * other
        np.testing.assert_allclose(actual[row], expected, rtol=1e-6, atol=1e-7)


def test_a_training_image_is_the_mixture_of_its_crop_and_the_one_before():
    batch = batch_of(range(40, 52), epoch=3)
    crops = np.float64(jax.jit(PLAIN.train, static_argnums=1)(batch, 7))
    share = np.float64(shares(7, batch.epoch, batch.index, alpha=1.0))
    share = share[:, None, None, None]
    expected = share * crops + (1.0 - share) * np.concatenate([crops[-1:], crops[:-1]])
    np.testing.assert_allclose(train(batch, 7), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.4, 1.0, 1.5, 4.0, 100.0])
def test_the_shares_have_the_distribution_of_the_paper(alpha):
    """Kolmogorov and Smirnov's distance to the larger of b and 1 - b, b ~ Beta."""
    count = 20000
    index = jnp.arange(count, dtype=jnp.int32)
    actual = np.sort(np.float64(shares(1, jnp.zeros_like(index), index, alpha=alpha)))
    assert actual[0] >= 0.5 and actual[-1] <= 1.0
    # In the smaller share: float32 cannot tell the largest from 1.
    below = 2.0 * scipy.stats.beta.cdf(1.0 - actual[::-1], alpha, alpha)
    steps = np.arange(count + 1) / count
    visited = 1.0 - actual[::-1] > 1e-6
    far = np.maximum(np.abs(below - steps[1:]), np.abs(below - steps[:-1]))[visited]
    assert far.max() < 1.95 / np.sqrt(count)  # exceeded by chance once in 1000


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 2.0, 10.0])
def test_quantiles_against_double_precision(alpha):
    part = (np.arange(4096) + 0.5) / 4096
    actual = mixup._quantile(jnp.asarray(part, jnp.float32), alpha)
    expected = 1.0 - scipy.stats.beta.ppf(part / 2.0, alpha, alpha)
    np.testing.assert_allclose(actual, expected, atol=5e-5)


def test_a_share_depends_on_seed_epoch_and_index_only():
    index = jnp.arange(100, dtype=jnp.int32)
    zero = jnp.zeros_like(index)
    first = shares(3, zero, index, alpha=1.0)
    np.testing.assert_array_equal(
        first[20:30], shares(3, zero[:10], index[20:30], alpha=1.0)
    )
    with jax.default_prng_impl("rbg"):
        again = mixup.draw_shares(3, zero, index, alpha=1.0)
    np.testing.assert_array_equal(first, again)
    for other in (
        shares(4, zero, index, alpha=1.0),
        shares(3, zero + 1, index, alpha=1.0),
    ):
        assert np.mean(np.asarray(first) == np.asarray(other)) < 0.05


def test_crops_and_order_are_those_of_a_run_without_mixtures():
    """With so small an alpha every share is 1: only the mixing is switched on."""
    batch = batch_of(range(16))
    almost = Augment(
        mean=PLAIN.mean, std=PLAIN.std, padding=PLAIN.padding, flip=True, mixup=1e-4
    )
    actual = jax.jit(almost.train, static_argnums=1)(batch, 5)
    expected = jax.jit(PLAIN.train, static_argnums=1)(batch, 5)
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_evaluation_mixes_nothing():
    image = batch_of(range(4)).image
    np.testing.assert_array_equal(MIXED.evaluate(image), PLAIN.evaluate(image))


def test_eight_devices_see_what_one_sees_and_send_one_image_each():
    batch = batch_of(range(32))
    expected = train(batch, 5)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    compiled = jax.jit(MIXED.train, static_argnums=1, out_shardings=split)
    placed = jax.device_put(batch, split)
    # Whether a product and a sum are rounded once or twice is up to the compiler.
    np.testing.assert_allclose(compiled(placed, 5), expected, rtol=1e-6, atol=1e-6)
    program = compiled.lower(placed, 5).compile().as_text()
    for collective in ("all-gather", "all-to-all", "all-reduce"):
        assert collective not in program
    sent = [x for x in program.splitlines() if " collective-permute(" in x]
    assert sent and all("f32[1,8,8,3]" in line for line in sent)


@pytest.mark.errors
@pytest.mark.parametrize("alpha", [-1.0, 101.0, float("nan"), float("inf")])
def test_errors_name_what_came(alpha):
    with pytest.raises(ValueError, match="mixup is .*expected a number from 0 to 100"):
        Augment(mean=(0.5,), std=(0.5,), padding=0, flip=False, mixup=alpha)
    zero = jnp.zeros(2, jnp.int32)
    with pytest.raises(ValueError, match="draw_shares: alpha is"):
        mixup.draw_shares(0, zero, zero, alpha=alpha)
    with pytest.raises(ValueError, match="mix: share has batch=3"):
        mixup.mix(jnp.zeros((2, 4, 4, 1)), jnp.zeros(3))
