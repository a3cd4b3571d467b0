"""Crop, flip and normalise on the device. Pure JAX: runs inside the compiled step.

A sample's crop depends on (seed, epoch, index of the sample) alone: not on its batch,
nor on the number of devices. So a resumed or resized run sees the same pixels. Only
which image `mixup` adds depends on the batch.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from kdjax import contracts
from kdjax.data.transforms.mixup import LARGEST_ALPHA, draw_shares, mix, sample_bits
from kdjax.types import Batch

Bytes = UInt8[Array, "batch height width channels"]
Images = Float[Array, "batch height width channels"]
PerSample = Int[Array, " batch"]
Seed = int | Int[Array, ""]
_STREAM = 0x63726F70  # separates the crops from other random numbers of the seed
_VIEWS_APART = 1 << 24  # epochs; no run is that long
# Raise it when crops or their normalisation change: caches of teacher outputs for them
# are then refused.
PREPROCESSING = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augment:
    """How the images of one set are made ready for a network.

    >>> grey = Augment(mean=(0.5,), std=(0.25,), padding=0, flip=False)
    >>> grey.evaluate(jnp.full((1, 1, 1, 1), 255, jnp.uint8)).item()
    2.0
    """

    mean: tuple[float, ...]  # per channel, of pixels scaled to [0, 1]
    std: tuple[float, ...]  # per channel, > 0
    padding: int  # black pixels around an image before the random crop to its size
    flip: bool  # mirror left to right with probability 1/2
    mixup: float = 0.0  # alpha of Beta in `kdjax.data.transforms.mixup`; 0: none

    def __post_init__(self):
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"Augment: mean has {len(self.mean)} channels and std {len(self.std)}; "
                "expected one of each a channel."
            )
        contracts.positive("Augment", "std", self.std)
        if self.padding < 0:
            raise ValueError(f"Augment: padding is {self.padding}; expected 0 or more.")
        if not 0 <= self.mixup <= LARGEST_ALPHA:
            raise ValueError(
                f"Augment: mixup is {self.mixup:g}; expected a number from 0 to "
                f"{LARGEST_ALPHA:g}."
            )

    def train(
        self, batch: Batch, seed: Seed, view: int = 0, kind: str = "crop"
    ) -> Images:
        """Random crops and flips of a batch, normalised to float32, then `mixup`.

        Each view, 0 to 127, is another crop of the same samples.
        """
        epoch = batch.epoch + view * _VIEWS_APART
        how = {"padding": self.padding, "flip": self.flip}
        image = random_crop_and_flip(batch.image, seed, epoch, batch.index, **how)
        image = normalise(image, self.mean, self.std)
        if not self.mixup:
            return image
        return mix(image, draw_shares(seed, epoch, batch.index, alpha=self.mixup))

    def evaluate(self, image: Bytes) -> Images:
        """The images as they are, normalised to float32."""
        return normalise(image, self.mean, self.std)


def normalise(image: Bytes, mean: tuple[float, ...], std: tuple[float, ...]) -> Images:
    """(image / 255 - mean) / std per channel, float32."""
    # One multiplication and one addition a pixel; constants folded in double precision.
    mean, std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    _check_image("normalise", image, mean=(mean, "channels"), std=(std, "channels"))
    scale = jnp.asarray(1 / (255 * std), jnp.float32)
    shift = jnp.asarray(-mean / std, jnp.float32)
    per_channel = (None, None, None, slice(None))
    return image.astype(jnp.float32) * scale[per_channel] + shift[per_channel]


def random_crop_and_flip(
    image: Bytes,
    seed: Seed,
    epoch: PerSample,
    index: PerSample,
    *,
    padding: int,
    flip: bool,
) -> Bytes:
    """Pads with black, crops back at a random offset and mirrors every second image.

    `epoch`, from 0, and `index` in the split are of the samples. Offsets are uniform
    over 0..2 * padding.
    """
    samples = {"epoch": (epoch, "batch"), "index": (index, "batch")}
    _check_image("random_crop_and_flip", image, **samples)
    row, column, mirror = draw(seed, epoch, index, padding=padding)
    return crop_and_flip(image, row, column, mirror & flip, padding=padding)


def draw(
    seed: Seed, epoch: PerSample, index: PerSample, *, padding: int
) -> tuple[PerSample, PerSample, Array]:
    """Draws each sample's crop: (row int32, column int32, mirror bool), all [batch]."""
    row, column, mirror = sample_bits(seed, _STREAM, epoch, index, (3,)).T
    offsets = jnp.uint32(2 * padding + 1)  # the remainder's bias is below 1e-8
    row, column = ((bits % offsets).astype(jnp.int32) for bits in (row, column))
    return row, column, mirror >> 31 == 1


def crop_and_flip(
    image: Bytes, row: PerSample, column: PerSample, mirror: Array, *, padding: int
) -> Bytes:
    """Cuts the window at (row, column) out of the padded image; mirrors some."""
    padded = jnp.pad(image, ((0, 0), (padding, padding), (padding, padding), (0, 0)))

    def window(pixels, row, column):
        return jax.lax.dynamic_slice(pixels, (row, column, 0), image.shape[1:])

    cropped = jax.vmap(window)(padded, row, column)
    return jnp.where(mirror[:, None, None, None], cropped[:, :, ::-1], cropped)


def _check_image(where: str, image: Array, **others) -> None:
    contracts.shapes(where, image=(image, "batch height width channels"), **others)
    if image.dtype != jnp.uint8:
        raise ValueError(
            f"{where}: image has dtype {image.dtype}; expected uint8, as from a loader."
        )
