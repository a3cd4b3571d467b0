"""Draws against NumPy, images against Pillow, on one device and on eight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from PIL import Image, ImageDraw

from kdjax.data.transforms import randaugment
from kdjax.data.transforms.image_ops import OPERATIONS
from kdjax.data.transforms.randaugment import RandAugment
from tests.data.transforms.test_image_ops import in_pillow
from tests.datasets.miniatures import images

COUNT = 48
usual = jax.jit(RandAugment().__call__)
draw = jax.jit(RandAugment().draw, static_argnums=0)


def batch_of(count=COUNT, shape=(16, 16, 3)):
    index = jnp.arange(count, dtype=jnp.int32)
    return jnp.asarray(images(0, count, shape)), jnp.zeros_like(index), index


def cutout_in_pillow(image, column, row, side):
    """FixMatch's, of `side` pixels about (column, row)."""
    height, width = image.shape[:2]
    left, top = int(max(0, column - side / 2)), int(max(0, row - side / 2))
    box = (left, top, min(width, left + side), min(height, top + side))
    out = Image.fromarray(image)
    ImageDraw.Draw(out).rectangle(box, (125, 123, 114))
    return np.asarray(out)


def test_two_operations_then_cutout():
    """By Pillow, with the numbers that were drawn."""
    image, epoch, index = batch_of()
    actual = np.asarray(usual(image, 5, epoch, index), int)
    operation, value, box = (np.asarray(a) for a in draw(5, epoch, index))
    rows = []
    for i in range(COUNT):
        one = np.asarray(image[i])
        for kind, number in zip(operation[i], value[i], strict=True):
            one = in_pillow(one, OPERATIONS[kind], float(number))
        rows.append(cutout_in_pillow(one, *(16 * box[i]).astype(float)))
    off = np.abs(actual - np.stack(rows))
    # One level off before a table is some levels off after it.
    assert (off > 1).mean() < 0.01 and (off > 0).mean() < 0.05
    assert (actual != np.asarray(image)).any((1, 2, 3)).mean() > 0.9


def test_cutout_against_pillow():
    image, _, _ = batch_of()
    random = np.random.default_rng(3)
    column, row, side = random.uniform(0, 1, (3, COUNT)).astype(np.float32)
    side *= 0.5
    actual = randaugment.cutout(image, *map(jnp.asarray, (column, row, side)))
    for i in range(COUNT):
        places = (16 * np.array([column[i], row[i], side[i]])).astype(float)
        expected = cutout_in_pillow(np.asarray(image[i]), *places)
        np.testing.assert_array_equal(actual[i], expected)
    nothing = randaugment.cutout(image, *map(jnp.asarray, (column, row, 0.0 * side)))
    np.testing.assert_array_equal(nothing, image)


def test_operations_are_equally_likely_and_values_uniform():
    index = jnp.arange(14000, dtype=jnp.int32)
    operation, value, box = draw(0, jnp.zeros_like(index), index)
    counts = np.bincount(np.asarray(operation).ravel(), minlength=14)
    assert ((counts - 2000) ** 2 / 2000).sum() < 40  # 13 degrees of freedom
    for name, (low, high) in {
        "Posterize": (4, 8),
        "Rotate": (-30, 30),
        "Solarize": (0, 256),
        "Color": (0.05, 0.95),
        "ShearY": (-0.3, 0.3),
        "TranslateX": (-0.3, 0.3),
    }.items():
        own = np.asarray(value)[np.asarray(operation) == OPERATIONS.index(name)]
        assert own.min() >= low and own.max() <= high
        part = (own - low) / (high - low)
        assert abs(part.mean() - 0.5) < 0.03 and abs(part.std() - 12**-0.5) < 0.015
    box = np.asarray(box)
    assert box.max(0) == pytest.approx([1.0, 1.0, 0.5], abs=1e-3)
    assert box.mean(0) == pytest.approx([0.5, 0.5, 0.25], abs=0.02)


def test_a_magnitude_is_one_strength_for_all():
    index = jnp.arange(4000, dtype=jnp.int32)
    operation, value, _ = RandAugment(2, 10).draw(0, jnp.zeros_like(index), index)
    for name, expected in {
        "Brightness": {0.7, 1.3},
        "ShearX": {-0.1, 0.1},
        "TranslateY": {-50 / 331, 50 / 331},
        "Rotate": {-10.0, 10.0},
        "Posterize": {7.0},
        "Solarize": {170.0},
    }.items():
        own = np.unique(np.asarray(value)[operation == OPERATIONS.index(name)])
        np.testing.assert_allclose(own, sorted(expected), rtol=1e-5, err_msg=name)


def test_depends_on_seed_epoch_and_index_only():
    image, epoch, index = batch_of()
    whole = np.asarray(usual(image, 3, epoch, index))
    reverse, others = index[::-1], jnp.where(index < 30, index + 100, index)
    shuffled = usual(image[reverse], 3, epoch, reverse)
    np.testing.assert_array_equal(shuffled[::-1], whole)
    part = usual(image, 3, epoch, others)
    np.testing.assert_array_equal(part[30:], whole[30:])
    assert not np.array_equal(part[:30], whole[:30])
    for other in (usual(image, 4, epoch, index), usual(image, 3, epoch + 1, index)):
        assert (np.asarray(other) == whole).all((1, 2, 3)).mean() < 0.2


def test_eight_devices_compute_what_one_does_and_send_no_images():
    arguments = batch_of(32)
    expected = usual(arguments[0], 5, *arguments[1:])
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    image, epoch, index = jax.device_put(arguments, split)
    compiled = jax.jit(
        lambda image, epoch, index: RandAugment()(image, 5, epoch, index),
        out_shardings=split,
    )
    np.testing.assert_array_equal(compiled(image, epoch, index), expected)
    program = compiled.lower(image, epoch, index).compile().as_text()
    for collective in ("all-gather", "all-to-all", "collective-permute", "all-reduce"):
        assert collective not in program


def test_no_operation_and_no_cutout_change_nothing():
    image, epoch, index = batch_of()
    np.testing.assert_array_equal(
        RandAugment(0, cutout=0)(image, 0, epoch, index), image
    )


@pytest.mark.errors
def test_errors_name_what_came():
    for bad, message in (
        ({"n": -1}, "n is -1; expected 0 or more"),
        ({"magnitude": 31}, "magnitude is 31; expected a number from 0 to 30"),
        ({"cutout": 1.5}, "cutout is 1.5; expected a number from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=f"RandAugment: {message}"):
            RandAugment(**bad)
