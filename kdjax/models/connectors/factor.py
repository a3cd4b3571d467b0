"""Factor transfer: the teacher's paraphraser and the student's translator."""

import jax
from flax import linen as nn

from kdjax import contracts
from kdjax.models.connectors import blocks, maps
from kdjax.types import Outputs


class Paraphraser(nn.Module):
    """FT: an autoencoder of the teacher's map; its code is the teacher's factor.

    Three 3x3 convolutions, c -> c -> k c -> k c, and three transposed ones,
    k c -> k c -> c -> c, all of stride 1 with bias, each followed by a leaky ReLU of
    slope 0.1, the last one too. PyTorch's default initialisation. It is trained first,
    by reconstruction, and frozen then.
    Kim et al., arXiv 1802.04977, section 3.1; as in the public code of RepDistiller,
    which has no batch norm here and k = 0.5.

    Attributes:
      teacher: name of the feature, a map [b, h, w, c].
      k: share of the teacher's channels that the factor has.
      batch_norm: before each leaky ReLU.

    Returns:
      {"factor": [b, h, w, int(k c)], "reconstruction": [b, h, w, c]}.

    Raises:
      ValueError: no such feature; a k that leaves no channel.

    >>> import jax.numpy as jnp
    >>> teacher = Outputs(None, {"stage3": jnp.ones((2, 4, 4, 6))})
    >>> outputs, variables = Paraphraser().init_with_output(
    ...     jax.random.key(0), None, teacher, True)
    >>> outputs["factor"].shape, outputs["reconstruction"].shape
    ((2, 4, 4, 3), (2, 4, 4, 6))
    """

    teacher: str = "stage3"
    k: float = 0.5
    batch_norm: bool = False

    @nn.compact
    def __call__(self, student: Outputs, teacher: Outputs, train: bool) -> dict:
        where = type(self).__name__
        x = maps.feature(where, "teacher", teacher, self.teacher)
        channels = x.shape[-1]
        inner = _factor_channels(where, channels, self.k)
        down, up = (channels, inner, inner), (inner, channels, channels)
        encoder = _Stack(down, self.batch_norm, name="encoder")
        decoder = _Stack(up, self.batch_norm, transposed=True, name="decoder")
        factor = encoder(x, train)
        return {"factor": factor, "reconstruction": decoder(factor, train)}


class Translator(nn.Module):
    """FT: the student's factor, which follows the teacher's.

    Three 3x3 convolutions, c -> c -> k c_t -> k c_t, with bias, each followed by batch
    norm and a leaky ReLU of slope 0.1. PyTorch's default initialisation.
    Kim et al., arXiv 1802.04977, section 3.2; as in the public code of RepDistiller,
    which has batch norm here and k = 0.5.

    Attributes:
      student, teacher: names of the features, maps [b, h, w, c].
      k: share of the teacher's channels c_t that the factor has, as the paraphraser's.
      batch_norm: before each leaky ReLU.

    Returns:
      {"factor": [b, student's h, student's w, int(k c_t)]}.

    Raises:
      ValueError: no such feature; a k that leaves no channel.

    >>> import jax.numpy as jnp
    >>> student = Outputs(None, {"stage3": jnp.ones((2, 4, 4, 3))})
    >>> teacher = Outputs(None, {"stage3": jnp.ones((2, 4, 4, 6))})
    >>> outputs, variables = Translator().init_with_output(
    ...     jax.random.key(0), student, teacher, True)
    >>> outputs["factor"].shape
    (2, 4, 4, 3)
    """

    student: str = "stage3"
    teacher: str = "stage3"
    k: float = 0.5
    batch_norm: bool = True

    @nn.compact
    def __call__(self, student: Outputs, teacher: Outputs, train: bool) -> dict:
        where, pair = type(self).__name__, (self.student, self.teacher)
        s, t = maps.feature_pair(where, student, teacher, pair)
        inner = _factor_channels(where, t.shape[-1], self.k)
        widths = (s.shape[-1], inner, inner)
        return {"factor": _Stack(widths, self.batch_norm, name="encoder")(s, train)}


class _Stack(nn.Module):
    """3x3 convolutions of these widths, leaky ReLUs, and batch norms where wanted."""

    widths: tuple[int, ...]
    batch_norm: bool
    transposed: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        for number, width in enumerate(self.widths, start=1):
            name = f"conv{number}"
            if self.transposed:
                x = blocks.ConvTranspose(width, 3, stride=1, pad=1, name=name)(x)
            else:
                x = blocks.Conv(width, (3, 3), pad=1, name=name)(x)
            if self.batch_norm:
                x = blocks.norm(width, f"norm{number}")(x, train)
            x = nn.leaky_relu(x, 0.1)
        return x


def _factor_channels(where: str, channels: int, k: float) -> int:
    contracts.positive(where, "k", k)
    if int(channels * k) < 1:
        raise ValueError(
            f"{where}: k is {k:g}, which leaves none of {channels} channels; expected "
            f"at least {1 / channels:g}."
        )
    return int(channels * k)
