"""ShuffleNet V2, Ma et al., arXiv 1807.11164, for images of 32x32.

The form of the distillation benchmark on CIFAR-100 (CRD, arXiv 1910.10699), which calls
it ShuffleV2: width 1, a 1x1 stem of stride 1 in place of 3x3 and max pool, stages of
116, 232 and 464 channels with 4, 8 and 4 blocks, each of which halves the images.

Features, which are the benchmark's: "stem" after its ReLU; "stage1" to "stage3" after
the last block's shuffle; "stage1_preact".., the last block's halves side by side before
the ReLU of the second one and before the shuffle, so that their channels have another
order than those of "stage1"..; "last" after the ReLU of the final 1x1 convolution,
"last_preact" before it; and "pooled", the mean of "last", [b, c] in float32.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.models import depthwise, layers
from kdjax.models.network import Network, from_linen
from kdjax.models.shufflenet_v1 import fan_in_uniform, shuffle
from kdjax.types import Outputs

STEM, LAST = 24, 1024
# (channels, blocks); the first block of a stage has stride 2.
STAGES = ((116, 4), (232, 8), (464, 4))


class _Block(nn.Module):
    width: int
    dtype: jnp.dtype

    def pointwise_norm(self, x, train, features, number):
        """1x1 convolution and batch norm."""
        options = {"kernel_init": fan_in_uniform, "name": f"conv{number}"}
        conv = layers.Conv(features, 1, 1, self.dtype, **options)
        norm = layers.BatchNorm(features, self.dtype, name=f"norm{number}")
        return layers.conv_norm(conv, norm, x, train)

    def depthwise_norm(self, x, train, stride, number):
        """3x3 convolution of each channel and batch norm, which nothing rectifies."""
        options = {"kernel_init": fan_in_uniform, "name": f"conv{number}"}
        conv = depthwise.DepthwiseConv(stride, self.dtype, **options)
        norm = layers.BatchNorm(x.shape[-1], self.dtype, name=f"norm{number}")
        return layers.conv_norm(conv, norm, x, train)


class SplitBlock(_Block):
    """The first half of the channels as it is; 1x1, depthwise 3x3, 1x1 of the second.

    Returns both halves, the second before its ReLU.
    """

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        half = self.width // 2
        y = nn.relu(self.pointwise_norm(x[..., half:], train, half, 1))
        y = self.pointwise_norm(self.depthwise_norm(y, train, 1, 2), train, half, 3)
        return x[..., :half], y


class DownBlock(_Block):
    """Halves the image in two branches, whose outputs are shuffled."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        half = self.width // 2
        left = self.pointwise_norm(self.depthwise_norm(x, train, 2, 1), train, half, 2)
        right = nn.relu(self.pointwise_norm(x, train, half, 3))
        right = self.pointwise_norm(
            self.depthwise_norm(right, train, 2, 4), train, half, 5
        )
        return shuffle(nn.relu(jnp.concatenate([left, right], axis=-1)), 2)


class ShuffleNetV2(nn.Module):
    """Stem 1x1 of stride 1, stages, a last 1x1 convolution, head."""

    where: str
    classes: int
    dtype: jnp.dtype
    stages: tuple[tuple[int, int], ...] = STAGES
    last: int = LAST

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> Outputs:
        layers.check_images(self.where, images, halvings=len(self.stages))
        x = nn.relu(self._outer(images, train, STEM, "stem"))
        features = {"stem": x}
        for stage, (width, blocks) in enumerate(self.stages, start=1):
            x = DownBlock(width, self.dtype, name=f"stage{stage}_block1")(x, train)
            for block in range(2, blocks + 1):
                name = f"stage{stage}_block{block}"
                kept, y = SplitBlock(width, self.dtype, name=name)(x, train)
                x = shuffle(jnp.concatenate([kept, nn.relu(y)], axis=-1), 2)
            before = jnp.concatenate([kept, y], axis=-1)
            features |= {f"stage{stage}": x, f"stage{stage}_preact": before}
        before = self._outer(x, train, self.last, "last")
        x = nn.relu(before)
        pooled = layers.global_average_pool(x)
        logits = layers.head(self.classes, pooled.shape[-1], zero_bias=False)(pooled)
        features |= {"last": x, "last_preact": before, "pooled": pooled}
        return Outputs(logits, features)

    def _outer(self, x, train, features, name):
        options = {"kernel_init": fan_in_uniform, "name": f"{name}_conv"}
        conv = layers.Conv(features, 1, 1, self.dtype, **options)
        norm = layers.BatchNorm(features, self.dtype, name=f"{name}_norm")
        return layers.conv_norm(conv, norm, x, train)


def shufflenet_v2(*, num_classes: int, dtype: str = "float32") -> Network:
    """shufflenet_v2, of 1.36 million parameters at 100 classes; images from 8x8 on."""
    where = "shufflenet_v2"
    layers.positive_integer(where, "num_classes", num_classes)
    dtype = layers.activation_dtype(where, dtype)
    return from_linen(ShuffleNetV2(where, num_classes, dtype))
