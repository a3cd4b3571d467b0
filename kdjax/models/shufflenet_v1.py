"""ShuffleNet, Zhang et al., arXiv 1707.01083, for images of 32x32.

The form of the distillation benchmark on CIFAR-100 (CRD, arXiv 1910.10699), which calls
it ShuffleV1: 3 groups, a 1x1 stem of stride 1 in place of 3x3 and max pool, stages of
240, 480 and 960 channels with 4, 8 and 4 blocks, each of which halves the images.

Features, which are the benchmark's: "stem" after its ReLU; "stage1" to "stage3" after
the stage's last ReLU; "stage1_preact".. before it; and "pooled", [b, c] in float32.
"""

import functools
import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.models import depthwise, layers
from kdjax.models.network import Network, from_linen
from kdjax.types import Outputs

STEM, GROUPS = 24, 3
# (channels, blocks); the first block of a stage has stride 2.
STAGES = ((240, 4), (480, 8), (960, 4))


def fan_in_uniform(key, shape, dtype=jnp.float32) -> jax.Array:
    """U(-b, b), b = 1 / sqrt(k k in / groups): how PyTorch's convolutions begin."""
    return layers.uniform(math.prod(shape[:3]) ** -0.5)(key, shape, dtype)


def shuffle(x: jax.Array, groups: int) -> jax.Array:
    """[b, h, w, c]: the first channel of each group, then the second of each, ...

    >>> shuffle(jnp.arange(6).reshape(1, 1, 1, 6), 2).ravel().tolist()
    [0, 3, 1, 4, 2, 5]
    """
    grouped = x.reshape(*x.shape[:3], groups, -1)
    return grouped.swapaxes(-1, -2).reshape(x.shape)


class GroupedConv(nn.Module):
    """As `layers.Conv`, 1x1, of each group of channels by itself.

    A product of matrices for each group: XLA's CPU backend (jax 0.10) takes ten times
    longer for the gradients of a convolution with groups.
    """

    features: int
    groups: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool, multiplier: jax.Array | None = None
    ) -> jax.Array:
        """Convolves; `multiplier`, [features], scales the kernel and so the output."""
        shape = (1, 1, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", fan_in_uniform, shape, jnp.float32)
        scaled = functools.partial(layers.scale, kernel, multiplier, self.dtype)
        weights = scaled() if train else layers.frozen(self, "kernel", scaled)
        parts = jnp.split(x.astype(self.dtype), self.groups, axis=-1)
        kernels = jnp.split(weights[0, 0], self.groups, axis=-1)
        products = [x @ kernel for x, kernel in zip(parts, kernels, strict=True)]
        return jnp.concatenate(products, axis=-1)


class ShuffleBlock(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1; then joined with the input.

    Of stride 1 the input is added; of stride 2 its mean over 3x3 (zeros at the border
    count) comes behind the output, which has so many channels less. Returns what comes
    before the ReLU.
    """

    width: int
    stride: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        before = x.shape[-1]
        after = self.width - before if self.stride == 2 else self.width
        inner, groups = after // 4, 1 if before == STEM else GROUPS
        options = {"kernel_init": fan_in_uniform, "name": "conv2"}
        conv1 = GroupedConv(inner, groups, self.dtype, name="conv1")
        conv2 = depthwise.DepthwiseConv(self.stride, self.dtype, **options)
        conv3 = GroupedConv(after, GROUPS, self.dtype, name="conv3")
        norm1, norm2, norm3 = (
            layers.BatchNorm(features, self.dtype, name=f"norm{number}")
            for number, features in enumerate((inner, inner, after), start=1)
        )
        y = nn.relu(layers.conv_norm(conv1, norm1, x, train))
        y = shuffle(y, groups)
        y = nn.relu(layers.conv_norm(conv2, norm2, y, train))
        y = layers.conv_norm(conv3, norm3, y, train)
        if self.stride == 1:
            return x + y
        window = {"strides": (2, 2), "padding": ((1, 1), (1, 1))}
        total = nn.pool(x.astype(jnp.float32), 0.0, jax.lax.add, (3, 3), **window)
        return jnp.concatenate([y, (total / 9).astype(self.dtype)], axis=-1)


class ShuffleNetV1(nn.Module):
    """Stem 1x1 of stride 1, stages, head."""

    where: str
    classes: int
    dtype: jnp.dtype
    stages: tuple[tuple[int, int], ...] = STAGES

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> Outputs:
        layers.check_images(self.where, images, halvings=len(self.stages))
        options = {"kernel_init": fan_in_uniform, "name": "stem_conv"}
        conv = layers.Conv(STEM, 1, 1, self.dtype, **options)
        norm = layers.BatchNorm(STEM, self.dtype, name="stem_norm")
        x = nn.relu(layers.conv_norm(conv, norm, images, train))
        features = {"stem": x}
        for stage, (width, blocks) in enumerate(self.stages, start=1):
            for block in range(1, blocks + 1):
                stride, name = 2 if block == 1 else 1, f"stage{stage}_block{block}"
                before = ShuffleBlock(width, stride, self.dtype, name=name)(x, train)
                x = nn.relu(before)
            features |= {f"stage{stage}": x, f"stage{stage}_preact": before}
        pooled = layers.global_average_pool(x)
        logits = layers.head(self.classes, pooled.shape[-1], zero_bias=False)(pooled)
        return Outputs(logits, features | {"pooled": pooled})


def shufflenet_v1(*, num_classes: int, dtype: str = "float32") -> Network:
    """shufflenet_v1, of 0.95 million parameters at 100 classes; images from 8x8 on."""
    where = "shufflenet_v1"
    layers.positive_integer(where, "num_classes", num_classes)
    dtype = layers.activation_dtype(where, dtype)
    return from_linen(ShuffleNetV1(where, num_classes, dtype))
