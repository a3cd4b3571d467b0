"""Boxes against NumPy, mixtures and their shares against loops."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from kdjax.data.transforms import cutmix, mixup
from kdjax.data.transforms.augment import Augment
from tests.data.transforms.test_mixup import MIXED, PLAIN, batch_of

CUT = dataclasses.replace(PLAIN, cutmix=1.0)
BOTH = dataclasses.replace(MIXED, cutmix=1.0)
boxes = jax.jit(cutmix.draw_boxes, static_argnames=("alpha", "height", "width"))
cut_and_share = jax.jit(CUT.train_mixed, static_argnums=(1, 2, 3))
both_and_share = jax.jit(BOTH.train_mixed, static_argnums=(1, 2, 3))
plain = jax.jit(PLAIN.train, static_argnums=(1, 2, 3))


def drawn_boxes(count, alpha=1.0, height=8, width=8, seed=7, epoch=3):
    index = jnp.arange(count, dtype=jnp.int32)
    how = {"alpha": alpha, "height": height, "width": width}
    return np.asarray(boxes(seed, jnp.full_like(index, epoch), index, **how))


@pytest.mark.parametrize("height, width", [(32, 32), (7, 12)])
def test_boxes_against_the_paper(height, width):
    """Corner by corner, with the bits that were drawn."""
    index = jnp.arange(200, dtype=jnp.int32)
    bits = mixup.sample_bits(7, cutmix._STREAM, index * 0 + 3, index, (4,))
    actual = drawn_boxes(200, 1.0, height, width)
    for i, (first, second, third, fourth) in enumerate(np.asarray(bits, np.int64)):
        part = 0.5 * ((first >> 8) + 0.5) / 2**24  # the smaller of l and 1 - l
        cut = np.float32(1 - part if second >> 31 else part)
        expected = []
        for size, place in ((height, third), (width, fourth)):
            centre, side = place % size, int(size * np.sqrt(cut))
            expected += [max(centre - side // 2, 0), min(centre + side // 2, size)]
        assert actual[i].tolist() == expected


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_the_uncut_part_has_the_distribution_of_the_paper(alpha):
    """Boxes that no border cuts: their sides are those of 1 - Beta."""
    size = 400
    box = drawn_boxes(20000, alpha, size, size)
    sides = box[:, 1::2] - box[:, ::2]
    random = np.random.default_rng(0)
    side = np.floor(size * np.sqrt(1 - random.beta(alpha, alpha, 200000))) // 2 * 2
    centre = random.integers(0, size, (2, 200000))
    expected = np.minimum(centre + side // 2, size) - np.maximum(centre - side // 2, 0)
    for part in (0.1, 0.25, 0.5, 0.75, 0.9):
        low = np.quantile(sides, part) / size
        assert low == pytest.approx(np.quantile(expected, part) / size, abs=0.015)


def test_the_box_is_of_the_row_before_and_the_share_is_exact():
    batch = batch_of(range(40, 52), epoch=3)
    image, partner, share = cut_and_share(batch, 7)
    crops = np.asarray(plain(batch, 7))
    index, epoch = batch.index, batch.epoch
    box = np.asarray(boxes(7, epoch, index, alpha=1.0, height=8, width=8))
    for i, (top, bottom, left, right) in enumerate(box):
        expected = crops[i].copy()
        expected[top:bottom, left:right] = crops[i - 1][top:bottom, left:right]
        np.testing.assert_array_equal(image[i], expected)
        area = (bottom - top) * (right - left)
        assert float(share[i]) == pytest.approx(1 - area / 64, abs=1e-7)
    np.testing.assert_array_equal(partner, np.arange(-1, 11) % 12)
    assert 0 < np.min(share) and np.unique(share).size > 4


def test_shares_of_mixup_are_those_of_its_images():
    batch = batch_of(range(12), epoch=1)
    image, partner, share = jax.jit(MIXED.train_mixed, static_argnums=1)(batch, 5)
    crops = np.float64(plain(batch, 5))
    own = np.float64(share)[:, None, None, None]
    expected = own * crops + (1 - own) * crops[np.asarray(partner)]
    np.testing.assert_allclose(image, expected, rtol=1e-5, atol=1e-6)


def test_without_mixtures_each_label_is_its_own():
    batch = batch_of(range(6))
    image, partner, share = jax.jit(PLAIN.train_mixed, static_argnums=1)(batch, 5)
    np.testing.assert_allclose(image, plain(batch, 5), atol=1e-6)
    np.testing.assert_array_equal(partner, np.arange(6))
    np.testing.assert_array_equal(share, np.ones(6, np.float32))


def test_with_both_each_sample_takes_one():
    batch = batch_of(range(200))
    image, partner, share = both_and_share(batch, 5)
    mixed = jax.jit(MIXED.train_mixed, static_argnums=1)(batch, 5)
    cut = cut_and_share(batch, 5)
    took = []
    for i in range(200):
        near = [np.allclose(image[i], of[0][i], atol=1e-5) for of in (mixed, cut)]
        near = [
            n and share[i] == of[2][i] for n, of in zip(near, (mixed, cut), strict=True)
        ]
        assert any(near)
        took.append(near)
    took = np.array(took)
    alone = took[took.sum(1) == 1]
    assert 70 < alone[:, 0].sum() < 130 and 70 < alone[:, 1].sum() < 130
    part = both_and_share(batch_of(range(60, 90)), 5)
    np.testing.assert_array_equal(part[2], share[60:90])
    np.testing.assert_allclose(part[0][1:], image[61:90], atol=1e-6)


def test_a_view_has_a_box_of_its_own():
    batch = batch_of(range(24))
    _, _, first = cut_and_share(batch, 5)
    image, _, second = cut_and_share(batch, 5, 1)
    assert np.mean(np.asarray(first) == np.asarray(second)) < 0.5
    alone = jax.jit(CUT.train, static_argnums=(1, 2))(batch, 5, 1)
    np.testing.assert_allclose(image, alone, atol=1e-6)


def test_eight_devices_compute_what_one_does_and_send_one_image_each():
    batch = batch_of(range(32))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    compiled = jax.jit(BOTH.train_mixed, static_argnums=1, out_shardings=split)
    placed = jax.device_put(batch, split)
    for actual, expected in zip(
        compiled(placed, 5), both_and_share(batch, 5), strict=True
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)
    program = compiled.lower(placed, 5).compile().as_text()
    for collective in ("all-gather", "all-to-all", "all-reduce"):
        assert collective not in program
    sent = [x for x in program.splitlines() if " collective-permute(" in x]
    assert any("f32[1,8,8,3]" in line for line in sent)
    assert not any("f32[4,8,8,3]" in line for line in sent)


@pytest.mark.errors
@pytest.mark.parametrize("alpha", [-1.0, 101.0, float("nan")])
def test_errors_name_what_came(alpha):
    with pytest.raises(ValueError, match="cutmix is .*expected a number from 0 to 100"):
        Augment(mean=(0.5,), std=(0.5,), padding=0, flip=False, cutmix=alpha)
    with pytest.raises(ValueError, match="mix: share has shape .2, 4.; expected"):
        mixup.mix(jnp.zeros((2, 4, 4, 1)), jnp.zeros((2, 4)))
