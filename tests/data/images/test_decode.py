import io

import numpy as np
import pytest
from PIL import Image

from kdjax.data.images.crops import Box, Geometry
from kdjax.data.images.decode import (
    Unreadable,
    cut,
    decode,
    decode_leniently,
    decode_with_warning,
    resize,
)
from kdjax.data.synthetic import synthetic_jpegs
from kdjax.datasets.encode import as_plain_jpeg
from tests.data.jpegs import decoded, encode, odd_header, picture

COLOUR = picture(45, 60, 12)


@pytest.mark.parametrize(
    "options",
    [{}, {"subsampling": 2}, {"progressive": True, "quality": 60}, {"optimize": True}],
    ids=str,
)
def test_jpegs_are_decoded_as_pillow_does(options):
    content = encode(COLOUR, **options)
    np.testing.assert_array_equal(decode(content), decoded(content))


def test_greyscale_comes_three_times():
    content = encode(COLOUR, "L")
    actual = decode(content)
    np.testing.assert_array_equal(actual, decoded(content))
    assert (actual[..., 0] == actual[..., 2]).all()


def test_cmyk_within_the_rounding_of_its_conversion():
    content = encode(COLOUR, "CMYK")
    assert Image.open(io.BytesIO(content)).mode == "CMYK"
    difference = np.abs(decode(content).astype(int) - decoded(content))
    assert difference.max() <= 3


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_png_under_whatever_name(mode):
    content = encode(COLOUR, mode, "PNG")
    np.testing.assert_array_equal(decode(content), decoded(content))


@pytest.mark.parametrize(
    "mode, kind", [("RGB", "JPEG"), ("CMYK", "JPEG"), ("L", "PNG")]
)
def test_nothing_is_turned_by_its_tag(mode, kind):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    assert decode(encode(COLOUR, mode, kind, exif=exif)).shape == COLOUR.shape


def test_bytes_of_nobody_before_the_end_do_no_harm():
    content = encode(COLOUR)
    for more in (bytes(20), b"\x55" * 7):
        other = content[:-2] + more + content[-2:]
        np.testing.assert_array_equal(decode(other), decoded(content))
    np.testing.assert_array_equal(decode(content + b"junk"), decoded(content))


def test_what_is_taken_with_a_complaint_is_told():
    whole = encode(COLOUR)
    assert decode_with_warning(whole)[1] == ""
    image, warning = decode_with_warning(whole[:-2] + bytes(20) + whole[-2:])
    assert "extraneous bytes before marker 0xd9" in warning
    np.testing.assert_array_equal(image, decoded(whole))


def test_a_jpeg_that_is_whole_is_mended():
    whole = encode(COLOUR)
    odd = odd_header(whole)
    with pytest.raises(Unreadable, match="Invalid SOS parameters"):
        decode(odd)
    image, warning = decode_leniently(odd)
    assert warning == "Invalid SOS parameters for sequential JPEG"
    np.testing.assert_array_equal(image, decoded(whole))
    content, warning = as_plain_jpeg(odd)
    assert "Invalid SOS" in warning
    assert np.abs(decode(content).astype(int) - decoded(whole)).mean() < 2
    assert as_plain_jpeg(whole) == (whole, "")
    for part in (0.1, 0.5, 0.98):
        with pytest.raises(Unreadable):
            as_plain_jpeg(whole[: int(part * len(whole))])


def damaged():
    jpeg, cmyk, png = (
        encode(COLOUR, mode, kind)
        for mode, kind in (("RGB", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG"))
    )
    yield "empty", b""
    yield "page", b"<html>404</html>"
    yield "one pixel", encode(COLOUR[:1, :1])
    yield "one row", encode(COLOUR[:1])
    for name, whole in (("jpeg", jpeg), ("cmyk", cmyk), ("png", png)):
        for part in (0.1, 0.5, 0.98):
            yield f"{name} {part}", whole[: int(part * len(whole))]
    yield "without its end", jpeg[:-2]
    at = jpeg.index(b"\xff\xda") + 400
    yield "changed within", jpeg[:at] + b"\x55" * 40 + jpeg[at + 40 :]
    yield "another header", jpeg[:2] + bytes(300) + jpeg[302:]


@pytest.mark.parametrize("content", [pytest.param(c, id=n) for n, c in damaged()])
def test_what_is_not_a_whole_picture(content):
    with pytest.raises(Unreadable):
        decode(content)


def test_a_box_is_cut_where_it_says():
    actual = cut(COLOUR, Box(3, 10, 20, 20), 20)
    np.testing.assert_array_equal(actual, COLOUR[3:23, 10:30])
    assert actual.flags.c_contiguous


def test_shrinking_takes_means_so_that_nothing_aliases():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    np.testing.assert_array_equal(resize(stripes, (16, 16)), np.full((16, 16, 3), 100))
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    means = noise.reshape(20, 3, 20, 4, 3).mean((1, 3))
    np.testing.assert_allclose(resize(noise, (20, 20)), means, atol=0.51)


@pytest.mark.parametrize("shape, levels", [((375, 500), 0.7), ((600, 800), 1.0)])
def test_how_far_evaluation_is_from_torchvisions_filter(shape, levels):
    """Pillow's bilinear resizing, which antialiases, on a natural spectrum."""
    difference = []
    for content in synthetic_jpegs(*shape, 4):
        image = decoded(content)
        (high, wide), box = Geometry().central(*shape)
        expected = Image.fromarray(image).resize((wide, high), Image.BILINEAR)
        pair = resize(image, (high, wide)), np.asarray(expected)
        ours, theirs = (cut(one, box, 224).astype(int) for one in pair)
        difference.append(np.abs(ours - theirs).mean())
    assert np.mean(difference) == pytest.approx(levels, abs=0.06)


def test_enlarging_is_bilinear():
    ramp = np.repeat(np.array([0, 100], np.uint8)[None, :, None], 2, 0).repeat(3, 2)
    # Pixel centres at -0.25, 0.25, 0.75 and 1.25 of the two; the border goes on.
    row = resize(ramp, (2, 4))[0, :, 0]
    np.testing.assert_allclose(row, [0, 25, 75, 100], atol=1)
    assert resize(ramp, (9, 9)).shape == (9, 9, 3)
