"""Images in memory: those of Pillow have the pixels that a file of them would have."""

import io

import numpy as np
import pytest
from PIL import Image

from kdjax.data.arrays import splits_of
from kdjax.data.images.decode import decode
from kdjax.data.split import DataError
from tests.data.jpegs import picture

OPACITY = np.arange(12 * 10, dtype=np.uint8).reshape(12, 10) * 2


def of_mode(mode):
    """A picture in one of Pillow's modes; with a slope of opacity, where it has one."""
    image = Image.fromarray(picture(12, 10, 3))
    if mode == "P, transparent":
        image = image.quantize(16)
        image.info["transparency"] = bytes(range(0, 256, 16))
        return image
    if mode == "L, transparent":
        image = image.convert("L")
        image.info["transparency"] = int(np.asarray(image)[0, 0])
        return image
    if mode == "I;16":
        return Image.fromarray(np.asarray(image)[..., 1].astype(np.uint16) * 257)
    if mode.endswith("A"):
        image = image.convert(mode)
        image.putalpha(Image.fromarray(OPACITY))
    return image.convert(mode)


def loaded(*images):
    """As items of a data set, and as a list of images."""
    labels = np.zeros(len(images), int)
    items = splits_of({"train": list(zip(images, labels, strict=True))})["train"].image
    listed = splits_of({"train": (list(images), labels)})["train"].image
    np.testing.assert_array_equal(items, listed)
    return items


@pytest.mark.parametrize(
    "mode",
    ["1", "P", "P, transparent", "L, transparent", "LA", "RGBA", "I;16"],
)
def test_images_of_pillow_have_the_pixels_of_their_file(mode):
    """PNG has all of these modes, and `prepare --folder` reads it with OpenCV."""
    file = io.BytesIO()
    of_mode(mode).save(file, "PNG")
    expected = decode(file.getvalue())
    assert len(np.unique(expected)) > 1
    [image] = loaded(of_mode(mode))
    np.testing.assert_array_equal(*np.broadcast_arrays(image, expected))
    assert image.shape[-1] == (1 if mode == "I;16" else 3)


def test_inks_become_colours():
    [image] = loaded(of_mode("CMYK"))
    assert np.abs(image - picture(12, 10, 3).astype(int)).max() <= 1


def test_grey_and_colour_stay_as_they_are():
    colour = picture(12, 10, 3)
    np.testing.assert_array_equal(loaded(Image.fromarray(colour)), colour[None])
    grey = Image.fromarray(OPACITY)
    np.testing.assert_array_equal(loaded(grey, grey), [OPACITY[..., None]] * 2)


@pytest.mark.errors
@pytest.mark.parametrize("shape", [(3, 12, 10), (1, 12, 10), (3, 10, 10), (3, 3, 8)])
def test_channels_first_are_refused(shape):
    images, labels = np.zeros((2, *shape), np.uint8), np.arange(2)
    items = list(zip(images, labels, strict=True))
    for train in ((images, labels), items):
        with pytest.raises(DataError, match="with channels first; expected .n, height"):
            splits_of({"train": train})


@pytest.mark.errors
def test_arrays_of_several_sizes_are_named_as_images_of_pillow_are():
    sizes = [(8, 8, 3), (9, 8, 3), (8, 8, 3)]
    images = [np.zeros(size, np.uint8) for size in sizes]
    message = r"\[1\]: the image has shape \(9, 8, 3\).*the first one \(8, 8, 3\)"
    with pytest.raises(DataError, match=message):
        splits_of({"train": (images, np.arange(3) % 2)})


def test_a_pair_of_samples_is_two_samples():
    """And not images and labels, which are a tuple of two as well."""
    image = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    split = splits_of({"train": ((image, 0), (255 - image, 1))})["train"]
    np.testing.assert_array_equal(split.image, [image, 255 - image])
    assert split.label.tolist() == [0, 1]
