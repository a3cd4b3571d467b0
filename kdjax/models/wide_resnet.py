"""Wide residual networks WRN-depth-width, Zagoruyko & Komodakis, arXiv 1605.07146.

Pre-activation basic blocks; the 1x1 shortcut reads the activated input; no dropout; the
head's bias starts at 0. Features: "stem" is the first convolution's output; "stage1"..
are the raw residual sums; "stage1_preact".. those sums through the batch norm that
reads them next (so what comes before the ReLU); "pooled", [b, c] in float32.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.models import layers
from kdjax.models.network import Network, from_linen
from kdjax.types import Outputs


class WideBlock(nn.Module):
    """Batch norm, ReLU, conv 3x3, twice, plus the input or its projection."""

    width: int
    stride: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        """Returns the residual sum and the normalised input."""
        width, stride, dtype = self.width, self.stride, self.dtype
        normalised = layers.BatchNorm(x.shape[-1], dtype, name="norm1")(x, train)
        activated = nn.relu(normalised)
        if stride != 1 or x.shape[-1] != width:
            shortcut = layers.Conv(width, 1, stride, dtype, name="conv_shortcut")
            x = shortcut(activated, train)
        conv1 = layers.Conv(width, 3, stride, dtype, name="conv1")
        norm2 = layers.BatchNorm(width, dtype, name="norm2")
        conv2 = layers.Conv(width, 3, 1, dtype, name="conv2")
        inner = nn.relu(layers.conv_norm(conv1, norm2, activated, train))
        return x + conv2(inner, train), normalised


class WideResNet(nn.Module):
    """Stem, three stages of `blocks` blocks with strides 1, 2, 2, batch norm, head."""

    where: str
    classes: int
    blocks: int
    widths: tuple[int, int, int]
    stem: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> Outputs:
        layers.check_images(self.where, images, halvings=2)
        x = layers.Conv(self.stem, 3, 1, self.dtype, name="stem_conv")(images, train)
        features = {"stem": x}
        for stage, width in enumerate(self.widths, start=1):
            for block in range(1, self.blocks + 1):
                stride = 2 if block == 1 and stage > 1 else 1
                name = f"stage{stage}_block{block}"
                module = WideBlock(width, stride, self.dtype, name=name)
                x, normalised = module(x, train)
                if block == 1 and stage > 1:
                    features[f"stage{stage - 1}_preact"] = normalised
            features[f"stage{stage}"] = x
        x = layers.BatchNorm(x.shape[-1], self.dtype, name="norm")(x, train)
        features[f"stage{len(self.widths)}_preact"] = x
        pooled = layers.global_average_pool(nn.relu(x))
        logits = layers.head(self.classes, pooled.shape[-1], zero_bias=True)(pooled)
        return Outputs(logits, features | {"pooled": pooled})


def wide_resnet(
    *,
    num_classes: int,
    depth: int,
    width: int | None = None,
    widths: Sequence[int] | None = None,
    stem: int = 16,
    dtype: str = "float32",
) -> Network:
    """WRN-`depth`-`width`, of depth 6 n + 4 for n blocks a stage.

    Stages have 16, 32 and 64 times `width` channels, or in place of that the three
    `widths`; the first convolution has `stem`.
    """
    where = "wide_resnet" if width is None else f"wrn_{depth}_{width}"
    if not isinstance(depth, int) or depth < 10 or (depth - 4) % 6:
        expected = "6n + 4: 10, 16, 22, ..."
        raise ValueError(f"{where}: depth is {depth!r}; expected {expected}")
    widths = _stage_widths(where, width, widths)
    layers.positive_integer(where, "stem", stem)
    layers.positive_integer(where, "num_classes", num_classes)
    dtype = layers.activation_dtype(where, dtype)
    blocks = (depth - 4) // 6
    return from_linen(WideResNet(where, num_classes, blocks, widths, stem, dtype))


def _stage_widths(where, width, widths) -> tuple[int, int, int]:
    if (width is None) == (widths is None):
        came = f"width is {width!r}, widths is {widths!r}"
        raise ValueError(f"{where}: {came}; expected one of them.")
    if widths is None:
        layers.positive_integer(where, "width", width)
        return 16 * width, 32 * width, 64 * width
    if len(widths) != 3:
        raise ValueError(f"{where}: widths is {widths!r}; expected three numbers.")
    for position, value in enumerate(widths):
        layers.positive_integer(where, f"widths[{position}]", value)
    return tuple(widths)
