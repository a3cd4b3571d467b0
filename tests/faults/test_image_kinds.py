"""Every kind of image has one set of pixels, however it is loaded."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from kdjax.__main__ import main
from kdjax.data.images.crops import Geometry
from kdjax.data.load import load_split
from tests.data.jpegs import encode
from tests.datasets.miniature_imagenet import write_folder

SIDE = 16
_random = np.random.default_rng(0)
COLOUR = _random.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
OPACITY = _random.integers(0, 256, (SIDE, SIDE, 1), np.uint8)
OPACITY[0], OPACITY[1] = 0, 255
GREY = COLOUR[..., :1]
THRICE = np.repeat(GREY, 3, axis=-1)
DEEP = _random.integers(0, 2**16, (SIDE, SIDE, 4), np.uint16)


def on_white(colour, opacity):
    share = opacity / 255
    return np.floor(colour * share + 255 * (1 - share) + 0.5).astype(np.uint8)


def by_pillow(*channels, kind="PNG", **options):
    """PNG of "L", "LA" or "RGBA", of arrays [h, w, 1 or 3]."""
    content = io.BytesIO()
    image = np.concatenate(channels, axis=-1)
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(
        content, kind, **options
    )
    return content.getvalue()


def by_opencv(image):
    """PNG of 8 or 16 bits, of RGB or RGBA."""
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[image.shape[-1]]
    return cv2.imencode(".png", image[..., order])[1].tobytes()


def palette(transparent):
    """A PNG of 16 colours, some of which let half or none of the page through."""
    image = Image.fromarray(COLOUR).quantize(16)
    opacity = np.full(256, 255, np.uint8)
    opacity[:2] = 0, 128
    content, table = io.BytesIO(), np.array(image.getpalette(), np.uint8).reshape(-1, 3)
    index = np.asarray(image)
    options = {"transparency": opacity.tobytes()} if transparent else {}
    image.save(content, "PNG", **options)
    colour = table[index]
    if transparent:
        colour = on_white(colour, opacity[index][..., None])
    return content.getvalue(), colour


def grey_with_one_clear(bits):
    """A grey PNG, one level of which is transparent, and its pixels."""
    levels = GREY[..., 0].astype(np.uint16)
    levels = levels * 257 if bits == 16 else levels >> (8 - bits)
    clear = int(levels[0, 0])
    if bits == 16:
        levels[0, 1] = clear ^ 1  # the same high byte, and opaque
    rows = levels.astype(">u2").view(np.uint8) if bits == 16 else levels
    if bits == 4:
        rows = levels[:, ::2] << 4 | levels[:, 1::2]
    data = b"".join(b"\0" + row.astype(np.uint8).tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", SIDE, SIDE, bits, 0, 0, 0, 0)
    chunks = {b"IHDR": head, b"tRNS": struct.pack(">H", clear)}
    chunks |= {b"IDAT": zlib.compress(data), b"IEND": b""}
    content = b"\x89PNG\r\n\x1a\n"
    for name, part in chunks.items():
        checksum = struct.pack(">I", zlib.crc32(name + part))
        content += struct.pack(">I", len(part)) + name + part + checksum
    shown = levels >> 8 if bits == 16 else levels * (17 if bits == 4 else 1)
    shown = np.where(levels == clear, 255, shown).astype(np.uint8)
    return content, np.repeat(shown[..., None], 3, axis=-1)


PALETTE, CLEAR = palette(False), palette(True)
SMOOTH = np.broadcast_to(np.arange(SIDE, dtype=np.uint8) * 16, (SIDE, SIDE))
SMOOTH = np.stack([SMOOTH, SMOOTH.T, SMOOTH], axis=-1)
CMYK = encode(SMOOTH, "CMYK")
# Kind -> (file, its pixels, or None where rounding is the decoder's own).
KINDS = {
    "rgb": (by_opencv(COLOUR), COLOUR),
    "grey": (by_pillow(GREY), THRICE),
    "rgba": (by_opencv(np.dstack([COLOUR, OPACITY])), on_white(COLOUR, OPACITY)),
    "grey_alpha": (by_pillow(GREY, OPACITY), on_white(THRICE, OPACITY)),
    "grey_transparent": grey_with_one_clear(8),
    "grey_transparent_16": grey_with_one_clear(16),
    "grey_transparent_4": grey_with_one_clear(4),
    "palette": PALETTE,
    "palette_transparent": CLEAR,
    "rgb16": (by_opencv(DEEP[..., :3]), (DEEP[..., :3] >> 8).astype(np.uint8)),
    "grey16": (by_opencv(DEEP[..., :1]), np.repeat(DEEP[..., :1] >> 8, 3, axis=-1)),
    "rgba16": (by_opencv(DEEP), on_white(DEEP[..., :3] >> 8, DEEP[..., 3:] >> 8)),
    "webp": (
        by_pillow(COLOUR, OPACITY, kind="WEBP", lossless=True, exact=True),
        on_white(COLOUR, OPACITY),
    ),
    "gif": (by_pillow(GREY, kind="GIF"), THRICE),
    "bmp": (by_pillow(COLOUR, kind="BMP"), COLOUR),
    "bmp_of_32_bits": (
        by_pillow(COLOUR, np.zeros_like(OPACITY), kind="BMP"),
        COLOUR,  # its fourth byte is no opacity
    ),
    "jpeg": (encode(SMOOTH), None),
    "jpeg_grey": (encode(SMOOTH, "L"), None),
    "jpeg_cmyk": (CMYK, None),
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Way to load -> kind -> pixels, of one set that `prepare` makes of all kinds."""
    root = tmp_path_factory.mktemp("kinds")
    classes = {kind: {"0.png": content} for kind, (content, _) in KINDS.items()}
    write_folder(root / "in", {"train": classes})
    file = root / "mine.npz"
    words = ["prepare", "mine", f"--folder={root / 'in'}", f"--data_dir={root}"]
    assert main([*words, f"--npz={file}"]) == 0
    assert main([*words, f"--pixels={SIDE}"]) == 0
    crops = Geometry(size=SIDE, short_side=SIDE)
    splits = {
        "in memory": load_split("mine", "train", data_dir=root),
        "streamed": load_split("mine", "train", data_dir=root, crops=crops),
        "prepare --npz": load_split(str(file), "train"),
        "prepare --pixels": load_split(f"mine/pixels_{SIDE}", "train", data_dir=root),
    }
    return {
        way: {split.class_names[split.label[i]]: split.image[i : i + 1][0] for i in
              range(len(split.label))}
        for way, split in splits.items()
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_all_ways_to_load_an_image_give_the_same_pixels(loaded, kind):
    wanted = KINDS[kind][1]
    if wanted is None:
        wanted = loaded["streamed"][kind]
        assert np.ptp(wanted.astype(int)) > 100
    for way, images in loaded.items():
        np.testing.assert_array_equal(images[kind], wanted, err_msg=f"{way}: {kind}")


def test_a_set_of_one_channel_has_the_same_high_bytes(tmp_path):
    from tests.data.jpegs import prepare_jpegs

    rows = [(KINDS["grey16"][0], 0), (KINDS["grey_alpha"][0], 1), (KINDS["rgb"][0], 2)]
    prepare_jpegs(tmp_path, {"train": rows}, channels=1)
    split = load_split("jpeg_set", "train", data_dir=tmp_path)
    assert split.image.shape == (3, SIDE, SIDE, 1)
    rank = np.argsort(split.label)
    for number, kind in enumerate(("grey16", "grey_alpha")):
        wanted = KINDS[kind][1][..., :1]
        np.testing.assert_array_equal(split.image[rank[number]], wanted)
    luma = COLOUR @ [0.299, 0.587, 0.114]
    assert np.abs(split.image[rank[2]][..., 0] - luma).max() < 1


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    from kdjax.data.split import DataError
    from tests.data.jpegs import prepare_jpegs

    prepare_jpegs(tmp_path, {"train": [(KINDS["rgb"][0][:-20], 0)]})
    with pytest.raises(DataError, match=r"image 0, record 0 of .*cannot be read \(PNG"):
        load_split("jpeg_set", "train", data_dir=tmp_path)
