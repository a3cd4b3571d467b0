"""Orientation by EXIF, of files that Pillow writes, and of files that are damaged."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from kdjax.data.images.exif import orientation, tiff_tags, turned
from tests.data.jpegs import encode, picture

COLOUR = picture(20, 30, 5)
KINDS = ("JPEG", "PNG", "WEBP", "TIFF")


def with_tag(kind, number, **options):
    exif = Image.Exif()
    exif[0x010F] = "a camera"  # text before the tag that matters
    exif[0x0112] = number
    return encode(COLOUR, "RGB", kind, exif=exif, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", range(1, 9))
def test_every_kind_and_number(kind, number):
    assert orientation(with_tag(kind, number)) == number
    assert orientation(encode(COLOUR, "RGB", kind)) == 1


@pytest.mark.parametrize("number", range(1, 9))
def test_images_are_turned_as_pillow_does(number):
    content = with_tag("PNG", number)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    actual = turned(COLOUR, number)
    np.testing.assert_array_equal(actual, np.asarray(expected))
    assert actual.flags.c_contiguous


def test_numbers_that_do_not_exist_are_upright():
    for number in (0, 9, 77):
        assert orientation(with_tag("JPEG", number)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_cut_or_changed_is_read_as_far_as_it_goes(kind):
    whole = with_tag(kind, 6)
    for length in range(0, min(len(whole), 400), 3):
        assert orientation(whole[:length]) in (1, 6)
    random = np.random.default_rng(0)
    for _ in range(200):
        other = bytearray(whole[:400])
        for at in random.integers(2, 200, 4):
            other[at] = random.integers(256)
        assert 1 <= orientation(bytes(other)) <= 8


def test_first_values_of_tags_in_both_orders():
    for order, mark in (("little", b"II"), ("big", b"MM")):
        entries = [(258, 3, 3, 38), (262, 3, 1, 2), (256, 4, 1, 70_000)]
        block = mark + (42).to_bytes(2, order) + (8).to_bytes(4, order)
        block += len(entries).to_bytes(2, order)
        for tag, kind, count, value in entries:
            size = 2 if kind == 3 and count == 1 else 4
            head = [tag.to_bytes(2, order), kind.to_bytes(2, order)]
            head += [count.to_bytes(4, order), value.to_bytes(size, order)]
            block += b"".join(head).ljust(12, b"\0")
        block = block.ljust(38 + 10, b"\0")[:46] + (8).to_bytes(2, order) * 3
        values = tiff_tags(block)
        assert values[262] == 2 and values[256] == 70_000
    assert tiff_tags(b"MM\0+" + bytes(30)) == {}  # BigTIFF
