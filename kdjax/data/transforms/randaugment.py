"""RandAugment on the device, on uint8 pixels before they are normalised.

E. D. Cubuk, B. Zoph, J. Shlens, Q. V. Le, "RandAugment: Practical automated data
augmentation with a reduced search space", NeurIPS 2020 (arXiv:1909.13719), in the form
of FixMatch (arXiv:2001.07685) that distillation trains with: MLKD, CRLD.

A sample's operations depend on (seed, epoch, index of the sample) alone: not on its
batch, nor on the number of devices. So a resumed or resized run sees the same pixels.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from kdjax import contracts
from kdjax.data.transforms.augment import sample_bits
from kdjax.data.transforms.image_ops import (
    OPERATIONS,
    Bytes,
    apply_operation,
    to_grey,
)

LARGEST_MAGNITUDE = 30.0
_STREAM = 0x72616E64  # separates the operations from other random numbers of the seed
_CUTOUT_COLOUR = (125, 123, 114)
# Of values between two ends, drawn uniformly; none for an operation without a value.
_ENDS = {
    **dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), (0.05, 0.95)),
    **dict.fromkeys(("ShearX", "ShearY", "TranslateX", "TranslateY"), (-0.3, 0.3)),
    **{"Posterize": (4, 8), "Rotate": (-30, 30), "Solarize": (0, 256)},
}
# value = first +- second * magnitude / 30.
_SIGNED = {
    **dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), (1.0, 0.9)),
    **dict.fromkeys(("ShearX", "ShearY"), (0.0, 0.3)),
    **dict.fromkeys(("TranslateX", "TranslateY"), (0.0, 150 / 331)),
    "Rotate": (0.0, 30.0),
}


@dataclasses.dataclass(frozen=True)
class RandAugment:
    """`n` of 14 operations on each image, one after the other, then Cutout.

    Operations are drawn with replacement, each as likely as the others. Positions are
    those of the nearest pixel, and outside is black; Cutout fills with (125, 123, 114).

    * magnitude None: each value is uniform over its range: factors .05 to .95, shears
      and translations -.3 to .3, rotations -30 to 30 degrees, 4 to 7 bits, solarisation
      from 0 to 256. So in the public code of MLKD, CRLD and logit standardisation,
      whose `RandAugment(2, 10)` never reads the 10. Published numbers of these methods
      belong to this form, with `cutout` .5.
    * magnitude m, 0 to 30: as in the paper, one strength for all operations, here with
      torchvision's ranges: factors 1 +- .9 m / 30, shears +- .3 m / 30, translations
      +- 150 / 331 m / 30, rotations +- 30 m / 30, 8 - round(4 m / 30) bits,
      solarisation from 255 (1 - m / 30). torchvision's default is
      `RandAugment(2, magnitude=9, cutout=0)`, but that it shifts by whole pixels.

    >>> grey = jnp.full((2, 8, 8, 3), 90, jnp.uint8)
    >>> index = jnp.arange(2, dtype=jnp.int32)
    >>> RandAugment()(grey, 0, jnp.zeros_like(index), index).shape
    (2, 8, 8, 3)
    """

    n: int = 2  # operations a sample, 0 or more
    magnitude: float | None = None
    cutout: float = 0.5  # longest side of the square, as a part of the width; 0: none

    def __post_init__(self):
        if self.n < 0:
            raise ValueError(f"RandAugment: n is {self.n}; expected 0 or more.")
        if self.magnitude is not None:
            if not 0 <= self.magnitude <= LARGEST_MAGNITUDE:
                raise ValueError(
                    f"RandAugment: magnitude is {self.magnitude:g}; expected a number "
                    f"from 0 to {LARGEST_MAGNITUDE:g}, or None."
                )
        contracts.fraction("RandAugment", "cutout", self.cutout)

    def __call__(
        self,
        image: Bytes,
        seed: int | Int[Array, ""],
        epoch: Int[Array, " batch"],
        index: Int[Array, " batch"],
    ) -> Bytes:
        """Transforms uint8 [batch, height, width, channels] to the same shape.

        `epoch` and `index` are of the samples; another view has another `epoch`.
        """
        contracts.shapes(
            "RandAugment",
            image=(image, "batch height width channels"),
            epoch=(epoch, "batch"),
            index=(index, "batch"),
        )
        operation, value, box = self.draw(seed, epoch, index)
        for stage in zip(operation.T, value.T, strict=True):
            # So that the compiler computes no pixel of the first operation again for
            # each pixel of the second that reads it.
            image = jax.lax.optimization_barrier(apply_operation(image, *stage))
        return cutout(image, *box.T) if self.cutout else image

    def draw(
        self, seed, epoch: Int[Array, " batch"], index: Int[Array, " batch"]
    ) -> tuple[Int[Array, "batch n"], Float[Array, "batch n"], Float[Array, "batch 3"]]:
        """Draws (operation, value, Cutout's column, row and side), parts of an image.

        `OPERATIONS[operation]` and `value` are as `apply_operation` takes them.
        """
        bits = sample_bits(seed, _STREAM, epoch, index, (2 * self.n + 3,))
        kinds = jnp.uint32(len(OPERATIONS))  # the remainder's bias is below 1e-8
        operation = (bits[:, : self.n] % kinds).astype(jnp.int32)
        part = (bits[:, self.n :] >> 8).astype(jnp.float32) * jnp.float32(2.0**-24)
        value = self._values(operation, part[:, : self.n])
        side = jnp.array([1.0, 1.0, self.cutout], jnp.float32)
        return operation, value, part[:, self.n :] * side[None]

    def _values(self, operation, part):
        if self.magnitude is None:
            ends = [_ENDS.get(name, (0, 0)) for name in OPERATIONS]
            low, high = np.array(ends, np.float32).T
            spread = part
        else:
            strength = self.magnitude / LARGEST_MAGNITUDE
            fixed = {
                "Posterize": (8 - np.round(4 * strength), 0),
                "Solarize": (255 * (1 - strength), 0),
            }
            ends = [(_SIGNED | fixed).get(name, (0, 0)) for name in OPERATIONS]
            low, step = np.array(ends, np.float32).T
            high = low + np.float32(strength) * step
            spread = jnp.where(part < 0.5, -1.0, 1.0)
        low, width = jnp.asarray(low), jnp.asarray(high - low)
        return low[operation] + spread * width[operation]


def cutout(
    image: Bytes,
    column: Float[Array, " batch"],
    row: Float[Array, " batch"],
    side: Float[Array, " batch"],
) -> Bytes:
    """A filled square about (column, row), parts of the width and height, in [0, 1).

    `side` is a part of the width; at 0 nothing is filled. As FixMatch's: what the left
    or upper border cuts off is added on the other side, and both ends are filled.

    T. DeVries, G. W. Taylor, "Improved Regularization of Convolutional Neural Networks
    with Cutout", 2017 (arXiv:1708.04552).

    >>> half = jnp.array([0.5])
    >>> filled = cutout(jnp.zeros((1, 4, 4, 1), jnp.uint8), half, half, 0.5 * half)
    >>> print(filled[0, :, :, 0])
    [[  0   0   0   0]
     [  0 123 123   0]
     [  0 123 123   0]
     [  0   0   0   0]]
    """
    _, height, width, channels = image.shape
    length = side * width
    inside = True
    for axis, (middle, size) in enumerate(((row, height), (column, width))):
        first = jnp.floor(jnp.maximum(middle * size - 0.5 * length, 0.0))
        last = jnp.floor(jnp.minimum(first + length, float(size)))
        at = jnp.arange(size, dtype=jnp.float32)[None]
        within = (at >= first[:, None]) & (at <= last[:, None])
        inside = inside & (within[:, :, None] if axis == 0 else within[:, None, :])
    inside = inside & (length > 0)[:, None, None]
    colour = jnp.array(_CUTOUT_COLOUR, jnp.int32)
    if channels != 3:
        colour = jnp.broadcast_to(to_grey(colour), (channels,))
    colour = colour.astype(jnp.uint8)[None, None, None, :]
    return jnp.where(inside[..., None], colour, image)
