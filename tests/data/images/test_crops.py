"""Boxes against torchvision's algorithm as its documentation and source describe it."""

import math

import numpy as np
import pytest

from kdjax.data.images.crops import TRIES, Box, Geometry, crop_bits

SIZES = [(375, 500), (500, 333), (224, 224), (1, 1), (1, 700), (700, 2), (97, 4000)]
SIZES += [(4000, 90), (3, 5), (1200, 1600)]


def philox(key, counter, blocks):
    """Philox4x64-10 of Salmon et al. 2011, in plain integers."""
    mask, words = (1 << 64) - 1, []
    for block in range(1, blocks + 1):  # NumPy counts before it computes
        x = [counter[0] + block, *counter[1:]]
        k = list(key)
        for _ in range(10):
            one, two = 0xD2E7470EE14C6C93 * x[0], 0xCA5A826395121157 * x[2]
            x = [
                (two >> 64) ^ x[1] ^ k[0],
                two & mask,
                (one >> 64) ^ x[3] ^ k[1],
                one & mask,
            ]
            k[0] = (k[0] + 0x9E3779B97F4A7C15) & mask
            k[1] = (k[1] + 0xBB67AE8584CAA73B) & mask
        words += x
    return words


def reference(height, width, generator, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)):
    """(top, left, height, width), drawn one number after the other."""
    raw = generator.bit_generator.random_raw
    for _ in range(10):
        u, v, row, column = generator.random(), generator.random(), raw(), raw()
        area = height * width * (scale[0] + u * (scale[1] - scale[0]))
        log_ratio = np.log(ratio)
        aspect = math.exp(log_ratio[0] + v * (log_ratio[1] - log_ratio[0]))
        w = int(round(math.sqrt(area * aspect)))
        h = int(round(math.sqrt(area / aspect)))
        if 0 < w <= width and 0 < h <= height:
            return int(row) % (height - h + 1), int(column) % (width - w + 1), h, w
    if width / height < min(ratio):
        w, h = width, int(round(width / min(ratio)))
    elif width / height > max(ratio):
        h, w = height, int(round(height * max(ratio)))
    else:
        w, h = width, height
    return (height - h) // 2, (width - w) // 2, h, w


def test_bits_are_those_of_philox():
    actual = crop_bits(seed=7, epoch=3, index=123456)
    assert actual.shape == (TRIES, 4) and actual.dtype == np.uint64
    stream = int.from_bytes(b"boxe", "big")
    expected = philox([7, stream], [0, 123456, 3, 0], TRIES)
    assert actual.ravel().tolist() == expected


def test_seed_epoch_and_index_each_make_other_bits():
    calls = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2**63 - 1, 0, 0)]
    actual = {crop_bits(*call).tobytes() for call in calls}
    assert len(actual) == len(calls)
    words = np.concatenate([crop_bits(0, e, i) for e in range(9) for i in range(99)])
    assert len(np.unique(words)) == words.size


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_random_crops_are_torchvisions(size):
    for seed in range(200):
        bits = crop_bits(seed, 5, seed * 31)
        key = np.array([seed, int.from_bytes(b"boxe", "big")], np.uint64)
        counter = np.array([0, seed * 31, 5, 0], np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
        box = Geometry().random(*size, bits)
        assert box == reference(*size, generator)
        assert box.top >= 0 and box.top + box.height <= size[0]
        assert box.left >= 0 and box.left + box.width <= size[1]


def test_areas_ratios_and_places_are_uniform():
    side, count = 10_000, 4000
    boxes = [Geometry().random(side, side, crop_bits(0, 0, i)) for i in range(count)]
    top, left, height, width = np.array(boxes, np.float64).T
    # Below 3/4 of the area every ratio fits, so nothing is drawn anew there.
    share = height * width / side**2
    inner = share < 0.74
    assert share.min() > 0.0799 and inner.sum() > 2000
    assert share[inner].mean() == pytest.approx(0.41, abs=0.015)
    assert share[inner].std() == pytest.approx(0.66 / math.sqrt(12), abs=0.01)
    ratio = np.log(width / height)[inner]
    assert ratio.mean() == pytest.approx(0, abs=0.013)
    assert ratio.std() == pytest.approx(2 * math.log(4 / 3) / math.sqrt(12), abs=0.01)
    for place in (top / (side - height + 1), left / (side - width + 1)):
        assert place.mean() == pytest.approx(0.5, abs=0.02)
        assert place.std() == pytest.approx(1 / math.sqrt(12), abs=0.015)


@pytest.mark.parametrize(
    "size, box",
    [
        ((100, 1000), Box(0, 433, 100, 133)),
        ((1000, 100), Box(433, 0, 133, 100)),
        ((100, 100), Box(0, 0, 100, 100)),
        ((100, 120), Box(0, 0, 100, 120)),
    ],
)
def test_what_never_fits_is_cut_from_the_centre(size, box):
    # All of the area, as wide as may be: wider or higher than each of these.
    bits = np.full((TRIES, 4), 2**64 - 1, np.uint64)
    assert Geometry().random(*size, bits) == box


@pytest.mark.parametrize(
    "size, resized, box",
    [
        ((500, 375), (341, 256), Box(58, 16, 224, 224)),
        ((375, 500), (256, 341), Box(16, 58, 224, 224)),
        ((300, 402), (256, 343), Box(16, 60, 224, 224)),  # 59.5, to the even one
        ((333, 500), (256, 384), Box(16, 80, 224, 224)),
        ((256, 256), (256, 256), Box(16, 16, 224, 224)),
        ((2, 2), (256, 256), Box(16, 16, 224, 224)),
    ],
)
def test_central_crops_are_torchvisions(size, resized, box):
    assert Geometry().central(*size) == (resized, box)


def test_another_size():
    geometry = Geometry(size=30, short_side=32, smallest_area=1.0)
    assert geometry.central(64, 96) == ((32, 48), Box(1, 9, 30, 30))
    box = geometry.random(400, 400, crop_bits(0, 0, 0))
    assert box.height * box.width > 0.99 * 400 * 400


@pytest.mark.parametrize(
    "wrong, named",
    [
        ({"size": 0}, "size is 0"),
        ({"short_side": 223}, "short_side is 223"),
        ({"smallest_area": 0.0}, "smallest_area is 0"),
        ({"smallest_area": 1.5}, "smallest_area is 1.5"),
    ],
)
def test_errors(wrong, named):
    with pytest.raises(ValueError, match=f"Geometry: {named}"):
        Geometry(**wrong)


def test_sizes_by_epoch():
    rising = Geometry(sizes=((0, 128), (30, 160), (60, 224)))
    actual = [rising.size_at(epoch) for epoch in (0, 29, 30, 59, 60, 1000)]
    assert actual == [128, 128, 160, 160, 224, 224]
    assert Geometry(size=99, short_side=99).size_at(7) == 99
    assert rising.central(500, 375) == Geometry().central(500, 375)
    assert "sizes" not in Geometry().identity()  # as it was before there were any
    assert rising.identity()["sizes"] == [[0, 128], [30, 160], [60, 224]]


@pytest.mark.errors
@pytest.mark.parametrize(
    "sizes, message",
    [
        ((128, 160), "expected pairs of whole numbers"),
        (((0, 128), (30,)), "expected pairs"),
        (((0, 128.0),), "expected pairs"),
        (((0, True),), "expected pairs"),
        ([[0, 128]], "expected pairs"),
        (((1, 128),), "expected the first pair to be from epoch 0"),
        (((0, 128), (30, 160), (30, 224)), "expected each epoch to be above the one"),
        (((0, 128), (30, 160), (20, 224)), "expected each epoch to be above the one"),
        (((0, 0),), "expected sides of 1 pixel or more"),
    ],
)
def test_wrong_sizes(sizes, message):
    with pytest.raises(ValueError, match=f"Geometry: sizes is .*{message}"):
        Geometry(sizes=sizes)
