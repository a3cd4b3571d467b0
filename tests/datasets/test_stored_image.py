"""Images of folders as sets store them, beside Pillow's decoders."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from kdjax.data.images.decode import Unreadable, decode
from kdjax.datasets.stored_image import is_image, stored_image
from tests.data.jpegs import encode, picture

COLOUR = picture(20, 30, 5)
SMOOTH = picture(64, 96, 9)
OPACITY = np.broadcast_to(np.linspace(0, 255, 30).astype(np.uint8), (20, 30))
RGBA = np.dstack([COLOUR, OPACITY])
DEEP = np.random.default_rng(0).integers(0, 2**16, (20, 30), np.uint16)


def save(image, kind, mode=None, **options):
    content = io.BytesIO()
    image = Image.fromarray(image)
    (image.convert(mode) if mode else image).save(content, kind, **options)
    return content.getvalue()


def pages(kind):
    """A file of several images, of which the first one counts."""
    first, content = Image.fromarray(COLOUR).quantize(64), io.BytesIO()
    first.save(content, kind, save_all=True, append_images=[first.rotate(180)])
    return content.getvalue(), np.asarray(first.convert("RGB"))


def on_white(image):
    page = Image.new("RGBA", image.size, (255, 255, 255, 255))
    page.alpha_composite(image.convert("RGBA"))
    return np.asarray(page.convert("RGB"))


def by_pillow(content):
    return on_white(Image.open(io.BytesIO(content)))


def clear_palette():
    image = Image.fromarray(COLOUR).quantize(16)
    content = io.BytesIO()
    image.save(content, "PNG", transparency=bytes([0, 128, *[255] * 14]))
    return content.getvalue()


# Name -> (file, its pixels; None: Pillow's, levels between them at most).
KINDS = {
    "jpeg": (encode(SMOOTH), None, 0),
    "jpeg grey": (encode(SMOOTH, "L"), None, 0),
    "jpeg cmyk": (encode(SMOOTH, "CMYK"), None, 3),
    "png palette": (clear_palette(), None, 1),
    "png alpha": (save(RGBA, "PNG"), None, 1),
    "png grey alpha": (save(RGBA, "PNG", "LA"), None, 1),
    "png 16 bits": (save(DEEP, "PNG"), (DEEP >> 8)[..., None], 0),
    "png 1 bit": (save(COLOUR, "PNG", "1"), None, 0),
    "webp": (save(COLOUR, "WEBP", quality=80), None, 0),
    "webp alpha": (save(RGBA, "WEBP", lossless=True, exact=True), None, 1),
    "bmp": (save(COLOUR, "BMP"), None, 0),
    "bmp palette": (save(COLOUR, "BMP", "P"), None, 0),
    "tiff": (save(COLOUR, "TIFF"), None, 0),
    "tiff lzw": (save(COLOUR, "TIFF", compression="tiff_lzw"), None, 0),
    "tiff grey": (save(COLOUR, "TIFF", "L"), None, 0),
    "tiff palette": (save(COLOUR, "TIFF", "P"), None, 0),
    "tiff cmyk": (save(COLOUR, "TIFF", "CMYK"), None, 3),
    "tiff 16 bits": (save(DEEP, "TIFF"), (DEEP >> 8)[..., None], 1),
    "tiff alpha": (save(RGBA, "TIFF"), None, 1),
    "tiff pages": (*pages("TIFF"), 0),
    "gif": (save(COLOUR, "GIF", "P"), None, 0),
    "gif frames": (*pages("GIF"), 0),
    "gif transparent": (save(COLOUR, "GIF", "P", transparency=3), None, 0),
}
ENCODED_ANEW = {"tiff alpha"}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_have_the_pixels_that_pillow_gives(kind):
    content, expected, levels = KINDS[kind]
    expected = by_pillow(content) if expected is None else expected
    stored = stored_image(content)
    difference = np.abs(stored.image.astype(int) - expected)
    assert stored.image.shape[:2] == expected.shape[:2] and difference.max() <= levels
    assert (stored.content != content) == (kind in ENCODED_ANEW)
    np.testing.assert_array_equal(decode(stored.content), stored.image)
    assert stored.warning == ""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("number", range(1, 9))
def test_images_are_stored_upright(kind, number):
    exif = Image.Exif()
    exif[0x0112] = number
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encode(SMOOTH, "RGB", kind, exif=exif, **options)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    stored = stored_image(content)
    difference = np.abs(stored.image.astype(int) - np.asarray(expected.convert("RGB")))
    # A JPEG that was turned is encoded once more.
    assert difference.mean() < (1.5 if kind == "JPEG" and number > 1 else 1e-9)
    np.testing.assert_array_equal(decode(stored.content), stored.image)
    is_same = number == 1 or kind == "TIFF"  # which the decoder turns
    assert (stored.content == content) == is_same
    if number > 1:
        with pytest.raises(Unreadable, match=f"EXIF orientation {number}; --exif=app"):
            stored_image(content, exif="refuse")
    else:
        assert stored_image(content, exif="refuse").content == content


@pytest.mark.parametrize(
    "content, message",
    [
        (b"\0\0\0\x18ftypheic" + bytes(40), "it is HEIC, .*convert it to JPEG"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "it is JPEG XL"),
        (b"\n<HTML><body>404", "it is a web page"),
        (b"<svg xmlns=", "it is an SVG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (save(DEEP.astype(np.float32), "TIFF"), "a TIFF of floats"),
        (save(COLOUR, "TIFF", "LAB"), "or in Lab"),
        (save(RGBA, "TIFF", "LA"), "a TIFF with transparency that is not RGB"),
        (save(COLOUR, "TIFF")[:300], "cut short"),
        (save(COLOUR, "GIF", "P")[:80], "cut short|no decoder"),
        (save(COLOUR, "WEBP")[:60], "cut short"),
        (save(COLOUR, "BMP")[:300], "cut short"),
    ],
)
def test_what_no_decoder_takes_is_named(content, message):
    with pytest.raises(Unreadable, match=message):
        stored_image(content)


def test_images_are_known_by_their_content_or_their_name():
    for content, _, _ in KINDS.values():
        assert is_image("file", content[:16])
    assert is_image("photo", b"\0\0\0\x18ftypheic\0\0\0\0")
    assert is_image("photo.HEIC", b"") and is_image("page.jpg", b"<html>")
    for name, head in (
        ("notes.txt", b"BMW and others, a list of"),
        ("labels.xml", b"<?xml version="),
        ("Thumbs.db", b"\xd0\xcf\x11\xe0"),
        ("film.mp4", b"\0\0\0\x18ftypisom"),
        ("empty", b""),
    ):
        assert not is_image(name, head[:16])
