"""Each operation against Pillow, on images of the embedded set."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from kdjax.data import embedded
from kdjax.data.transforms import image_ops

apply_operation = jax.jit(image_ops.apply_operation)
COUNT = 24
VALUES = {
    **dict.fromkeys(image_ops.BLENDS, (0.05, 0.3, 0.73, 0.95, 1.0, 1.4, 1.9)),
    **dict.fromkeys(("ShearX", "ShearY"), (-0.3, -0.113, 0.0, 0.21, 0.2999)),
    **dict.fromkeys(("TranslateX", "TranslateY"), (-0.3, -0.11, 0.0, 0.031, 0.27)),
    "Rotate": (-30.0, -11.3, 0.0, 7.9, 29.7),
    "Posterize": (4.0, 5.5, 6.99, 7.0, 8.0),
    "Solarize": (0.0, 17.3, 128.0, 200.5, 256.0),
}
POSITIONS = {"Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"}


@pytest.fixture(scope="module", params=[1, 3], ids=["grey", "colour"])
def image(request):
    grey = embedded.read()["train"][0][: 3 * COUNT, ..., 0]
    if request.param == 1:
        image = grey[:COUNT, ..., None].copy()
    else:
        image = np.stack([grey[i::3] for i in range(3)], axis=-1)
        image[1:3] = image[1:3] // 3 + 40
        image[3, ..., 1] = 7
    image[0] = 90  # one grey everywhere
    return image


def in_pillow(image, name, value):
    """One operation on uint8 [height, width, channels], as training code has it."""
    height, width, channels = image.shape
    source = Image.fromarray(image[..., 0] if channels == 1 else image)
    if name in image_ops.BLENDS:
        out = getattr(ImageEnhance, name)(source).enhance(value)
    elif name in ("AutoContrast", "Equalize"):
        out = getattr(ImageOps, name.lower())(source)
    elif name == "Posterize":
        out = ImageOps.posterize(source, int(value))
    elif name == "Solarize":
        out = ImageOps.solarize(source, value)
    elif name == "Rotate":
        out = source.rotate(value)
    elif name == "Identity":
        out = source
    else:
        matrix = {
            "ShearX": (1, value, 0, 0, 1, 0),
            "ShearY": (1, 0, 0, value, 1, 0),
            "TranslateX": (1, 0, value * width, 0, 1, 0),
            "TranslateY": (1, 0, 0, 0, 1, value * height),
        }[name]
        out = source.transform(source.size, Image.Transform.AFFINE, matrix)
    return np.asarray(out).reshape(image.shape)


@pytest.mark.parametrize("name", image_ops.OPERATIONS)
def test_against_pillow(image, name):
    operation = jnp.full(COUNT, image_ops.OPERATIONS.index(name), jnp.int32)
    for value in VALUES.get(name, (0.0,)):
        values = jnp.full(COUNT, value, jnp.float32)
        actual = np.asarray(apply_operation(jnp.asarray(image), operation, values))
        expected = np.stack([in_pillow(one, name, value) for one in image])
        off = np.abs(actual.astype(int) - expected.astype(int))
        if name in POSITIONS:
            assert (off > 0).mean() < 1e-3, (name, value)
        else:
            assert off.max() <= 1, (name, value)
        # Where a blend is a whole number, rounding may be to either side of it.
        assert (off > 0).mean() < 0.03, (name, value)


def test_each_sample_has_its_own_operation_and_value(image):
    names = [image_ops.OPERATIONS[i % 14] for i in range(COUNT)]
    values = [
        VALUES.get(n, (0.0,))[i % 5 if n in VALUES else 0] for i, n in enumerate(names)
    ]
    actual = apply_operation(
        jnp.asarray(image),
        jnp.arange(COUNT, dtype=jnp.int32) % 14,
        jnp.asarray(values, jnp.float32),
    )
    for i in range(COUNT):
        expected = in_pillow(image[i], names[i], values[i])
        off = np.abs(np.asarray(actual[i], int) - expected)
        assert (off > 1).mean() < 0.01, names[i]


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 3), (40, 3, 3)])
def test_small_and_oblong_images(shape):
    image = np.random.default_rng(0).integers(0, 256, (14, *shape), np.uint8)
    value = jnp.full(14, 0.25).at[image_ops.OPERATIONS.index("Posterize")].set(5.0)
    actual = apply_operation(jnp.asarray(image), jnp.arange(14, dtype=jnp.int32), value)
    for i, name in enumerate(image_ops.OPERATIONS):
        expected = in_pillow(image[i], name, float(value[i]))
        off = np.abs(np.asarray(actual[i], int) - expected)
        assert (off > 1).mean() < 0.02, name


@pytest.mark.errors
def test_errors_name_what_came():
    one = jnp.zeros(1, jnp.int32)
    with pytest.raises(ValueError, match="apply_operation: image has dtype float32"):
        image_ops.apply_operation(jnp.zeros((1, 4, 4, 1)), one, jnp.zeros(1))
    with pytest.raises(ValueError, match="value has batch=2"):
        image = jnp.zeros((1, 4, 4, 1), jnp.uint8)
        image_ops.apply_operation(image, one, jnp.zeros(2))
