"""Pixels of training crops: the box, the filter and the reduced decoding."""

import io

import numpy as np
import pytest
from PIL import Image

from kdjax.data.images.crops import Box
from kdjax.data.images.decode import Unreadable, decode
from kdjax.data.images.fast_crop import crop, reduced, reduction, resample
from tests.data.jpegs import decoded, encode, picture

NOISE = np.random.default_rng(0).integers(0, 256, (90, 110, 3), np.uint8)


def weights(size, out):
    """[out, size] of the documented filter along an axis, float64."""
    factor = size / out
    side = max(0.0, (factor**2 - 1) / 12)
    blur = np.zeros((size, size))
    for row in range(size):
        for shift, weight in ((-1, side), (0, 1 - 2 * side), (1, side)):
            near = abs(row + shift)  # mirrored about the first and the last pixel
            near = 2 * (size - 1) - near if near >= size else near
            blur[row, near] += weight
    sample = np.zeros((out, size))
    for row in range(out):
        at = np.clip((row + 0.5) * factor - 0.5, 0, size - 1)
        low = min(int(at), size - 2)
        sample[row, low], sample[row, low + 1] = 1 - (at - low), at - low
    return sample @ blur


def by_hand(image, out):
    high, wide = (weights(size, out) for size in image.shape[:2])
    return np.einsum("rh,hwc,sw->rsc", high, image.astype(np.float64), wide)


def empty(side):
    return np.empty((side, side, 3), np.uint8)


@pytest.mark.parametrize(
    "height, width", [(28, 28), (30, 41), (56, 56), (20, 45), (21, 20), (37, 28)]
)
def test_up_to_twice_the_size_it_is_blur_and_bilinear(height, width):
    image = NOISE[3 : 3 + height, 5 : 5 + width]
    actual = resample(image, empty(28))
    # A level for the rounding after the blur, half of one for weights of 8 bits.
    np.testing.assert_allclose(actual, by_hand(image, 28), atol=2.0)
    assert np.abs(actual - by_hand(image, 28)).mean() < 0.5


@pytest.mark.parametrize("side", [42, 49, 56])
def test_shrinking_is_what_pillow_does(side):
    smooth = np.asarray(Image.fromarray(NOISE).resize((300, 300), Image.BICUBIC))
    image = np.ascontiguousarray(smooth[:side, :side])
    expected = np.asarray(Image.fromarray(image).resize((28, 28), Image.BILINEAR))
    difference = np.abs(resample(image, empty(28)).astype(int) - expected)
    assert difference.mean() < 1.5  # means over areas: 4 to 7


def test_nothing_aliases():
    """The finest stripes come out as less than bilinear alone would leave of them."""
    stripes = np.zeros((42, 42, 3), np.uint8)
    stripes[:, ::2] = 200
    actual = resample(stripes, empty(28))[4:-4, 4:-4].astype(float)
    assert actual.mean() == pytest.approx(100, abs=1)
    assert np.ptp(actual) < 60  # bilinear alone: 100, means over areas: 66
    twice = resample(np.repeat(stripes, 2, 0)[:56, :42], empty(28))
    assert twice.shape == (28, 28, 3)


@pytest.mark.parametrize(
    "box, factor",
    [
        (Box(0, 0, 223, 500), 1),
        (Box(0, 0, 447, 900), 1),
        (Box(9, 9, 448, 448), 2),
        (Box(0, 0, 900, 895), 2),
        (Box(1, 2, 896, 1000), 4),
        (Box(0, 0, 1792, 4000), 8),
        (Box(0, 0, 9999, 9999), 8),
    ],
)
def test_reductions_keep_as_many_pixels_as_the_crop_has(box, factor):
    assert reduction(box, (224, 224)) == factor


def test_edges_move_by_half_a_pixel_at_most():
    rng = np.random.default_rng(1)
    for top, left, height, width in rng.integers(0, 500, (200, 4)).tolist():
        box = Box(top, left, height + 100, width + 100)
        for factor in (1, 2, 4, 8):
            actual = reduced(box, factor)
            ends = (box.top + box.height, box.left + box.width)
            moved = [actual.top - top / factor, actual.left - left / factor]
            moved += [actual.top + actual.height - ends[0] / factor]
            moved += [actual.left + actual.width - ends[1] / factor]
            assert np.abs(moved).max() <= 0.5


@pytest.mark.parametrize("side", [30, 48, 60, 100, 150])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_reduced_crop_shows_what_the_whole_picture_does_there(side, mode):
    """Against Pillow, which decodes everything and shrinks with a filter of its own."""
    image = picture(333, 417, 9)
    content = encode(image, mode, subsampling=2)
    box = Box(21, 50, 301, 333)
    actual = crop(content, lambda height, width: box, empty(side)).astype(int)
    factor = reduction(box, (side, side))
    assert factor == {30: 8, 48: 4, 60: 4, 100: 2, 150: 2}[side]
    near = reduced(box, factor)
    edges = (near.left, near.top, near.left + near.width, near.top + near.height)
    edges = np.minimum(np.array(edges) * factor, (417, 333) * 2)
    whole = Image.fromarray(decoded(content))
    expected = np.asarray(whole.resize((side, side), Image.BILINEAR, box=tuple(edges)))
    difference = np.abs(actual - expected).mean((0, 1))
    assert difference.max() < (4 if factor == 8 else 1.5)
    # A pixel off it would be far from that.
    rolled = np.abs(np.roll(actual, 1, (0, 1)) - expected).mean((0, 1))
    assert (rolled > 3 * difference)[1:].all()


def test_the_box_is_chosen_by_the_pictures_own_size():
    for content in (
        encode(picture(61, 75), "RGB"),
        encode(picture(61, 75), "CMYK"),
        encode(picture(61, 75), "RGB", "PNG"),
    ):
        request = []

        def choose(height, width, request=request):
            request.append((height, width))
            return Box(0, 0, height, width)

        crop(content, choose, empty(16))
        assert request == [(61, 75)]


def test_an_exact_box_of_the_crops_size_is_copied():
    content = encode(picture(61, 75))
    actual = crop(content, lambda *_: Box(5, 6, 32, 32), empty(32))
    np.testing.assert_array_equal(actual, decode(content)[5:37, 6:38])


@pytest.mark.parametrize("side", [16, 300])
@pytest.mark.parametrize("share", [0.3, 0.98])
def test_what_is_cut_short_is_noticed_however_it_is_decoded(side, share):
    whole = encode(picture(333, 417))
    with pytest.raises(Unreadable):
        crop(
            whole[: int(share * len(whole))], lambda h, w: Box(0, 0, h, w), empty(side)
        )


def test_one_pixel_is_no_picture():
    tiny = io.BytesIO()
    Image.fromarray(NOISE[:1, :1]).save(tiny, "JPEG")
    with pytest.raises(Unreadable, match="1 x 1"):
        crop(tiny.getvalue(), lambda h, w: Box(0, 0, h, w), empty(8))
