"""VGG with batch norm, Simonyan & Zisserman, arXiv 1409.1556, for images of 32x32.

The form of the distillation benchmark on CIFAR-100 (CRD, arXiv 1910.10699): 3x3
convolutions with bias, batch norm and ReLU in five groups, a 2x2 max pool after each of
the first three and, for images of 64x64 and larger, after the fourth; global average
pooling and one linear layer. The benchmark calls them vgg8 to vgg19 as here; its code
has them as vgg8_bn to vgg19_bn.

Features, which are the benchmark's: "stem", the first group after its ReLU; "stage1" to
"stage4", the other groups, after the last ReLU and before the pool; "stage1_preact"..
before that ReLU; and "pooled", [b, c] in float32.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.models import layers
from kdjax.models.network import Network, from_linen
from kdjax.models.pooling import max_pool
from kdjax.types import Outputs

# Depth -> convolutions in each of the five groups.
DEPTHS = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
WIDTHS = (64, 128, 256, 512, 512)
LARGE = 64  # height from which the fourth group is pooled too


class ConvNorm(nn.Module):
    """conv 3x3 with bias, batch norm. The ReLU after it is missing."""

    width: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        conv = layers.Conv(self.width, 3, 1, self.dtype, use_bias=True, name="conv")
        norm = layers.BatchNorm(self.width, self.dtype, name="norm")
        return layers.conv_norm(conv, norm, x, train)


class VGG(nn.Module):
    """Five groups of convolutions with pools between, head."""

    where: str
    classes: int
    blocks: tuple[int, ...]
    dtype: jnp.dtype
    widths: tuple[int, ...] = WIDTHS

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> Outputs:
        layers.check_images(self.where, images, halvings=3)
        pools = 4 if images.shape[1] >= LARGE else 3
        x, features = images, {}
        for group, width in enumerate(self.widths):
            stage = f"stage{group}" if group else "stem"
            for block in range(1, self.blocks[group] + 1):
                name = f"{stage}_block{block}"
                before = ConvNorm(width, self.dtype, name=name)(x, train)
                x = nn.relu(before)
            features[stage] = x
            if group:
                features[f"{stage}_preact"] = before
            if group < pools:
                x = max_pool(x, size=2, stride=2)
        pooled = layers.global_average_pool(x)
        head = layers.head(self.classes, x.shape[-1], zero_bias=True, kernel_std=0.01)
        return Outputs(head(pooled), features | {"pooled": pooled})


def vgg(*, num_classes: int, depth: int, dtype: str = "float32") -> Network:
    """vgg`depth`, depth 8, 11, 13, 16 or 19, for images of 8x8 and larger.

    vgg8 has 3.97 and vgg13 9.46 million parameters at 100 classes. Convolutions begin
    with He's normal values over the fan-out, the head with N(0, 0.01) and bias 0.
    """
    where = f"vgg{depth}"
    if depth not in DEPTHS:
        expected = f"one of {list(DEPTHS)}"
        raise ValueError(f"{where}: depth is {depth!r}; expected {expected}.")
    layers.positive_integer(where, "num_classes", num_classes)
    dtype = layers.activation_dtype(where, dtype)
    return from_linen(VGG(where, num_classes, DEPTHS[depth], dtype))
