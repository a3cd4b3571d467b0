import dataclasses
import hashlib
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from kdjax.data.transforms import augment
from kdjax.data.transforms.augment import Augment
from kdjax.data.transforms.randaugment import RandAugment
from kdjax.types import Batch
from tests.datasets.miniatures import images

ORDINARY = Augment(mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3), padding=4, flip=True)


# Compiled once a shape; eagerly, every operation would be compiled by itself.
train = jax.jit(ORDINARY.train, static_argnums=1)
draw = jax.jit(augment.draw, static_argnames="padding")


def batch_of(count, shape=(32, 32, 3), epoch=0, first=0):
    index = np.arange(first, first + count, dtype=np.int32)
    return Batch(
        image=jnp.asarray(images(0, first + count, shape)[first:]),
        label=jnp.zeros(count, jnp.int32),
        index=jnp.asarray(index),
        epoch=jnp.full(count, epoch, jnp.int32),
        sample_info={},
    )


def reference_crop(image, row, column, mirror, padding):
    """Pixel by pixel: a window of the zero-padded image, then the mirror."""
    batch, height, width, _ = image.shape
    out = np.zeros_like(image)
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                source_y = y + row[b] - padding
                source_x = (width - 1 - x if mirror[b] else x) + column[b] - padding
                if 0 <= source_y < height and 0 <= source_x < width:
                    out[b, y, x] = image[b, source_y, source_x]
    return out


@pytest.mark.parametrize("shape, padding", [((8, 8, 3), 2), ((5, 9, 1), 3)])
def test_crop_and_flip_against_pixels(shape, padding):
    image = images(1, 60, shape)
    random = np.random.default_rng(2)
    row, column = random.integers(0, 2 * padding + 1, (2, 60), np.int32)
    mirror = random.integers(0, 2, 60).astype(bool)
    arguments = [jnp.asarray(a) for a in (image, row, column, mirror)]
    actual = augment.crop_and_flip(*arguments, padding=padding)
    expected = reference_crop(image, row, column, mirror, padding)
    np.testing.assert_array_equal(actual, expected)


def test_the_crop_of_tpus_is_the_same_at_every_offset():
    offsets = jnp.arange(7, dtype=jnp.int32)
    row, column = (jnp.tile(offsets, 7), jnp.repeat(offsets, 7))
    padded = jnp.asarray(images(1, 49, (8 + 6, 5 + 6, 3)))
    window = augment._window(padded, row, column, size=(8, 5, 3))
    chosen = augment._window_by_choices(padded, row, column, most=6)
    np.testing.assert_array_equal(chosen, window)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({}, "crop"), ({"mixup": 0.3}, "crop"), ({"cutmix": 0.3}, "randaugment")],
)
def test_on_a_tpu_nothing_is_done_sample_by_sample(changes, kind):
    """A gather of windows becomes a loop there, one sample after the other."""
    augmented = dataclasses.replace(ORDINARY, **changes)

    def view(batch):
        return augmented.train_mixed(batch, 0, int(kind == "randaugment"), kind)

    traced = jax.jit(view).trace(batch_of(16))
    text = traced.lower(lowering_platforms=("tpu",)).as_text()
    assert "stablehlo.while" not in text
    sizes = re.findall(r"slice_sizes = array<i64: ([\d, ]+)>", text)
    assert all(math.prod(map(int, size.split(","))) <= 3 for size in sizes)
    assert sizes or kind == "crop"


def test_random_crop_uses_the_drawn_numbers():
    batch = batch_of(64, (8, 8, 3))
    draws = draw(7, batch.epoch, batch.index, padding=2)
    actual = augment.random_crop_and_flip(
        batch.image, 7, batch.epoch, batch.index, padding=2, flip=True
    )
    expected = reference_crop(np.asarray(batch.image), *map(np.asarray, draws), 2)
    np.testing.assert_array_equal(actual, expected)


def test_every_offset_and_both_sides_are_reached_evenly():
    count = 20000
    index = jnp.arange(count, dtype=jnp.int32)
    row, column, mirror = draw(0, jnp.zeros_like(index), index, padding=4)
    table = np.zeros((9, 9, 2))
    np.add.at(table, (row, column, np.asarray(mirror).astype(int)), 1)
    expected = count / table.size
    chi_square = ((table - expected) ** 2 / expected).sum()
    # 161 degrees of freedom: mean 161, spread 17.9.
    assert 161 - 4 * 17.9 < chi_square < 161 + 4 * 17.9


def test_crop_depends_on_seed_epoch_and_index_only():
    whole = batch_of(48)
    part = batch_of(16, first=20)
    np.testing.assert_array_equal(train(whole, 3)[20:36], train(part, 3))
    shuffled = jax.tree.map(lambda a: a[::-1], whole)
    np.testing.assert_array_equal(train(whole, 3), train(shuffled, 3)[::-1])


@pytest.mark.parametrize("seed, epoch", [(4, 0), (3, 1)])
def test_another_seed_or_epoch_draws_other_crops(seed, epoch):
    index = jnp.arange(1000, dtype=jnp.int32)
    first = draw(3, jnp.zeros_like(index), index, padding=4)
    other = draw(seed, jnp.full_like(index, epoch), index, padding=4)
    same = np.logical_and.reduce(
        [np.asarray(a == b) for a, b in zip(first, other, strict=True)]
    )
    assert same.mean() < 3 / 162  # two independent draws agree once in 162


# Of random crops and flips of made images, by version of the preprocessing.
CROPS = {1: "817dd97bfce04887547c64fd95c5e18c806e02971da8ed101eec939c7965f375"}


def test_crops_that_change_have_a_new_version():
    """Else caches of teachers' answers to the old crops would be taken for the new."""
    batch = batch_of(100, (8, 8, 3), epoch=5)
    actual = augment.random_crop_and_flip(
        batch.image, 11, batch.epoch, batch.index, padding=2, flip=True
    )
    digest = hashlib.sha256(np.asarray(actual).tobytes()).hexdigest()
    assert digest == CROPS[augment.PREPROCESSING]


def test_global_settings_of_jax_do_not_change_the_crops():
    index = jnp.arange(100, dtype=jnp.int32)
    first = draw(0, index, index, padding=4)
    with jax.default_prng_impl("rbg"):
        other = augment.draw(0, index, index, padding=4)
    np.testing.assert_array_equal(first, other)


def test_no_padding_and_no_flip_changes_nothing():
    batch = batch_of(8)
    plain = Augment(mean=(0.0,) * 3, std=(1 / 255,) * 3, padding=0, flip=False)
    np.testing.assert_array_equal(plain.train(batch, 0), batch.image)


def test_flip_alone():
    batch = batch_of(64)
    actual = augment.random_crop_and_flip(
        batch.image, 0, batch.epoch, batch.index, padding=0, flip=True
    )
    plain = (actual == batch.image).all((1, 2, 3))
    mirrored = (actual == batch.image[:, :, ::-1]).all((1, 2, 3))
    assert (plain ^ mirrored).all() and 16 < plain.sum() < 48


def test_normalise_against_double_precision():
    image = images(0, 4, (5, 6, 3))
    mean, std = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
    actual = augment.normalise(jnp.asarray(image), mean, std)
    assert actual.dtype == jnp.float32
    expected = (image.astype(np.float64) / 255 - mean) / std
    np.testing.assert_allclose(actual, expected, atol=2e-6)


def test_border_is_black_before_normalisation():
    white = batch_of(200)._replace(image=jnp.full((200, 8, 8, 3), 255, jnp.uint8))
    actual = np.asarray(train(white, 0))
    black = -np.array(ORDINARY.mean) / ORDINARY.std
    bright = (1 - np.array(ORDINARY.mean)) / ORDINARY.std
    for channel in range(3):
        values = np.unique(actual[..., channel])
        expected = [black[channel], bright[channel]]
        np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_eight_devices_see_what_one_sees_and_send_no_images():
    batch = batch_of(32)
    expected = train(batch, 5)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    compiled = jax.jit(ORDINARY.train, static_argnums=1, out_shardings=split)
    placed = jax.device_put(batch, split)
    np.testing.assert_array_equal(compiled(placed, 5), expected)
    program = compiled.lower(placed, 5).compile().as_text()
    for collective in ("all-gather", "all-to-all", "collective-permute", "all-reduce"):
        assert collective not in program


def test_a_second_view_is_another_crop_and_may_be_transformed():
    batch = batch_of(32, (8, 8, 3), epoch=2)
    view = jax.jit(ORDINARY.train, static_argnums=(1, 2, 3))
    first, second = view(batch, 3), view(batch, 3, 1)
    apart = batch._replace(epoch=batch.epoch + augment._VIEWS_APART)
    np.testing.assert_array_equal(second, view(apart, 3))
    assert (np.asarray(first) == np.asarray(second)).all((1, 2, 3)).mean() < 0.2
    crops = augment.random_crop_and_flip(
        batch.image, 3, apart.epoch, batch.index, padding=4, flip=True
    )
    expected = RandAugment()(crops, 3, apart.epoch, batch.index)
    expected = augment.normalise(expected, ORDINARY.mean, ORDINARY.std)
    actual = view(batch, 3, 1, "randaugment")
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    assert not np.array_equal(actual, second)


def test_the_first_view_is_a_crop_in_both_kinds():
    batch = batch_of(16)
    np.testing.assert_array_equal(
        ORDINARY.train(batch, 3, 0, "randaugment"), ORDINARY.train(batch, 3)
    )


def test_evaluate_is_only_normalisation():
    image = batch_of(3).image
    expected = augment.normalise(image, ORDINARY.mean, ORDINARY.std)
    np.testing.assert_array_equal(ORDINARY.evaluate(image), expected)


@pytest.mark.errors
def test_errors_name_what_came():
    image = jnp.zeros((2, 4, 4, 3))
    with pytest.raises(ValueError, match="normalise: image has dtype float32"):
        augment.normalise(image, (0.5,) * 3, (0.5,) * 3)
    with pytest.raises(ValueError, match="channels"):
        augment.normalise(image.astype(jnp.uint8), (0.5,), (0.5,))
    with pytest.raises(ValueError, match="index has batch=3"):
        two, three = jnp.zeros(2, jnp.int32), jnp.zeros(3, jnp.int32)
        augment.random_crop_and_flip(image, 0, two, three, padding=1, flip=True)
    for bad, message in (
        ({"std": (0.0,)}, "std"),
        ({"padding": -1}, "padding is -1"),
        ({"mean": (0.5, 0.5)}, "mean has 2 channels"),
    ):
        good = {"mean": (0.5,), "std": (0.5,), "padding": 0, "flip": False}
        with pytest.raises(ValueError, match=message):
            Augment(**good | bad)
    with pytest.raises(ValueError, match="kind is 'strong'; expected crop or"):
        ORDINARY.train(batch_of(2), 0, 1, "strong")
