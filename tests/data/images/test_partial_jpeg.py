"""The upper rows of a JPEG are those of the whole one, or nothing is shortened."""

import numpy as np
import pytest
import simplejpeg

from kdjax.data.images import partial_jpeg
from kdjax.data.images.decode import Unreadable, decode_reduced, size_of_jpeg
from tests.data.jpegs import encode

NOISE = np.random.default_rng(3).integers(0, 256, (211, 150, 3), np.uint8)


def whole(content, factor):
    height, width = size_of_jpeg(content)
    how = {"min_height": -(-height // factor), "min_width": -(-width // factor)}
    how = how | {"min_factor": factor} if factor > 1 else {}
    return simplejpeg.decode_jpeg(content, "RGB", **how)


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411", "Gray"])
@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_rows_above_the_bottom_are_the_same(subsampling, factor):
    grey = {"colorspace": "GRAY", "colorsubsampling": "Gray"}
    how = {"colorsubsampling": subsampling} if subsampling != "Gray" else grey
    image = NOISE if subsampling != "Gray" else NOISE[..., :1].copy()
    content = simplejpeg.encode_jpeg(image, quality=90, **how)
    expected, fewer = whole(content, factor), 0
    for bottom in range(1, 212):
        actual = decode_reduced(content, (211, 150), bottom, factor)
        rows = -(-bottom // factor)
        np.testing.assert_array_equal(actual[:rows], expected[:rows])
        fewer += len(actual) < len(expected)
    assert fewer > 60  # so it was no full decoding that passed


@pytest.mark.parametrize("width", [2, 3, 4, 9])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_narrow_pictures_are_reduced_no_further(width, factor):
    image = np.ascontiguousarray(NOISE[:, :width])
    content = simplejpeg.encode_jpeg(image, 90, "RGB", "420")
    expected = whole(content, factor)
    for bottom in (1, 30, 80):
        actual = decode_reduced(content, (211, width), bottom, factor)
        rows = -(-bottom // factor)
        assert actual.shape[1] == expected.shape[1]
        np.testing.assert_array_equal(actual[:rows], expected[:rows])


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"restart_marker_rows": 1}], ids=str
)
def test_other_kinds_are_decoded_whole(options):
    content = encode(NOISE, quality=60, **options)
    assert partial_jpeg.decode_rows(content, (211, 150), 24, 1) is None
    actual = decode_reduced(content, (211, 150), 20, 1)
    np.testing.assert_array_equal(actual, whole(content, 1))


def test_what_is_cut_short_is_noticed_though_its_end_is_not_looked_at():
    content = encode(NOISE)
    for end in (len(content) - 2, len(content) - 300, len(content) // 2):
        with pytest.raises(Unreadable):
            decode_reduced(content[:end], (211, 150), 20, 1)


def test_damage_above_the_bottom_is_noticed():
    content = encode(NOISE)
    start = content.index(b"\xff\xda") + 20
    broken = content[: start + 500] + b"\xff\xc4" + content[start + 502 :]
    with pytest.raises(Unreadable):
        decode_reduced(broken, (211, 150), 100, 1)
    # Below it there is nothing to say.
    late = len(content) - 800
    broken = content[:late] + bytes(20) + content[late + 20 :]
    actual = decode_reduced(broken, (211, 150), 20, 1)
    np.testing.assert_array_equal(actual[:20], whole(content, 1)[:20])


def test_a_header_without_an_end():
    for content in (b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x02", encode(NOISE)[:30]):
        assert partial_jpeg.decode_rows(content, (211, 150), 5, 1) is None
