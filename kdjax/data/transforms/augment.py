"""Crop, flip and normalise on the device. Pure JAX: runs inside the compiled step.

A sample's crop depends on (seed, epoch, index of the sample) alone: not on its batch,
nor on the number of devices. So a resumed or resized run sees the same pixels. Only
which image `mixup` adds, or `cutmix` takes a box of, depends on the batch.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from kdjax import contracts
from kdjax.types import Batch

Bytes = UInt8[Array, "batch height width channels"]
Images = Float[Array, "batch height width channels"]
PerSample = Int[Array, " batch"]
Seed = int | Int[Array, ""]
_STREAM = 0x63726F70  # separates the crops from other random numbers of the seed
_CHOICE = 0x6D697863  # and which of two mixtures a sample takes
SMALL_PADDING = 8  # with more, all slices of a crop are too many to choose from
_VIEWS_APART = 1 << 24  # epochs; no run is that long
LARGEST_ALPHA = 100.0  # all images are halves of two, within a few percent
KINDS = ("crop", "randaugment")  # of the views after the first
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
    cutmix: float = 0.0  # alpha of Beta in `kdjax.data.transforms.cutmix`; 0: none

    def __post_init__(self):
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"Augment: mean has {len(self.mean)} channels and std {len(self.std)}; "
                "expected one of each a channel."
            )
        contracts.all_positive("Augment", "std", self.std)
        if self.padding < 0:
            raise ValueError(f"Augment: padding is {self.padding}; expected 0 or more.")
        for name, alpha in (("mixup", self.mixup), ("cutmix", self.cutmix)):
            if not 0 <= alpha <= LARGEST_ALPHA:
                raise ValueError(
                    f"Augment: {name} is {alpha:g}; expected a number from 0 to "
                    f"{LARGEST_ALPHA:g}."
                )

    @property
    def is_mixed(self) -> bool:
        """Whether images are mixtures of two, so that labels are too."""
        return bool(self.mixup or self.cutmix)

    def train(
        self, batch: Batch, seed: Seed, view: int = 0, kind: str = "crop"
    ) -> Images:
        """Random crops and flips of a batch, normalised to float32, then mixtures.

        Each view, 0 to 127, is another crop of the same samples. `kind` is of the views
        after the first: "crop", or "randaugment" for a crop and `RandAugment()` on it.
        """
        return self.train_mixed(batch, seed, view, kind)[0]

    def train_mixed(
        self, batch: Batch, seed: Seed, view: int = 0, kind: str = "crop"
    ) -> tuple[Images, PerSample, Float[Array, " batch"]]:
        """The images of `train`, and (partner, share) for their labels.

        The label of row i is share[i] times its own plus 1 - share[i] times that of row
        partner[i] of the batch. share is 1 and the partner the row itself without
        mixtures. With both of them each sample takes one, either as likely. Each view
        has shares of its own.
        """
        _check_kind(kind)
        epoch, rows = batch.epoch + view * _VIEWS_APART, batch.index.shape[0]
        how = {"padding": self.padding, "flip": self.flip}
        image = random_crop_and_flip(batch.image, seed, epoch, batch.index, **how)
        if view and kind == "randaugment":
            # Only here: modules that most trainings need not.
            from kdjax.data.transforms.randaugment import RandAugment

            image = RandAugment()(image, seed, epoch, batch.index)
        image = normalise(image, self.mean, self.std)
        itself = jnp.arange(rows, dtype=jnp.int32)
        if not self.is_mixed:
            return image, itself, jnp.ones(rows, jnp.float32)
        from kdjax.data.transforms.mixup import mix

        own, share = self._own(image.shape[1:3], seed, epoch, batch.index)
        return mix(image, own), (itself + (rows - 1)) % rows, share

    def _own(self, size: tuple[int, int], seed: Seed, epoch, index):
        """(weight of the own image by sample or pixel, its share by sample)."""
        from kdjax.data.transforms.mixup import draw_shares

        if self.mixup:
            share = draw_shares(seed, epoch, index, alpha=self.mixup)
            if not self.cutmix:
                return share, share
        from kdjax.data.transforms.cutmix import draw_boxes, outside

        box = draw_boxes(
            seed, epoch, index, alpha=self.cutmix, height=size[0], width=size[1]
        )
        kept = outside(box, *size)
        # A sum of ones, so exact, and rounded once.
        uncut = kept.sum((1, 2)) / jnp.float32(size[0] * size[1])
        if not self.mixup:
            return kept, uncut
        cut = sample_bits(seed, _CHOICE, epoch, index) >> 31 == 1
        own = jnp.where(cut[:, None, None], kept, share[:, None, None])
        return own, jnp.where(cut, uncut, share)

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
    if padding:
        sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
        window = functools.partial(_window, size=image.shape[1:])
        by_choices = functools.partial(_window_by_choices, most=2 * padding)
        image = jax.lax.platform_dependent(
            *(jnp.pad(image, sides), row, column),
            tpu=by_choices if padding <= SMALL_PADDING else window,
            default=window,
        )
    return jnp.where(mirror[:, None, None, None], image[:, :, ::-1], image)


def _window(padded: Bytes, row: PerSample, column: PerSample, *, size) -> Bytes:
    """One gather of each sample's window; on a TPU a loop over the samples."""

    def one(pixels, row, column):
        return jax.lax.dynamic_slice(pixels, (row, column, 0), size)

    return jax.vmap(one)(padded, row, column)


def _window_by_choices(padded, row: PerSample, column: PerSample, *, most: int):
    """The same window where offsets are 0 to `most`, selected from static slices."""
    for axis, offset in ((1, row), (2, column)):
        size = padded.shape[axis] - most
        result = jax.lax.slice_in_dim(padded, 0, size, axis=axis)
        for first in range(1, most + 1):
            own = jax.lax.slice_in_dim(padded, first, first + size, axis=axis)
            result = jnp.where((offset == first)[:, None, None, None], own, result)
        padded = result
    return padded


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"Augment: kind is {kind!r}; expected {' or '.join(KINDS)}.")


def _check_image(where: str, image: Array, **others) -> None:
    contracts.shapes(where, image=(image, "batch height width channels"), **others)
    if image.dtype != jnp.uint8:
        raise ValueError(
            f"{where}: image has dtype {image.dtype}; expected uint8, as from a loader."
        )


def sample_bits(seed, stream: int, epoch: Array, index: Array, shape=()) -> Array:
    """Draws uint32 [batch, *shape], by (seed, stream, epoch, index) alone.

    The generator is named, so that no global setting of JAX can change the bits.
    """
    key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), stream)

    def bits(epoch, index):
        own = jax.random.fold_in(jax.random.fold_in(key, epoch), index)
        return jax.random.bits(own, shape, jnp.uint32)

    return jax.vmap(bits)(epoch, index)
