"""The convolution and batch norm that take one map to the shape of another."""

import jax
from flax import linen as nn

from kdjax.models.connectors import blocks


class Regressor(nn.Module):
    """Convolution with bias, chosen by the sides, and batch norm."""

    where: str
    shape: tuple[int, int, int]  # [h, w, c] of the teacher's map

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = self._conv(x.shape[1:])(x)
        return blocks.norm(self.shape[-1], "norm")(x, train)

    def _conv(self, given: tuple[int, int, int]) -> nn.Module:
        (height, width, channels), (own_height, own_width, _) = self.shape, given
        if (own_height, own_width) == (2 * height, 2 * width):
            return blocks.Conv(channels, (3, 3), stride=2, pad=1, name="conv")
        if (2 * own_height, 2 * own_width) == (height, width):
            return blocks.ConvTranspose(channels, 4, stride=2, pad=1, name="conv")
        if own_height < height or own_width < width:
            raise ValueError(
                f"{self.where}: the student's map is {sides(given)}, the teacher's "
                f"{sides(self.shape)}; expected sides at least as large, or half."
            )
        kernel = (1 + own_height - height, 1 + own_width - width)
        return blocks.Conv(channels, kernel, name="conv")


def sides(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
