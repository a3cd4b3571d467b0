"""Pillow's operations on uint8 images on the device, another one for each sample.

`jax.lax.switch` over samples would compute every operation on every sample. Here each
belongs to one of three groups: a map of positions, a table of 256 grey levels per
channel, a blend with a second image. A group is computed once for the whole batch, and
a sample that needs none of it has the identity there.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from kdjax import contracts

Bytes = UInt8[Array, "batch height width channels"]
Levels = Int[Array, "batch height width channels"]
Tables = Int[Array, "batch channels levels"]
OPERATIONS = (
    *("AutoContrast", "Brightness", "Color", "Contrast", "Equalize", "Identity"),
    *("Posterize", "Rotate", "Sharpness", "ShearX", "ShearY", "Solarize"),
    *("TranslateX", "TranslateY"),
)

TABLES = ("AutoContrast", "Equalize", "Posterize", "Solarize")
BLENDS = ("Brightness", "Color", "Contrast", "Sharpness")


def apply_operation(
    image: Bytes, operation: Int[Array, " batch"], value: Float[Array, " batch"]
) -> Bytes:
    """Applies OPERATIONS[operation[i]] with value[i] to image[i].

    Equal to Pillow's to one grey level and, for positions, but for ties of the nearest
    pixel. Positions are looked up without interpolation; outside is black.

    Args:
      image: uint8 [batch, height, width, channels], 1 or 3 channels; with others Color
        and Contrast take their mean for the grey image.
      value: degrees counterclockwise of Rotate; pixels per row or column of ShearX and
        ShearY; part of the width or height of TranslateX and TranslateY; factor of
        Brightness, Color, Contrast and Sharpness, 1 changes nothing; number of bits
        kept by Posterize, rounded down; first level that Solarize inverts. The others
        read none.

    >>> image = jnp.array([[10, 200]], jnp.uint8)[:, None, :, None]
    >>> solarize = jnp.array([OPERATIONS.index("Solarize")])
    >>> print(apply_operation(image, solarize, jnp.array([128.0])).ravel())
    [10 55]
    """
    contracts.shapes(
        "apply_operation",
        image=(image, "batch height width channels"),
        operation=(operation, "batch"),
        value=(value, "batch"),
    )
    if image.dtype != jnp.uint8:
        raise ValueError(
            f"apply_operation: image has dtype {image.dtype}; expected uint8."
        )
    applies = {name: operation == i for i, name in enumerate(OPERATIONS)}
    levels = image.astype(jnp.int32)
    moved = affine(image, _matrix(applies, value, *image.shape[1:3]))
    for names, changed in (
        (BLENDS, _blend(levels, applies, value)),
        (TABLES, _look_up(levels, applies, value)),
    ):
        either = jnp.stack([applies[name] for name in names]).any(0)
        moved = jnp.where(either[:, None, None, None], changed.astype(jnp.uint8), moved)
    return moved


def affine(image: Bytes, matrix: Float[Array, "batch 2 3"]) -> Bytes:
    """The nearest pixel at matrix (x + 1/2, y + 1/2, 1) for each (x, y), else black.

    In steps of 2 ** -16 of a pixel, as Pillow's.
    """
    batch, height, width, channels = image.shape
    half = matrix[..., 2] + 0.5 * (matrix[..., 0] + matrix[..., 1])
    steps = jnp.stack([matrix[..., 0], matrix[..., 1], half], -1)
    steps = jnp.floor(steps * 65536.0 + 0.5).astype(jnp.int32)[..., None, None]
    row = jnp.arange(height, dtype=jnp.int32)[None, None, :, None]
    column = jnp.arange(width, dtype=jnp.int32)[None, None, None, :]
    place = (steps[:, :, 2] + column * steps[:, :, 0] + row * steps[:, :, 1]) >> 16
    x, y = place[:, 0], place[:, 1]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    position = jnp.where(inside, y * width + x, 0).reshape(batch, -1, 1)
    pixels = image.reshape(batch, -1, channels)
    pixels = jnp.take_along_axis(pixels, position, 1).reshape(image.shape)
    return jnp.where(inside[..., None], pixels, jnp.uint8(0))


def _matrix(applies: dict, value, height: int, width: int) -> Float[Array, "batch 2 3"]:
    angle = jnp.where(applies["Rotate"], -jnp.deg2rad(value), 0.0)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y = width / 2, height / 2
    column = (
        x - cos * x - sin * y + jnp.where(applies["TranslateX"], value * width, 0.0)
    )
    row = y + sin * x - cos * y + jnp.where(applies["TranslateY"], value * height, 0.0)
    across = [cos, jnp.where(applies["ShearX"], value, sin), column]
    down = [jnp.where(applies["ShearY"], value, -sin), cos, row]
    return jnp.stack([jnp.stack(across, -1), jnp.stack(down, -1)], 1)


def _look_up(levels: Levels, applies: dict, value) -> Levels:
    """AutoContrast, Equalize, Posterize and Solarize: tables of levels."""
    batch, _, _, channels = levels.shape
    level = jnp.arange(256, dtype=jnp.int32)[None, None, :]
    dropped = 8 - jnp.floor(value).astype(jnp.int32)[:, None, None]
    dropped = jnp.clip(dropped, 0, 7)
    inverted = level.astype(jnp.float32) >= value[:, None, None]
    tables = jnp.broadcast_to(level, (batch, channels, 256))
    for name, table in (
        ("AutoContrast", _stretched(levels, level)),
        ("Equalize", _equalized(levels, level)),
        ("Posterize", (level >> dropped) << dropped),
        ("Solarize", jnp.where(inverted, 255 - level, level)),
    ):
        tables = jnp.where(applies[name][:, None, None], table, tables)
    first = 256 * jnp.arange(channels, dtype=jnp.int32)[None, None, None, :]
    position = (levels + first).reshape(batch, -1)
    return jnp.take_along_axis(tables.reshape(batch, -1), position, 1).reshape(
        levels.shape
    )


def _stretched(levels: Levels, level: Array) -> Tables:
    """Darkest to 0 and brightest to 255, per channel; one grey stays as it is."""
    low, high = levels.min((1, 2))[..., None], levels.max((1, 2))[..., None]
    table = (level - low) * 255 // jnp.maximum(high - low, 1)
    return jnp.where(high > low, jnp.clip(table, 0, 255), level)


def _equalized(levels: Levels, level: Array) -> Tables:
    """As many pixels at each level as can be, per channel."""
    count = _histogram(levels)
    brightest = levels.max((1, 2))[..., None]
    pixels = levels.shape[1] * levels.shape[2]
    step = (pixels - jnp.take_along_axis(count, brightest, axis=2)) // 255
    below = jnp.cumsum(count, axis=2) - count
    table = (step // 2 + below) // jnp.maximum(step, 1)
    return jnp.where(step > 0, jnp.minimum(table, 255), level)


def _histogram(levels: Levels) -> Tables:
    """How many pixels are at each level, per channel."""
    channel = jnp.arange(levels.shape[-1], dtype=jnp.int32)[None, None, :]
    bins = jnp.zeros((levels.shape[-1], 256), jnp.int32)
    # By samples, so that each device counts its own.
    return jax.vmap(lambda own: bins.at[channel, own].add(1))(levels)


def _blend(levels: Levels, applies: dict, value) -> Levels:
    """Brightness, Color, Contrast and Sharpness: other + value (image - other)."""
    grey = to_grey(levels)
    pixels = grey.shape[1] * grey.shape[2]
    mean = (2 * grey.sum((1, 2), keepdims=True) + pixels) // (2 * pixels)
    other, factor = jnp.zeros_like(levels), jnp.where(applies["Brightness"], value, 1.0)
    for name, image in (("Color", grey), ("Contrast", mean), ("Sharpness", None)):
        image = _smooth(levels) if image is None else image
        other = jnp.where(applies[name][:, None, None, None], image, other)
        factor = jnp.where(applies[name], value, factor)
    start = other.astype(jnp.float32)
    away = (levels - other).astype(jnp.float32)
    blended = jnp.clip(start + factor[:, None, None, None] * away, 0.0, 255.0)
    return jnp.floor(blended).astype(jnp.int32)


def to_grey(levels: Int[Array, "*image channels"]) -> Int[Array, "*image 1"]:
    """ITU-R 601's luma of three channels, in 2 ** -16 as Pillow's; else the mean."""
    channels = levels.shape[-1]
    if channels != 3:
        return levels.sum(-1, keepdims=True) // channels
    red, green, blue = (levels[..., i : i + 1] for i in range(3))
    return (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16


def _smooth(levels: Levels) -> Levels:
    """The mean of 3 x 3 pixels, the middle one 5 times; the border stays as it is."""
    _, height, width, _ = levels.shape
    if min(height, width) < 3:
        return levels
    total = 4 * levels[:, 1:-1, 1:-1]
    for y in range(3):
        for x in range(3):
            total += levels[:, y : height - 2 + y, x : width - 2 + x]
    return jax.lax.dynamic_update_slice(levels, (2 * total + 13) // 26, (0, 1, 1, 0))
